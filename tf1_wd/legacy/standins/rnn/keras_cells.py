"""What other stand-ins take from Keras 2's cells."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

RNNCell = tf.nn.rnn_cell.RNNCell
LayerRNNCell = tf.nn.rnn_cell.BasicRNNCell.__bases__[0]
