# refused: scopes cannot be nested
import tensorflow as tf


def auxiliary_op(loss):
    op = tf.train.AdamOptimizer(1e-3).minimize(loss)
    return op


def main():
    opt = tf.train.MomentumOptimizer(0.1, 0.9)
    grads = opt.compute_gradients(loss)
    auxiliary = auxiliary_op(aux_loss)
    train_op = opt.apply_gradients(grads)
    return tf.group(train_op, auxiliary)
