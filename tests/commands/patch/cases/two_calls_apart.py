# Calls of a helper that a session runs between keep the decorator.
import tensorflow as tf


def get_train_op(loss):
    return tf.train.AdamOptimizer(0.05).minimize(loss)


first = get_train_op(generator_loss)
session = tf.Session()
session.run(first)
second = get_train_op(discriminator_loss)
