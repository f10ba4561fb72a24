"""Gradients as lists of tensors."""

from __future__ import annotations

from typing import Sequence, Tuple, Union

from tf1_wd._tf import tf

Scalar = Union[float, tf.Tensor]  # a scalar tensor where the number is known at run time only
Gradient = Union[tf.Tensor, tf.IndexedSlices, None]
Pairs = Sequence[Tuple[Gradient, tf.Variable]]


def as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def tensors_of(gradient):
    if gradient is None:
        return []
    return [gradient.values, gradient.indices] if isinstance(gradient, tf.IndexedSlices) else [gradient]
