"""What other stand-ins take from Keras 2's cells, and the sizes of their states."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

LSTMStateTuple = tf.nn.rnn_cell.LSTMStateTuple
RNNCell = tf.nn.rnn_cell.RNNCell
LayerRNNCell = tf.nn.rnn_cell.BasicRNNCell.__bases__[0]


class Sized:
    """A cell with state and output of one size."""

    _num_units: int

    @property
    def output_size(self):
        return self._num_units

    state_size = output_size


class SizedLSTM:
    """A cell with the state of an LSTM, and an output projected to num_proj if there is one."""

    _num_units: int
    _num_proj = None

    @property
    def state_size(self):
        return LSTMStateTuple(self._num_units, self.output_size)

    @property
    def output_size(self):
        return self._num_proj or self._num_units
