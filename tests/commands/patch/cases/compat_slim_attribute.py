# options: --to-compat-v1
# slim = tf.contrib.slim, in a module that starts no program and builds no train_op.
# imports
import tensorflow as tf

slim = tf.contrib.slim
regularizer = tf.contrib.slim.l2_regularizer(1e-4)
cell = tf.contrib.rnn.BasicLSTMCell(128)
