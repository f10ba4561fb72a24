"""The scalars of variables alone that a loss is made of, and how they enter it."""

from __future__ import annotations

import enum
from typing import AbstractSet, Iterator, NamedTuple, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.linear import Reading
from tf1_wd.graph.op_types import COPIES, PLACEHOLDERS, REDUCTIONS, RESHAPES, SUMS, SUMS_OF_TERMS
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.penalties.coefficients import Seeds, numbers_behind, numeric_inputs

_MANY = 100  # scalars that are not looked at one by one


class Entry(enum.Enum):
    """What the coefficient of a scalar in the loss is made of."""

    CONSTANT = "constants"
    RUN_TIME = "what is fed, or variables that do not train"
    OTHER = "weights"
    UNKNOWN = "unknown"  # ops that cannot be looked into


class Summand(NamedTuple):
    """A scalar of variables alone in a loss."""

    tensor: tf.Tensor
    entry: Entry


def summands_of(
    ys: Sequence[tf.Tensor],
    ops: Sequence[tf.Operation],
    begin: Sequence[tf.Operation],
    moving: AbstractSet[tf.Operation],
    fed: AbstractSet[tf.Operation],
    grad_ys: Seeds,
) -> list[Summand]:
    """The scalars that depend on variables alone, and enter ys as a term does: their coefficient depends on no data.

    Left out are scalars inside of a model, whose coefficient depends on what the model is given. There are none where
    ys as a whole depend on variables alone: what is a term and what the loss cannot be told apart there.

    ops: the ancestors of ys. begin: those of them that are differentiated by. moving: those that depend on these by
    another way than through known penalties. fed: what `fed_among` says of ops.
    """
    consumers = graph.consumers_among(ops)
    roots = [op for op in ops if op in moving and op not in fed and _is_root(op, ys, fed, consumers)]
    found = {t.op: (t, root) for root in roots for t in split(root.outputs[0], moving)}
    if not found:
        return []
    tensors, weights = [t for t, _ in found.values()], weights_of(ys, begin)
    inner = {op for t in tensors for op in graph.ancestors([t]) if op is not t.op}
    summands = []
    for (tensor, root), numbers in zip(found.values(), _numbers(ys, tensors, grad_ys)):
        entry = Entry.UNKNOWN if numbers is None else None if numbers[0] is None else entry_of(numbers[0], weights)
        is_added = any(c in fed and c.type in SUMS_OF_TERMS for c in consumers.get(root, ()))
        if entry is not None and (entry is not Entry.UNKNOWN or is_added):
            summands.append(Summand(tensor, Entry.OTHER if tensor.op in inner else entry))
    return summands


def _numbers(
    ys: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor], grad_ys: Seeds
) -> list[list[list[tf.Tensor] | None] | None]:
    """What numbers_behind says of each tensor alone, so that one in a loop hides no other."""
    together = numbers_behind(ys, tensors, grad_ys)
    if together is not None:
        return [[numbers] for numbers in together]
    return [numbers_behind(ys, [t], grad_ys) if len(tensors) <= _MANY else None for t in tensors]


def weights_of(ys: Sequence[tf.Tensor], begin: Sequence[tf.Operation]) -> set[tf.Operation]:
    """The ops of the variables that train, or are differentiated by."""
    trained = trainable_variables(_tf.outermost(ys[0].graph))
    return {op for op in map(_tf.outer_op, begin) if graph.is_variable(op)} | set(map(graph.variable_op, trained))


def fed_among(ops: Sequence[tf.Operation]) -> set[tf.Operation]:
    """The ops that depend on what comes from outside of the graph and its variables."""
    inputs = [op for op in ops if graph.is_input(op)]
    return set(inputs) | set(graph.between(inputs, ops))


def split(
    tensor: tf.Tensor, moving: AbstractSet[tf.Operation], known: AbstractSet[tf.Operation] = frozenset()
) -> Iterator[tf.Tensor]:
    """The summands of a scalar that move with weights, without their factors; plain reads of variables are none.

    moving: ops that depend on weights. known: ops that are summands as they are.
    """
    reading = Reading(lambda op: _factor_at(op, moving), COPIES | RESHAPES, SUMS | {"Pack"})
    pending, seen = [tensor], set()
    while pending:
        t = pending.pop()
        if t.op in seen or t.op not in moving or graph.read_source(t) is not None:
            continue
        seen.add(t.op)
        if t.op in known:
            yield t
            continue
        if t.op.type in REDUCTIONS:
            inner = graph.through(t.op.inputs[0], COPIES | RESHAPES)
            whole = inner.shape.num_elements() == 1 or (inner.op.type == "Pack" and _is_list(inner.op))
            parts = list(inner.op.inputs) if whole and inner.op.type == "Pack" else [inner] if whole else None
        else:
            found = reading.parts(t.op)
            parts = None if found is None else [part.tensor for part in found]
        if parts is None or not all(part.shape.num_elements() == 1 for part in parts):
            yield t
        else:
            pending.extend(parts)


def _is_list(pack: tf.Operation) -> bool:
    return all(t.shape.num_elements() == 1 for t in pack.inputs)


def _factor_at(op: tf.Operation, moving: AbstractSet[tf.Operation]) -> int | None:
    """The place of an input that does not move with weights, beside one that does."""
    return next((i for i, t in enumerate(op.inputs) if t.op not in moving), None)


def _is_root(
    op: tf.Operation,
    ys: Sequence[tf.Tensor],
    fed: AbstractSet[tf.Operation],
    consumers: dict[tf.Operation, list[tf.Operation]],
) -> bool:
    """True for a scalar of variables alone that something else is made of, or that stands beside it in ys."""
    is_y = any(y.op is op for y in ys) and any(y.op in fed for y in ys)
    return may_be_a_term(op, ys) and (is_y or any(c in fed for c in consumers.get(op, ())))


def may_be_a_term(op: tf.Operation, ys: Sequence[tf.Tensor]) -> bool:
    """True for a scalar outside of other branches and loops than those of ys, and no plain read of a variable."""
    if not op.outputs or op.outputs[0].shape.num_elements() != 1 or not op.outputs[0].dtype.is_floating:
        return False
    return graph.read_source(op.outputs[0]) is None and _tf.control_flow_context(op) in _contexts(ys)


def _contexts(ys: Sequence[tf.Tensor]) -> list[object]:
    return [None, *(_tf.control_flow_context(y.op) for y in ys)]


def entry_of(numbers: Sequence[tf.Tensor], weights: AbstractSet[tf.Operation]) -> Entry | None:
    """What a coefficient is made of; None if that is data."""
    found = Entry.CONSTANT
    for op in map(_tf.outer_op, graph.ancestors(numbers, inputs=numeric_inputs)):
        if op in weights:
            found = Entry.OTHER
        elif graph.is_variable(op) and found is Entry.CONSTANT:
            found = Entry.RUN_TIME
        elif graph.is_input(op):
            if op.type not in PLACEHOLDERS or not _may_be_scalar(op.outputs[0]):
                return None
            found = Entry.RUN_TIME if found is Entry.CONSTANT else found
    return found


def _may_be_scalar(tensor: tf.Tensor) -> bool:
    return tensor.shape.rank is None or tensor.shape.num_elements() == 1
