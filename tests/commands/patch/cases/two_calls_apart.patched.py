# Calls of a helper that a session runs between keep the decorator.
import tensorflow as tf
import tf1_wd


@tf1_wd.decoupled_weight_decay(convention="adamw", source="loss")
def get_train_op(loss):
    return tf.train.AdamOptimizer(0.05).minimize(loss)


first = get_train_op(generator_loss)
session = tf.Session()
session.run(first)
second = get_train_op(discriminator_loss)
