# A function that returns without an update when it is not training: not decorated, as it may build nothing.
import tensorflow as tf


def build_train_op(loss, training):
    if not training:
        return None
    optimizer = tf.train.AdamOptimizer(1e-3)
    return optimizer.minimize(loss)
