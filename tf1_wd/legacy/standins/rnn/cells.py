"""Cells of tf.contrib.rnn in plain ops, with its variable names."""

from __future__ import annotations

import importlib

import tensorflow.compat.v1 as tf

from tf1_wd.legacy.standins.rnn.keras_cells import LayerRNNCell, LSTMStateTuple, RNNCell, Sized, SizedLSTM
from tf1_wd.legacy.standins.rnn.linear import _linear


class _NormalizedLSTM(SizedLSTM, RNNCell):
    """An LSTM whose gates can be normalized over their last dimension."""

    def __init__(self, reuse, layer_norm, norm_gain, norm_shift):
        super().__init__(_reuse=reuse)
        self._layer_norm = layer_norm
        self._starts = {"gamma": norm_gain, "beta": norm_shift}

    def _norm(self, value, scope):
        """The value, normalized with variables gamma and beta in the scope; as it is without layer_norm."""
        if not self._layer_norm:
            return value
        with tf.variable_scope(scope):
            for name, start in self._starts.items():
                start = tf.constant_initializer(start)
                tf.get_variable(name, shape=value.shape[-1:], initializer=start, dtype=value.dtype)
        return importlib.import_module("tf_slim.layers.layers").layer_norm(value, reuse=True, scope=scope)


class LayerNormBasicLSTMCell(_NormalizedLSTM):
    """LSTM with layer normalization of each gate, and dropout of what goes into the state."""

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        input_size=None,
        activation=tf.tanh,
        layer_norm=True,
        norm_gain=1.0,
        norm_shift=0.0,
        dropout_keep_prob=1.0,
        dropout_prob_seed=None,
        reuse=None,
    ):
        super().__init__(reuse, layer_norm, norm_gain, norm_shift)
        self._num_units = num_units
        self._forget_bias = forget_bias
        self._activation = activation
        self._keep_prob = dropout_keep_prob
        self._seed = dropout_prob_seed

    def call(self, inputs, state):
        c, h = state
        args = tf.concat([inputs, h], 1)
        kernel = tf.get_variable("kernel", [args.shape[-1], 4 * self._num_units], dtype=args.dtype)
        gates = tf.matmul(args, kernel)
        if not self._layer_norm:
            gates = tf.nn.bias_add(gates, tf.get_variable("bias", [4 * self._num_units], dtype=args.dtype))
        i, j, f, o = tf.split(gates, 4, axis=1)
        i, j = self._norm(i, "input"), self._norm(j, "transform")
        f, o = self._norm(f, "forget"), self._norm(o, "output")
        g = self._activation(j)
        if not isinstance(self._keep_prob, float) or self._keep_prob < 1:
            g = tf.nn.dropout(g, rate=1 - self._keep_prob, seed=self._seed)
        c = self._norm(c * tf.sigmoid(f + self._forget_bias) + tf.sigmoid(i) * g, "state")
        h = self._activation(c) * tf.sigmoid(o)
        return h, LSTMStateTuple(c, h)


class CoupledInputForgetGateLSTMCell(_NormalizedLSTM):
    """LSTM whose input gate is 1 - forget gate."""

    def __init__(
        self,
        num_units,
        use_peepholes=False,
        initializer=None,
        num_proj=None,
        proj_clip=None,
        num_unit_shards=1,
        num_proj_shards=1,
        forget_bias=1.0,
        state_is_tuple=True,
        activation=tf.tanh,
        reuse=None,
        layer_norm=False,
        norm_gain=1.0,
        norm_shift=0.0,
    ):
        super().__init__(reuse, layer_norm, norm_gain, norm_shift)
        if num_unit_shards != 1 or num_proj_shards != 1:
            raise ValueError("Weights in shards are not there: leave num_unit_shards and num_proj_shards at 1")
        self._num_units = num_units
        self._use_peepholes = use_peepholes
        self._num_proj = num_proj
        self._proj_clip = proj_clip
        self._forget_bias = forget_bias
        self._state_is_tuple = state_is_tuple
        self._activation = activation

    @property
    def state_size(self):
        sizes = super().state_size
        return sizes if self._state_is_tuple else sum(sizes)

    def call(self, inputs, state):
        c_prev, m_prev = state if self._state_is_tuple else tf.split(state, [self._num_units, self.output_size], 1)
        dtype, units = inputs.dtype, self._num_units
        args = tf.concat([inputs, m_prev], 1)
        weights = tf.get_variable("W_0", [args.shape.as_list()[1], 3 * units], dtype=dtype)
        bias = tf.get_variable("B", [3 * units], initializer=tf.zeros_initializer(), dtype=dtype)
        gates = tf.matmul(args, weights)
        j, f, o = tf.split(gates if self._layer_norm else tf.nn.bias_add(gates, bias), 3, axis=1)
        j, f, o = self._norm(j, "transform"), self._norm(f, "forget"), self._norm(o, "output")
        f = f + self._forget_bias
        if self._use_peepholes:
            f_diagonal = tf.get_variable("W_F_diag", [units], dtype=dtype)
            o_diagonal = tf.get_variable("W_O_diag", [units], dtype=dtype)
            f = f + f_diagonal * c_prev
        f = tf.sigmoid(f)
        c = self._norm(f * c_prev + (1 - f) * self._activation(j), "state")
        m = tf.sigmoid(o + o_diagonal * c if self._use_peepholes else o) * self._activation(c)
        if self._num_proj is not None:
            m = tf.matmul(m, tf.get_variable("W_P_0", [units, self._num_proj], dtype=dtype))
            if self._proj_clip is not None:
                m = tf.clip_by_value(m, -self._proj_clip, self._proj_clip)
        return m, LSTMStateTuple(c, m) if self._state_is_tuple else tf.concat([c, m], 1)


class UGRNNCell(Sized, RNNCell):
    """Update gate RNN: state <- g state + (1 - g) c."""

    def __init__(self, num_units, initializer=None, forget_bias=1.0, activation=tf.tanh, reuse=None):
        super().__init__(_reuse=reuse)
        self._num_units = num_units
        self._initializer = initializer
        self._forget_bias = forget_bias
        self._activation = activation

    def call(self, inputs, state):
        with tf.variable_scope(tf.get_variable_scope(), initializer=self._initializer):
            g, c = tf.split(_linear([inputs, state], 2 * self._num_units, True), 2, axis=1)
            g = tf.sigmoid(g + self._forget_bias)
            state = g * state + (1.0 - g) * self._activation(c)
        return state, state


class SRUCell(Sized, LayerRNNCell):
    """Simple recurrent unit: nothing but an elementwise product depends on the state before."""

    def __init__(self, num_units, activation=None, reuse=None, name=None, **kwargs):
        super().__init__(_reuse=reuse, name=name, **kwargs)
        self._num_units = num_units
        self._activation = activation or tf.tanh

    def build(self, inputs_shape):
        size = tf.TensorShape(inputs_shape).as_list()[1]
        self._kernel = self.add_variable("kernel", shape=[size, 4 * self._num_units])
        self._bias = self.add_variable("bias", shape=[2 * self._num_units], initializer=tf.zeros_initializer())
        self.built = True

    def call(self, inputs, state):
        x_bar, f, r, x = tf.split(tf.matmul(inputs, self._kernel), 4, axis=1)
        f, r = tf.split(tf.sigmoid(tf.nn.bias_add(tf.concat([f, r], 1), self._bias)), 2, axis=1)
        c = f * state + (1.0 - f) * x_bar
        return r * self._activation(c) + (1.0 - r) * x, c


class IndRNNCell(Sized, LayerRNNCell):
    """Independently recurrent: each unit sees its own past alone."""

    def __init__(self, num_units, activation=None, reuse=None, name=None, dtype=None):
        super().__init__(_reuse=reuse, name=name, dtype=dtype)
        self._num_units = num_units
        self._activation = activation or tf.tanh

    def build(self, inputs_shape):
        size = tf.TensorShape(inputs_shape).as_list()[1]
        uniform = tf.random_uniform_initializer(minval=-1, maxval=1)
        self._kernel_w = self.add_variable("kernel_w", shape=[size, self._num_units])
        self._kernel_u = self.add_variable("kernel_u", shape=[1, self._num_units], initializer=uniform)
        self._bias = self.add_variable("bias", shape=[self._num_units], initializer=tf.zeros_initializer())
        self.built = True

    def call(self, inputs, state):
        gate = tf.matmul(inputs, self._kernel_w) + state * self._kernel_u
        output = self._activation(tf.nn.bias_add(gate, self._bias))
        return output, output


class NASCell(SizedLSTM, LayerRNNCell):
    """The cell that was found by architecture search."""

    def __init__(self, num_units, num_proj=None, use_bias=False, reuse=None, **kwargs):
        super().__init__(_reuse=reuse, **kwargs)
        self._num_units = num_units
        self._num_proj = num_proj
        self._use_bias = use_bias

    def build(self, inputs_shape):
        size, width = tf.TensorShape(inputs_shape).as_list()[1], 8 * self._num_units
        self.recurrent_kernel = self.add_variable("recurrent_kernel", [self.output_size, width])
        self.kernel = self.add_variable("kernel", [size, width])
        if self._use_bias:
            self.bias = self.add_variable("bias", shape=[width], initializer=tf.zeros_initializer())
        if self._num_proj is not None:
            self.projection_weights = self.add_variable("projection_weights", [self._num_units, self._num_proj])
        self.built = True

    def call(self, inputs, state):
        sigmoid, tanh, relu = tf.sigmoid, tf.tanh, tf.nn.relu
        c, m = state
        m = tf.matmul(m, self.recurrent_kernel)
        m = tf.split(tf.nn.bias_add(m, self.bias) if self._use_bias else m, 8, axis=1)
        x = tf.split(tf.matmul(inputs, self.kernel), 8, axis=1)
        a = tanh(sigmoid(x[0] + m[0]) * relu(x[1] + m[1]))
        b = tanh(sigmoid(x[2] + m[2]) + relu(x[3] * m[3]))
        d = tanh(tanh(x[4] + m[4]) * sigmoid(x[5] + m[5]))
        e = sigmoid(tanh(x[6] + m[6]) + sigmoid(x[7] + m[7]))
        c = tanh(a + c) * b
        m = tanh(c * tanh(d + e))
        if self._num_proj is not None:
            m = tf.matmul(m, self.projection_weights)
        return m, LSTMStateTuple(c, m)
