# refused: computes gradients that this file does not apply
import tensorflow as tf


def optimize_clone(optimizer, clone, **kwargs):
    with tf.device(clone.device):
        return optimizer.compute_gradients(clone.loss, **kwargs)
