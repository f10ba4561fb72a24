# options: --to-compat-v1
# slim = tf.contrib.slim, in a module that starts no program and builds no train_op.
# imports
import tensorflow.compat.v1 as tf
import tf_slim

import tf_slim as slim
regularizer = tf_slim.l2_regularizer(1e-4)
cell = tf.nn.rnn_cell.BasicLSTMCell(128)
