"""A scalar that is constant between some numbers of updates, as tf.train.piecewise_constant makes it."""

from __future__ import annotations

import math
from typing import Callable, NamedTuple

from tf1_wd import _tf, graph
from tf1_wd.graph.op_types import PASSED_BY_SCHEDULES, SELECTS

CHOICES = SELECTS | {"Merge"}
# op type -> (the comparison, the last whole number on this side of a bound)
_COMPARISONS: dict = {
    "LessEqual": (lambda step, bound: step <= bound, math.floor),
    "Greater": (lambda step, bound: step > bound, math.floor),
    "Less": (lambda step, bound: step < bound, lambda bound: math.ceil(bound) - 1),
    "GreaterEqual": (lambda step, bound: step >= bound, lambda bound: math.ceil(bound) - 1),
}
_LOGIC: dict = {
    "LogicalAnd": lambda a, b: a and b,
    "LogicalOr": lambda a, b: a or b,
    "LogicalNot": lambda a: not a,
}


class NotKnown(Exception):
    """The tensor depends on more than constants and a counter."""


class _Function(NamedTuple):
    """bounds: where the value may change: behind these numbers of updates. at: the value at a number of updates."""

    bounds: frozenset
    at: Callable


def origin(tensor):
    """A tensor, seen through what changes no number."""
    return graph.through(tensor, PASSED_BY_SCHEDULES)


def operands(op):
    """The tensors that an op computes from; of the Merge of a cond: predicate, value if true, value if not."""
    if op.type != "Merge":
        return op.inputs
    predicates = [_tf.predicate(t.op) for t in op.inputs]
    if len(predicates) != 2 or None in predicates or len(set(map(graph.key, predicates))) > 1:
        raise NotKnown
    return [predicates[0], op.inputs[1], op.inputs[0]]


def pieces_of(tensor, is_step, constants):
    """(boundaries, values) of a scalar, as PiecewiseConstantDecay of Keras takes them; None if it is something else.

    is_step(tensor): True for the number of updates so far. constants: Constants.
    """
    try:
        function = _function(tensor, is_step, constants)
    except NotKnown:
        return None
    boundaries = [b for b in sorted(function.bounds) if function.at(b) != function.at(b + 1)]
    values = [function.at(b) for b in boundaries]
    return (boundaries, [*values, function.at(boundaries[-1] + 1)]) if boundaries else None


def _function(tensor, is_step, constants):
    """Recursive: schedules are small."""
    tensor = origin(tensor)
    value = constants.number(tensor)
    if value is not None:
        return _Function(frozenset(), lambda step: value)
    op = tensor.op
    if op.type in _COMPARISONS:
        compare, last = _COMPARISONS[op.type]
        bound = constants.number(op.inputs[1])
        if bound is None or not math.isfinite(bound) or not _is_step(op.inputs[0], is_step):
            raise NotKnown
        return _Function(frozenset([int(last(bound))]), lambda step: compare(step, bound))
    if op.type not in _LOGIC and op.type not in CHOICES:
        raise NotKnown
    parts = [_function(t, is_step, constants) for t in operands(op)]
    bounds = frozenset().union(*(part.bounds for part in parts))
    if op.type in _LOGIC:
        return _Function(bounds, lambda step: _LOGIC[op.type](*(part.at(step) for part in parts)))
    chosen, if_true, if_not = parts
    return _Function(bounds, lambda step: (if_true if chosen.at(step) else if_not).at(step))


def _is_step(tensor, is_step):
    """True for the number of updates, or a cast of it."""
    tensor = origin(tensor)
    while not is_step(tensor) and tensor.op.type == "Cast":
        tensor = origin(tensor.op.inputs[0])
    return is_step(tensor)
