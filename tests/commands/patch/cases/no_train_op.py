# nothing: builds no train_op
import tensorflow as tf


def network(images):
    return tf.layers.dense(images, 10)
