"""Terms of variables that a program adds to a tensor of its loss element by element, before all of that is summed up.

loss = tf.reduce_sum(x * w + 0.1 * tf.square(w))      the term is 0.1 * tf.square(w)
"""

from __future__ import annotations

import contextlib
from typing import AbstractSet, Any, NamedTuple, Sequence

import numpy as np

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.linear import Reading
from tf1_wd.graph.op_types import COPIES, REDUCTIONS, RESHAPES, SUMS
from tf1_wd.graph.subgraph import can_be_copied
from tf1_wd.penalties.coefficients import Seeds, derivatives, in_place
from tf1_wd.penalties.probe import scratch_session


class Element(NamedTuple):
    """A tensor of variables alone whose sum enters a loss. is_even: True if each of its elements counts alike."""

    tensor: tf.Tensor
    is_even: bool


def elements_of(
    ys: Sequence[tf.Tensor], moving: AbstractSet[tf.Operation], fed: AbstractSet[tf.Operation]
) -> list[Element]:
    """The tensors of variables alone, of more than one element, whose sum enters ys beside something else.

    moving: the ops that depend on what is differentiated by. fed: those that depend on what is fed or read.
    """

    def factor_at(op: tf.Operation) -> int | None:
        factors = [i for i, t in enumerate(op.inputs) if t.op not in moving]
        return next((i for i in factors if _is_scalar(op.inputs[i]) or op.inputs[i].op not in fed), None)

    reading = Reading(factor_at, COPIES | RESHAPES | REDUCTIONS, SUMS)
    found, seen, pending = [], set(), [Element(y, True) for y in ys]
    while pending:
        tensor, is_even = pending.pop()
        if tensor.op in seen or tensor.op not in moving:
            continue
        seen.add(tensor.op)
        if tensor.op in fed:
            for part in reading.parts(tensor.op) or ():
                counts_alike = part.scalar is None or _is_scalar(part.scalar) or graph.is_uniform(part.scalar)
                pending.append(Element(part.tensor, is_even and counts_alike))
        elif not _is_scalar(tensor) and graph.read_source(tensor) is None:
            found.append(Element(tensor, is_even))
    return found


def _is_scalar(tensor: tf.Tensor) -> bool:
    return bool(tensor.shape.num_elements() == 1)


def even_coefficients(
    ys: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor], grad_ys: Seeds = None
) -> list[Scalar | None]:
    """d ys / d element of tensors whose elements count alike: a float where constants give it, else a scalar tf.Tensor.

    None stands for a tensor that no gradient reaches.
    """
    if not tensors:
        return []
    sources = {t.op for t in tensors}
    ops = graph.between(sources, graph.ancestors(ys, stop=sources))
    found: list[Any] = [None] * len(tensors)
    if all(map(can_be_copied, ops)):
        copies = [d for d in derivatives(ys, tensors, grad_ys, ops) if d is not None]
        found = _numbers(copies) if len(copies) == len(tensors) else found
    unknown = [i for i, value in enumerate(found) if value is None]
    for i, value in zip(unknown, in_place(ys, [tensors[i] for i in unknown], grad_ys) if unknown else ()):
        found[i] = value
    return found


def _numbers(copies: Sequence[tf.Tensor]) -> list[float | None]:
    """The first element of each, by trial; None if it needs what only a run has, a feed or the size of a batch."""
    found: list[float | None] = []
    with contextlib.closing(scratch_session(copies[0].graph)) as session:
        for tensor in copies:
            try:
                found.append(float(np.ravel(session.run(tf.convert_to_tensor(tensor)))[0]))
            except tf.errors.OpError:
                found.append(None)
    return found
