"""The linear layer of TF 1's RNN cells, which programs took though it was private. Imports no Keras."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest


class _Linear:
    """The inputs, [batch, size] each, side by side times `kernel`, plus `bias` if asked for."""

    def __init__(self, args, output_size, build_bias, bias_initializer=None, kernel_initializer=None):
        args = nest.flatten(args)
        size = sum(a.shape.as_list()[1] for a in args)
        dtype = args[0].dtype
        self._weights = tf.get_variable("kernel", [size, output_size], dtype=dtype, initializer=kernel_initializer)
        self._biases = None
        if build_bias:
            with tf.variable_scope(tf.get_variable_scope()) as scope:
                scope.set_partitioner(None)
                initializer = bias_initializer or tf.constant_initializer(0.0, dtype=dtype)
                self._biases = tf.get_variable("bias", [output_size], dtype=dtype, initializer=initializer)

    def __call__(self, args):
        args = nest.flatten(args)
        product = tf.matmul(args[0] if len(args) == 1 else tf.concat(args, 1), self._weights)
        return product if self._biases is None else tf.nn.bias_add(product, self._biases)


def _linear(args, output_size, bias, bias_initializer=None, kernel_initializer=None):
    """_Linear, called once."""
    return _Linear(args, output_size, bias, bias_initializer, kernel_initializer)(args)


def _like_rnncell(cell):
    """True for what can be used as a cell."""
    return callable(cell) and all(hasattr(cell, name) for name in ("output_size", "state_size", "zero_state"))
