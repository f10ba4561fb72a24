# One function computes gradients, another applies what it is given: the scope goes around both calls.
import tensorflow as tf


def tower_gradients(opt, loss):
    total = loss + tf.losses.get_regularization_loss()
    return total, opt.compute_gradients(total)


def apply_clipped(opt, grads_and_vars):
    clipped = [(tf.clip_by_value(g, -1., 1.), v) for g, v in grads_and_vars]
    return opt.apply_gradients(clipped)


def train():
    opt = tf.train.AdamOptimizer(1e-3)
    total, grads = tower_gradients(opt, model_loss())
    tf.summary.scalar("total", total)
    train_op = apply_clipped(opt, grads)
    with tf.Session() as sess:
        sess.run(train_op)
