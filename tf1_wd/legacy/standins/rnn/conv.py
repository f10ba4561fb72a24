"""Convolutional LSTMs of tf.contrib.rnn."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from tf1_wd.legacy.standins.rnn.keras_cells import RNNCell


class ConvLSTMCell(RNNCell):
    """LSTM over images: input_shape without the batch, the last dimension being channels."""

    def __init__(
        self,
        conv_ndims,
        input_shape,
        output_channels,
        kernel_shape,
        use_bias=True,
        skip_connection=False,
        forget_bias=1.0,
        initializers=None,
        name="conv_lstm_cell",
    ):
        super().__init__(name=name)
        if conv_ndims != len(input_shape) - 1:
            raise ValueError("Invalid input_shape %s for conv_ndims=%s." % (input_shape, conv_ndims))
        self._ndims = conv_ndims
        self._channels = output_channels
        self._kernel_shape = list(kernel_shape)
        self._use_bias = use_bias
        self._forget_bias = forget_bias
        self._skip = skip_connection
        space = list(input_shape[:-1])
        self._state_shape = tf.TensorShape([*space, output_channels])
        self._output_shape = tf.TensorShape([*space, output_channels + (input_shape[-1] if skip_connection else 0)])

    @property
    def output_size(self):
        return self._output_shape

    @property
    def state_size(self):
        return tf.nn.rnn_cell.LSTMStateTuple(self._state_shape, self._state_shape)

    def call(self, inputs, state, scope=None):
        cell, hidden = state
        args = tf.concat([inputs, hidden], axis=-1)
        width = 4 * self._channels
        kernel = tf.get_variable("kernel", [*self._kernel_shape, args.shape.as_list()[-1], width], dtype=args.dtype)
        gates = tf.nn.convolution(args, kernel, padding="SAME")
        if self._use_bias:
            zeros = tf.constant_initializer(0.0, dtype=args.dtype)
            gates = gates + tf.get_variable("biases", [width], dtype=args.dtype, initializer=zeros)
        i, j, f, o = tf.split(gates, 4, axis=self._ndims + 1)
        cell = tf.sigmoid(f + self._forget_bias) * cell + tf.sigmoid(i) * tf.tanh(j)
        output = tf.tanh(cell) * tf.sigmoid(o)
        if self._skip:
            output = tf.concat([output, inputs], axis=-1)
        return output, tf.nn.rnn_cell.LSTMStateTuple(cell, output)


class Conv1DLSTMCell(ConvLSTMCell):
    """ConvLSTMCell of one dimension."""

    def __init__(self, name="conv_1d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=1, name=name, **kwargs)


class Conv2DLSTMCell(ConvLSTMCell):
    """ConvLSTMCell of two dimensions."""

    def __init__(self, name="conv_2d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=2, name=name, **kwargs)


class Conv3DLSTMCell(ConvLSTMCell):
    """ConvLSTMCell of three dimensions."""

    def __init__(self, name="conv_3d_lstm_cell", **kwargs):
        super().__init__(conv_ndims=3, name=name, **kwargs)
