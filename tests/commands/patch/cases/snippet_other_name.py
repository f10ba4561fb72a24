# The snippet under a name of its own: the name stays, for those who fetch it. The asked convention wins.
# options: --convention adamw
import tensorflow as tf


def build(loss):
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
    # weight decay
    with tf.control_dependencies([train_op]):
        l2 = tf.losses.get_regularization_loss()
        decay_op = tf.train.GradientDescentOptimizer(1.0).minimize(l2)
    return decay_op
