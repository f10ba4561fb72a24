# refused: applies gradients that this file does not visibly compute
import tensorflow as tf

from optim import clipped_gradients

opt = tf.train.AdamOptimizer(1e-3)
train_op = opt.apply_gradients(clipped_gradients(opt, loss))
