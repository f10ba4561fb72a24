"""Tells from a few values of a gradient whether it is linear in the weights, and what it multiplies them by."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Sequence

import numpy as np

if TYPE_CHECKING:
    from tf1_wd._tf import tf

_TOLERANCE = 1e-8  # of float64 numbers that were added up
_ITERATIONS = 20  # of the power method
Values = List[np.ndarray]  # one array for each variable


class Kind(enum.Enum):
    """What a gradient is as a function of the weights."""

    MULTIPLE = "a number times each variable"
    LINEAR = "linear in each variable"
    ANCHORED = "linear in the distance of each variable from weights that are fixed"
    CONSTANT = "the same whatever the weights are"
    OTHER = "none of these"


IS_L2 = frozenset([Kind.MULTIPLE, Kind.LINEAR, Kind.ANCHORED])


class Probed(NamedTuple):
    """The Kind of a gradient, and more where it is linear.

    factors: {op of a variable: the number}, of a MULTIPLE. sign: 1.0 if a step along the gradient shrinks weights, or
    their distance, -1.0 if it makes them grow.
    """

    kind: Kind
    factors: dict[tf.Operation, float]
    sign: float = 1.0


OTHER, CONSTANT = Probed(Kind.OTHER, {}), Probed(Kind.CONSTANT, {})


class Trial(NamedTuple):
    """A gradient to be tried.

    gradient: f(weights, 0 or 1, 0 or 1): its values at these weights; the numbers choose one of two sets of values for
    the variables that do not train, and for the penalties inside. shapes: {op of a variable: shape}.
    """

    gradient: Callable[[Values, int, int], Values]
    shapes: dict[Any, list[int]]
    random: np.random.RandomState
    has_others: bool
    has_penalties: bool


def read_map(trial: Trial) -> Probed:
    """What the gradient is; OTHER also where its values are not finite."""
    with np.errstate(all="ignore"):
        return _read(trial)


def _read(trial: Trial) -> Probed:
    x, y = _point(trial), _point(trial)
    start = _at_zero(trial, x, 0)
    size = [np.abs(a).max(initial=0.0) for a in start]
    if not np.isfinite(size).all():
        return OTHER

    def linear(weights: Values) -> Values:
        return [g - g0 for g, g0 in zip(trial.gradient(weights, 0, 0), start)]

    of_x = linear(x)
    # far points first: they tell most terms of other kinds apart
    if not _close(linear([-1000.0 * a for a in x]), [-1000.0 * g for g in of_x], size):
        return OTHER
    of_y = linear(y)
    if not _close(linear([a + b for a, b in zip(x, y)]), [a + b for a, b in zip(of_x, of_y)], size):
        return OTHER
    if not _close(linear([1e-3 * a for a in y]), [1e-3 * g for g in of_y], size):
        return OTHER
    if trial.has_penalties and not _close(trial.gradient(x, 0, 1), trial.gradient(x, 0, 0), [0.0] * len(x)):
        return OTHER
    if all(_is_zero(g, s) for g, s in zip(of_x, size)):
        return CONSTANT
    factors = trial.random.uniform(0.5, 1.5, len(x))
    if not _close(linear([f * a for f, a in zip(factors, x)]), [f * g for f, g in zip(factors, of_x)], size):
        return OTHER  # the gradient by one variable depends on another
    return _of_linear(trial, (x, of_x), (y, of_y), start, linear)


def _of_linear(
    trial: Trial,
    at_x: tuple[Values, Values],
    at_y: tuple[Values, Values],
    start: Values,
    linear: Callable[[Values], Values],
) -> Probed:
    sizes = [np.abs(g).max(initial=0.0) for g in at_x[1]]
    changes, moves = False, any(_exceeds(g, s).any() for g, s in zip(start, sizes))
    if trial.has_others:
        other_start = _at_zero(trial, at_x[0], 1)
        moves = moves or any(_exceeds(g, s).any() for g, s in zip(other_start, sizes))
        other = [g - g0 for g, g0 in zip(trial.gradient(at_x[0], 1, 0), other_start)]
        changes = not _close(other, at_x[1], [0.0] * len(start))
    ratios = [g / a for a, g in zip(*at_x)]
    is_by_element = _close([r * a for r, a in zip(ratios, at_y[0])], at_y[1], [0.0] * len(start))
    if not is_by_element:
        sign = _definite(linear, at_x[0])
    else:
        if any(np.any(_exceeds(g, s) & ~_exceeds(h, s)) for g, h, s in zip(start, at_x[1], sizes)):
            return OTHER  # some weights would drift away
        sign = _sign([r.min(initial=0.0) for r in ratios], [r.max(initial=0.0) for r in ratios])
    if not sign:
        return OTHER
    if moves:
        return Probed(Kind.ANCHORED, {}, sign)
    if is_by_element and not changes and all(_is_uniform(r) for r in ratios):
        found = {op: float(r.flat[0]) for op, r in zip(trial.shapes, ratios) if r.size and r.flat[0]}
        return Probed(Kind.MULTIPLE, found, sign)
    return Probed(Kind.LINEAR, {}, sign)


def _point(trial: Trial) -> Values:
    """Random weights, none of them near 0."""
    return [
        trial.random.uniform(0.5, 2.0, shape) * trial.random.choice([-1.0, 1.0], shape)
        for shape in trial.shapes.values()
    ]


def _close(a: Values, b: Values, sizes: Sequence[float]) -> bool:
    """True if the arrays are equal but for rounding. sizes: the largest number that was taken off each of them."""
    for one, two, size in zip(a, b, sizes):
        if one.size:
            bound = max(np.abs(one).max(), np.abs(two).max(), size)
            if not np.abs(one - two).max() <= _TOLERANCE * bound:  # of nan, too
                return False
    return True


def _at_zero(trial: Trial, point: Values, of_others: int) -> Values:
    """The gradient at 0, if it is linear in the distance of any weights: at 0 itself, the root of a norm has none."""
    there, opposite = trial.gradient(point, of_others, 0), trial.gradient([-a for a in point], of_others, 0)
    return [(a + b) / 2.0 for a, b in zip(there, opposite)]


def _exceeds(values: np.ndarray, size: float) -> np.ndarray:
    """Where the values are more than rounding of numbers of this size."""
    return np.abs(values) > _TOLERANCE * size


def _is_zero(values: np.ndarray, size: float) -> bool:
    return not _exceeds(values, size).any()


def _is_uniform(ratio: np.ndarray) -> bool:
    return ratio.size == 0 or bool(np.ptp(ratio) <= _TOLERANCE * np.abs(ratio).max())


def _sign(least: Sequence[float], most: Sequence[float]) -> float:
    """1.0 or -1.0 if all numbers between these have this sign, or are 0; else 0.0."""
    low, high = min(least), max(most)
    bound = _TOLERANCE * max(-low, high)
    return 1.0 if low >= -bound else -1.0 if high <= bound else 0.0


def _definite(linear: Callable[[Values], Values], start: Values) -> float:
    """The sign of all eigenvalues of a symmetric map, by the power method; 0.0 if they have both signs."""
    largest = _eigenvalue(linear, start)
    opposite = largest + _eigenvalue(
        lambda v: [g - largest * a for g, a in zip(linear(v), v)], [a[..., ::-1] if a.ndim else a for a in start]
    )
    return 0.0 if largest * opposite < -1e-6 * largest**2 else float(np.sign(largest))


def _eigenvalue(linear: Callable[[Values], Values], vector: Values) -> float:
    """The eigenvalue that is largest in size."""
    found = 0.0
    for _ in range(_ITERATIONS):
        length = np.sqrt(sum(float(np.vdot(a, a)) for a in vector))
        if not length > 0.0:
            return found
        vector = [a / length for a in vector]
        image = linear(vector)
        found = sum(float(np.vdot(a, b)) for a, b in zip(vector, image))
        vector = image
    return found
