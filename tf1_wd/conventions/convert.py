"""Rates converted between the conventions of other systems, where that is exact; imports no TensorFlow."""

from __future__ import annotations

import math
from typing import Any

from tf1_wd.conventions.table import AFTER, CONVENTIONS, ETA, LEARNING_RATE, NOTHING, Convention
from tf1_wd.errors import InvalidOptionError, InvalidRateError, NoEqualRateError


def convert_rate(
    rate: float,
    from_: str,
    to: str,
    learning_rate: float | None = None,
    eta: float | None = None,
    optimizer: str | None = None,
    approximate: bool = False,
) -> float:
    """The rate that does in one system what `rate` does in another: the same weights after every step.

        fraction of a weight that leaves it in a step:  rate * lr ("adamw": Keras, PyTorch, optax, BERT),
        rate * eta ("paper", "chainer"),  rate ("snippet", "contrib", "tf_addons")

    Args:
      rate: the rate in the system `from_`, a number that is not negative.
      from_, to: names of conventions, such as "snippet", "contrib", "paper", "keras", "pytorch", "pytorch_l2" (the
        keys of tf1_wd.conventions.CONVENTIONS).
      learning_rate: the learning rate, a constant; needed if one of the two multiplies by it and the other does not. To
        and from "paper" and "chainer" it is their alpha: the learning rate where eta is 1; eta may be a schedule.
      eta: the schedule multiplier of "paper" and "chainer", a constant; needed to and from "snippet" and "contrib".
      optimizer: "sgd" (without momentum), "momentum", "adam", ...; needed between L2 in the gradient and true decay.
      approximate: True converts between decay before and after the step too, which differ by rate * step a step.

    Returns: float.

    Raises: InvalidOptionError (an unknown name, or what is missing), InvalidRateError (not a number, more or less than
      a float holds, or a step would take a whole weight), NoEqualRateError (no rate does the same, and why; what to
      do instead).

    Example:
      >>> tf1_wd.convert_rate(5e-5, "contrib", "pytorch", learning_rate=1e-3)
      0.05

    Source: docs/guide/conventions.md; Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
    """
    source, target = _convention("from_", from_), _convention("to", to)
    rate = _number("rate", rate)
    if source.coupled != target.coupled:
        _refuse_coupled(from_, to, optimizer)
    converted = rate * source.factor / target.factor
    if not (source.coupled and target.coupled):
        converted *= _ratio(source.times, target.times, from_, to, learning_rate, eta)
        fraction = rate if source.times == NOTHING else converted
        if NOTHING in (source.times, target.times) and fraction >= 1:
            raise InvalidRateError(
                "rate=%g of %r takes %g of a weight off in a step, and must take less than 1" % (rate, from_, fraction)
            )
    if rate > 0 and not 0 < converted < math.inf:
        raise InvalidRateError(
            "rate=%g of %r would be %g of %r, beyond what a float holds: correct the rate, learning_rate=%r or eta=%r"
            % (rate, from_, converted, to, learning_rate, eta)
        )
    if source.order != target.order and not approximate:
        _refuse_order(rate if source.order == AFTER else converted, from_, to)
    return converted


def _convention(option: str, name: object) -> Convention:
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise InvalidOptionError(
            "%s=%r is unknown; choose one of: %s" % (option, name, ", ".join(map(repr, sorted(CONVENTIONS))))
        )
    return CONVENTIONS[name]


def _number(option: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidRateError("%s=%r is not a number" % (option, value)) from error
    if not math.isfinite(number) or number < 0:
        raise InvalidRateError("%s=%r must be finite and not negative" % (option, value))
    return number


def _ratio(source: str, target: str, from_: str, to: str, learning_rate: float | None, eta: float | None) -> float:
    """What a rate is multiplied by, from one system to another, so that times * rate stays the same."""
    if source == target:
        return 1.0
    # to and from eta: lr is eta * alpha, and eta falls out
    option, value = (LEARNING_RATE, learning_rate) if LEARNING_RATE in (source, target) else (ETA, eta)
    constant = _constant(option, value, from_, to)
    return constant if source == option else 1.0 / constant


def _constant(option: str, value: Any, from_: str, to: str) -> float:
    if value is None:
        raise InvalidOptionError(
            "%s= is missing: of %r and %r one multiplies its rate by it in every step, and the other does not"
            % (option, from_, to)
        )
    try:
        number = float(value)  # a Tensor of a graph, a function, an array or a schedule of Keras is none
    except (TypeError, ValueError) as error:
        raise NoEqualRateError(_SCHEDULE % (option, value, from_, to)) from error
    if not 0 < number < math.inf or math.isinf(1 / number):
        raise InvalidOptionError(
            "%s=%r must be a finite number greater than 0, and 1 / %s finite too" % (option, value, option)
        )
    return number


_SCHEDULE = (
    "%s=%r is no constant: of %r and %r one multiplies its rate by it in every step, and the other does not, so that "
    "no rate is equal in all steps. In tf1_wd pass scale=, which takes 'learning_rate', a Tensor and a callable of the "
    "global step; elsewhere give the rate the same schedule"
)


def _refuse_coupled(from_: str, to: str, optimizer: object) -> None:
    if optimizer is None:
        raise InvalidOptionError(
            "optimizer= is missing: of %r and %r one adds the decay to the gradient, and what becomes of it there "
            "depends on the optimizer: 'sgd' (without momentum), 'momentum', 'adam', ..." % (from_, to)
        )
    if not isinstance(optimizer, str):
        raise InvalidOptionError("optimizer=%r: pass its name, such as 'sgd', 'momentum' or 'adam'" % (optimizer,))
    optimizer = optimizer.lower()
    if optimizer != "sgd":
        raise NoEqualRateError(
            "L2 in the gradient and decay of the weights (%r and %r) have equal rates under plain SGD alone; %s. "
            "Convert between systems of one kind, or search for the rate anew"
            % (from_, to, _WHY.get(optimizer, "%r does more to a gradient than to multiply it" % optimizer))
        )


_WHY = {
    "momentum": "momentum carries the L2 of earlier weights on into later steps",
    "adam": "Adam divides the L2 by the same running variance as the rest of the gradient",
}


def _refuse_order(fraction: float, from_: str, to: str) -> None:
    after, before = (from_, to) if CONVENTIONS[from_].order == AFTER else (to, from_)
    raise NoEqualRateError(
        "%r decays the weights after the step and %r those before it: (1 - r)(w - step) is w - (1 - r) step - r w, so "
        "with r = %g a step of %r is %g %% shorter. Equal is a learning rate of %g times its own in %r, where all "
        "variables decay at one constant rate; or pass approximate=True"
        % (after, before, fraction, after, 100 * fraction, 1 - fraction, before)
    )
