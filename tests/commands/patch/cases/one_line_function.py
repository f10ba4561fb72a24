# refused: the function stands on one line
import tensorflow as tf


def train_op(loss): tf.train.AdamOptimizer(1e-3).minimize(loss)
