"""Cells around cells, as in tf.contrib.rnn: projections, embeddings, attention over the past, highways."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest

from tf1_wd.legacy.standins.rnn.keras_cells import RNNCell
from tf1_wd.legacy.standins.rnn.linear import _Linear, _linear  # noqa: F401  programs take _Linear from here


class _Wrapper(RNNCell):
    """A cell with the state of another."""

    def __init__(self, cell, reuse=None):
        super().__init__(_reuse=reuse)
        self._cell = cell

    @property
    def state_size(self):
        return self._cell.state_size

    @property
    def output_size(self):
        return self._cell.output_size

    def zero_state(self, batch_size, dtype):
        with tf.name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            return self._cell.zero_state(batch_size, dtype)


class EmbeddingWrapper(_Wrapper):
    """Reads ids, [batch, 1], through a table `embedding` of [embedding_classes, embedding_size]."""

    def __init__(self, cell, embedding_classes, embedding_size, initializer=None, reuse=None):
        super().__init__(cell, reuse)
        if embedding_classes <= 0 or embedding_size <= 0:
            raise ValueError(
                "Both embedding_classes and embedding_size must be > 0: %d, %d." % (embedding_classes, embedding_size)
            )
        self._shape = [embedding_classes, embedding_size]
        self._initializer = initializer

    def call(self, inputs, state):
        with tf.device("/cpu:0"):
            # uniform of variance 1
            initializer = self._initializer or tf.get_variable_scope().initializer
            initializer = initializer or tf.random_uniform_initializer(-(3**0.5), 3**0.5)
            dtype = nest.flatten(state)[0].dtype
            table = tf.get_variable("embedding", self._shape, initializer=initializer, dtype=dtype)
            return self._cell(tf.nn.embedding_lookup(table, tf.reshape(inputs, [-1])), state)


class InputProjectionWrapper(_Wrapper):
    """Projects what the cell reads to num_proj."""

    def __init__(self, cell, num_proj, activation=None, input_size=None, reuse=None):
        super().__init__(cell, reuse)
        self._num_proj = num_proj
        self._activation = activation

    def call(self, inputs, state):
        projected = _linear(inputs, self._num_proj, True)
        return self._cell(self._activation(projected) if self._activation else projected, state)


class OutputProjectionWrapper(_Wrapper):
    """Projects what the cell puts out to output_size."""

    def __init__(self, cell, output_size, activation=None, reuse=None):
        super().__init__(cell, reuse)
        if output_size < 1:
            raise ValueError("Parameter output_size must be > 0: %d." % output_size)
        self._output_size = output_size
        self._activation = activation

    @property
    def output_size(self):
        return self._output_size

    def call(self, inputs, state):
        output, state = self._cell(inputs, state)
        projected = _linear(output, self._output_size, True)
        return (self._activation(projected) if self._activation else projected), state


class HighwayWrapper(_Wrapper):
    """Mixes input and output by a learned gate: carry * input + (1 - carry) * output."""

    def __init__(self, cell, couple_carry_transform_gates=True, carry_bias_init=1.0):
        super().__init__(cell)
        self._coupled = couple_carry_transform_gates
        self._carry_bias = carry_bias_init

    def _gate(self, name, value, bias):
        size = value.shape.as_list()[1]
        weights = tf.get_variable(name + "_w", [size, size])
        start = tf.constant_initializer(bias)
        return tf.sigmoid(tf.nn.xw_plus_b(value, weights, tf.get_variable(name + "_b", [size], initializer=start)))

    def _highway(self, value, output):
        carry = self._gate("carry", value, self._carry_bias)
        transform = 1 - carry if self._coupled else self._gate("transform", value, -self._carry_bias)
        return value * carry + output * transform

    def __call__(self, inputs, state, scope=None):
        outputs, state = self._cell(inputs, state, scope=scope)
        return nest.map_structure(self._highway, inputs, outputs), state


def attend(hidden, features, vector, query):
    """[batch, size], the mean of hidden, [batch, length, 1, size], weighted by vector . tanh(W query + features)."""
    query = _linear(query, vector.shape.as_list()[0], True)[:, None, None, :]
    weights = tf.nn.softmax(tf.reduce_sum(vector * tf.tanh(features + query), [2, 3]))
    return tf.reduce_sum(weights[:, :, None, None] * hidden, [1, 2])


class AttentionCellWrapper(RNNCell):
    """A cell that also looks back at its last attn_length outputs."""

    def __init__(
        self,
        cell,
        attn_length,
        attn_size=None,
        attn_vec_size=None,
        input_size=None,
        state_is_tuple=True,
        reuse=None,
    ):
        super().__init__(_reuse=reuse)
        if nest.is_nested(cell.state_size) and not state_is_tuple:
            raise ValueError("Cell returns tuple of states, but state_is_tuple is not set: %s" % (cell.state_size,))
        if attn_length <= 0:
            raise ValueError("attn_length should be greater than zero, got %s" % attn_length)
        self._cell = cell
        self._length = attn_length
        self._size = attn_size or cell.output_size
        self._vec_size = attn_vec_size or self._size
        self._input_size = input_size
        self._state_is_tuple = state_is_tuple

    @property
    def state_size(self):
        sizes = (self._cell.state_size, self._size, self._size * self._length)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        return self._size

    def call(self, inputs, state):
        if not self._state_is_tuple:
            state = tf.split(state, [self._cell.state_size, self._size, self._size * self._length], 1)
        state, attention, past = state
        past = tf.reshape(past, [-1, self._length, self._size])
        inputs = _linear([inputs, attention], self._input_size or inputs.shape.as_list()[1], True)
        output, state = self._cell(inputs, state)
        attention = self._attend(tf.concat(nest.flatten(state), 1), past)
        with tf.variable_scope("attn_output_projection"):
            output = _linear([output, attention], self._size, True)
        past = tf.concat([past[:, 1:], tf.expand_dims(output, 1)], 1)
        new = (state, attention, tf.reshape(past, [-1, self._length * self._size]))
        return output, new if self._state_is_tuple else tf.concat(new, 1)

    def _attend(self, query, past):
        with tf.variable_scope("attention"):
            kernel = tf.get_variable("attn_w", [1, 1, self._size, self._vec_size])
            vector = tf.get_variable("attn_v", [self._vec_size])
            hidden = tf.reshape(past, [-1, self._length, 1, self._size])
            features = tf.nn.conv2d(hidden, kernel, [1, 1, 1, 1], "SAME")
            return attend(hidden, features, vector, query)
