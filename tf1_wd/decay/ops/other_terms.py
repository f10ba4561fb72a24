"""Terms that take a gradient step of their own, beside that of the optimizer, as the pasted snippet takes it."""

from __future__ import annotations

from typing import NamedTuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.subgraph import can_be_copied, copy_ops, on_values
from tf1_wd.penalties.find import Term


class Replay(NamedTuple):
    """A term with a step of its own.

    factors: {op of a variable: what multiplies the gradient by it}, for those that it moves; others are constants.
    """

    term: Term
    factors: dict[tf.Operation, Scalar]


def term_steps(
    replay: Replay, variables: dict[tf.Operation, tf.Variable], scale: Scalar
) -> list[tuple[tf.Variable, tf.Tensor]]:
    """(variable, scale * factor * d rest / d variable) for what no penalty of a term is, on weights read at run time.

    variables: {op: tf.Variable}, at least those that the term moves. scale: float or scalar tensor. The reads obey the
    control dependencies in force.
    Raises UnsupportedUpdateError for a term with control flow in it.
    """
    term = replay.term
    penalties = frozenset(p.tensor.op for p in term.penalties)
    ops = graph.ancestors([term.tensor], stop=penalties)
    mine = {op: _tf.fresh_read(v) for op, v in variables.items() if op in replay.factors}
    moving = [op for op in graph.between(list(mine), ops) if op not in penalties]
    moving = [op for op in moving if graph.read_source(op.outputs[0]) not in mine]
    for op in moving:
        if not can_be_copied(op):
            raise UnsupportedUpdateError(
                "the term %s goes through %s (%s), which cannot be replayed after the update: "
                "add the term to the loss, or take it out of the collection" % (term.tensor.name, op.name, op.type)
            )

    def replacement(tensor: tf.Tensor) -> tf.Tensor:
        source = graph.read_source(tensor)
        if source not in mine:
            return tensor
        return mine[source] if tensor.dtype == tf.resource else tf.cast(mine[source], tensor.dtype.base_dtype)

    copy = copy_ops(moving, replacement, "weight_decay_term", on_values)
    steps = _tf.gradients([copy(term.tensor)], list(mine.values()))
    found = []
    for op, step in zip(mine, steps):
        if step is not None:
            step = tf.convert_to_tensor(step)
            factor = replay.factors[op]
            if not isinstance(factor, float) or factor != 1.0:
                step *= tf.cast(factor, step.dtype)
            found.append((variables[op], step * tf.cast(scale, step.dtype)))
    return found
