"""Gradients as lists of tensors."""

from __future__ import annotations

from tf1_wd._tf import tf


def as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def tensors_of(gradient):
    if gradient is None:
        return []
    return [gradient.values, gradient.indices] if isinstance(gradient, tf.IndexedSlices) else [gradient]
