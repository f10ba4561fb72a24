"""What the option scale= may be; knows no TensorFlow."""

from __future__ import annotations

import math
from typing import Any

from tf1_wd.conventions.table import LEARNING_RATE
from tf1_wd.errors import InvalidOptionError, NothingToDecayError


def is_function(value: Any) -> bool:
    """True for a function, and not for a Tensor or a variable, which may be callable too."""
    return callable(value) and not hasattr(value, "dtype")


def check_scale(value: Any) -> Any:
    """The option scale= as it is used: a float, "learning_rate", a scalar Tensor, a variable or a function.

    Raises InvalidOptionError, NothingToDecayError.
    """
    if isinstance(value, str):
        if value != LEARNING_RATE:
            raise InvalidOptionError(
                "scale=%r is unknown; it takes a float, a scalar Tensor, a callable of the global step, or %r"
                % (value, LEARNING_RATE)
            )
        return value
    # a variable is told by assign: in eager mode it has no graph and no op, and is a number as well
    if any(hasattr(value, name) for name in ("graph", "op", "assign")):
        check_scalar(value)
        return value
    return value if is_function(value) else _number(value)


def check_scalar(tensor: Any) -> None:
    """Raises InvalidOptionError for a Tensor or variable, given as scale=, that is known to be no scalar."""
    rank = tensor.shape.rank if hasattr(tensor.shape, "rank") else len(tensor.shape)  # a tuple, in Keras 3
    if rank not in (None, 0):
        raise InvalidOptionError(
            "scale must be a scalar; %s has shape %s" % (tensor.name, tensor.shape), option="scale"
        )


def refuse_zero(is_zero: bool, what: str) -> None:
    """Raises NothingToDecayError if the scale that the words `what` stand for is 0 in every step."""
    if is_zero:
        raise NothingToDecayError(
            "%s is 0, so nothing would ever decay: pass another scale=, or build the train_op without tf1_wd" % what
        )


def _number(value: Any) -> float:
    try:
        scale = float(value) if getattr(value, "shape", ()) == () else None
    except (TypeError, ValueError):
        scale = None
    if scale is None:
        raise InvalidOptionError(
            "scale must be a scalar: a float, a scalar Tensor, a callable of the global step, or %r; got %r"
            % (LEARNING_RATE, value)
        )
    if not math.isfinite(scale) or scale < 0:
        raise InvalidOptionError("scale=%r must be finite and not negative" % value)
    refuse_zero(scale == 0.0, "scale=%r" % value)
    return scale
