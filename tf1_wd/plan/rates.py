"""Which numbers are rates: by themselves, and once a scale multiplies them; knows no TensorFlow."""

from __future__ import annotations

import math
from typing import Any

from tf1_wd.errors import InvalidRateError


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


def multiplied_by_learning_rate(rate: float, scale: Any) -> str:
    """What to do about a rate that is meant to be multiplied by the learning rate, in words; "" if it is not."""
    if not isinstance(scale, float) or scale != 1.0 or not 1.0 <= rate < math.inf:
        return ""
    return (
        "; or, if the learning rate is to multiply it, as it does in AdamW and with L2 in the loss, pass "
        "convention='adamw' (which is scale='learning_rate')"
    )


def check_rate(rate: float, name: str, where: str, scale: Any = 1.0, has_convention: bool = False) -> None:
    """Raises InvalidRateError if `rate`, that of the variable `name`, makes no decay with a scale; see `problem_of`.

    has_convention: True where the user can let the learning rate multiply it, by an option.
    """
    problem = problem_of(rate, scale)
    if problem:
        advice = "Correct the coefficient, or give another with rates=" + (
            multiplied_by_learning_rate(rate, scale) if has_convention else ""
        )
        words = "decay rate %r of variable %s (%s)%s. %s" % (rate, name, where, problem, advice)
        raise InvalidRateError(words, variable=name)


def number_of(value: Any, option: str) -> float:
    """`value`, that of a rate by an option, as a float. Raises InvalidRateError if it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InvalidRateError("%s=%r is not a number" % (option, value), option=option) from error


def given_as(value: Any, option: str, scale: Any, has_convention: bool) -> float:
    """`value`, that of a rate by an option, as a float. Raises InvalidRateError if it makes no decay with a scale."""
    rate = number_of(value, option)
    problem = problem_of(rate, scale)
    if problem:
        advice = "Give another" + (multiplied_by_learning_rate(rate, scale) if has_convention else "")
        raise InvalidRateError("decay rate %r given as %s%s. %s" % (rate, option, problem, advice), option=option)
    return rate
