"""Gradients as lists of tensors."""

from __future__ import annotations

from typing import Any, Sequence, Tuple, Union

from tf1_wd._tf import tf

Scalar = Union[float, tf.Tensor]  # a scalar tensor where the number is known at run time only
Gradient = Union[tf.Tensor, tf.IndexedSlices, None]
Pairs = Sequence[Tuple[Gradient, tf.Variable]]


def is_zero(number: Scalar) -> bool:
    """True for the number 0, not for a tensor that may be 0 at run time."""
    return isinstance(number, float) and number == 0.0


def as_list(value: Any) -> list[Any]:
    """A list of what an argument of tf.gradients holds: one thing, several, or none."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def tensors_of(gradient: Gradient) -> list[tf.Tensor]:
    """The tensors that a gradient consists of, its values first."""
    if gradient is None:
        return []
    return [gradient.values, gradient.indices] if isinstance(gradient, tf.IndexedSlices) else [gradient]
