# A function that returns without an update when it is not training: not decorated, as it may build nothing.
import tensorflow as tf
import tf1_wd


def build_train_op(loss, training):
    if not training:
        return None
    optimizer = tf.train.AdamOptimizer(1e-3)
    with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
        return optimizer.minimize(loss)
