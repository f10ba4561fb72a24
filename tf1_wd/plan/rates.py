"""Which numbers are rates: by themselves, and once a scale multiplies them; knows no TensorFlow."""

from __future__ import annotations

import math
from typing import Any


def is_rate(value: Any) -> bool:
    """True for a number in [0, 1): what a step may take off a weight, which is never all of it. NaN is none."""
    return 0.0 <= value < 1.0


def is_coefficient(value: Any) -> bool:
    """True for a number that is a rate once a scale multiplies it: finite and not negative. NaN is none."""
    return 0.0 <= value < math.inf


def problem_of(rate: float, scale: Any) -> str:
    """What is wrong with a rate, in words; "" if nothing is.

    scale: what multiplies the rate: a float, or anything else where that is known at run time alone.
    """
    if not isinstance(scale, float):
        return "" if is_coefficient(rate) else " is not a finite number, 0 or more"
    if is_rate(rate * scale):
        return ""
    times = "" if scale == 1.0 else ", times scale %g," % scale
    return "%s is not a finite number in [0, 1), the part of a weight that a step may take off" % times
