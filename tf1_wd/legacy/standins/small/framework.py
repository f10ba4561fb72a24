"""Checks and small helpers of tf.contrib.framework that are nowhere else."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.python.ops import confusion_matrix


def assert_scalar_int(tensor, name=None):
    """The tensor, if it is a scalar of integers. Raises: ValueError."""
    with tf.name_scope(name, "assert_scalar_int", [tensor]) as scope:
        tensor = tf.convert_to_tensor(tensor)
        if not tensor.dtype.base_dtype.is_integer:
            raise ValueError("Expected integer type for %s, received type: %s." % (tensor.name, tensor.dtype))
        return tf.debugging.assert_scalar(tensor, name=scope)


def with_shape(expected_shape, tensor):
    """The tensor, checked for a shape: now where both are known, else when it is evaluated. Raises: ValueError."""
    known = None if tf.is_tensor(expected_shape) else tf.TensorShape(expected_shape)
    if known is not None and tensor.shape.is_fully_defined():
        if known.rank == 0 and tensor.shape.as_list() == [1]:
            return tf.reshape(tensor, [])
        if not tensor.shape.is_compatible_with(known):
            raise ValueError(
                "Invalid shape for tensor %s, expected %s, got %s." % (tensor.name, expected_shape, tensor.shape)
            )
        return tensor
    if known is not None and known.rank == 0:
        return tf.reshape(tensor, [])
    wanted = [-1 if d is None else d for d in known.as_list()] if known is not None else expected_shape
    actual = tf.shape(tensor)
    # -1 in the expected shape stands for any size
    sizes = tf.convert_to_tensor(wanted, tf.int32)
    same_rank = tf.equal(tf.size(sizes), tf.rank(tensor))
    fits = tf.cond(same_rank, lambda: tf.reduce_all(tf.equal(sizes, actual) | (sizes < 0)), lambda: False)
    check = tf.Assert(fits, ["Wrong shape for %s [expected] [actual]." % tensor.name, sizes, actual])
    with tf.control_dependencies([check]):
        checked = tf.identity(tensor)
    if known is not None:
        checked.set_shape(known)
    return checked


def with_same_shape(expected_tensor, tensor):
    """The tensor, checked for the shape of another."""
    shape = expected_tensor.shape
    return with_shape(shape.as_list() if shape.is_fully_defined() else tf.shape(expected_tensor), tensor)


def reduce_sum_n(tensors, name=None):
    """The sum of all elements of all tensors."""
    if not tensors:
        raise ValueError("No tensors provided.")
    with tf.name_scope(name, "reduce_sum_n", tensors):
        return tf.add_n([tf.reduce_sum(t) for t in tensors])


def get_placeholders(graph):
    """All placeholders of a graph."""
    if not isinstance(graph, tf.Graph):
        raise TypeError("Input graph needs to be a Graph: %s" % graph)
    return [op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"]


def remove_squeezable_dimensions(predictions, labels, name=None):
    """(predictions, labels), the one of higher rank squeezed in its last dimension of size 1."""
    labels, predictions = confusion_matrix.remove_squeezable_dimensions(labels, predictions, name=name)
    return predictions, labels
