"""Small things of tensorflow.python that are gone without a successor."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class RegisterShape:
    """Takes a shape function of an op, and does nothing with it: shapes are inferred in C++."""

    def __init__(self, op_type):
        self.op_type = op_type

    def __call__(self, function):
        return function


def register_dense_tensor_like_type(tensor_type):
    """Does nothing: what a tensor is, is asked of its type now."""


def scalar():
    """The shape of a scalar."""
    return tf.TensorShape([])


def vector(length):
    """The shape of a vector."""
    return tf.TensorShape([length])


def matrix(rows, columns):
    """The shape of a matrix."""
    return tf.TensorShape([rows, columns])
