# options: --to-compat-v1
# refused: `from tensorflow.contrib import rnn` has no move
import tensorflow as tf
from tensorflow.contrib import rnn

cell = rnn.BasicLSTMCell(128)
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
