# refused: the update is built under a condition
import tensorflow as tf


def build(loss, is_training):
    opt = tf.train.AdamOptimizer(1e-3)
    grads = opt.compute_gradients(loss)
    train_op = None
    if is_training:
        train_op = opt.apply_gradients(grads)
    return train_op
