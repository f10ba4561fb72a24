"""L2 inside of gradients that were computed elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

from tf1_wd import _tf, graph
from tf1_wd.graph.op_types import CLIPS, COPIES, JOINS, PARTS, PRODUCTS, REARRANGEMENTS, REDUCTIONS, SIGNS, SUMS

if TYPE_CHECKING:
    from tf1_wd._tf import tf

# ops through which a summand of a gradient passes, if only in part
_PASSES = SUMS.union(SIGNS, REDUCTIONS, COPIES, REARRANGEMENTS, PARTS, JOINS, CLIPS)
_PASSES |= {"IdentityN", "Print", "StopGradient", "ReadVariableOp", "Switch", "Merge"}


def holds_l2(gradient: tf.Tensor, variable: tf.Operation) -> bool:
    """True if a multiple of the variable itself is a summand of the gradient, whatever clips or masks it."""
    return any(True for _ in l2_in(gradient, variable))


def l2_in(
    gradient: tf.Tensor, variable: tf.Operation, known: frozenset[tf.Operation] | set[tf.Operation] = frozenset()
) -> Iterator[tf.Operation]:
    """The ops of the summands of a gradient that are multiples of the variable itself, whatever clips or masks them.

    known: ops that are given back where they are met, and are not looked into.
    """
    seen: set[tf.Operation] = set()
    pending = [gradient]
    while pending:
        op = _tf.outer_op(pending.pop().op)
        if op in seen:
            continue
        seen.add(op)
        if op is variable:
            continue
        if op in known:
            yield op
        elif graph.is_variable(op):  # an accumulator: what is assigned to it counts
            pending.extend(t for c in op.outputs[0].consumers() if "Assign" in c.type for t in list(c.inputs)[1:])
        elif op.type in PRODUCTS:
            if _is_multiple(op.outputs[0], variable):
                yield op
            elif not any(_is_multiple(tensor, variable) for tensor in op.inputs):  # a factor is no summand
                pending.extend(op.inputs)
        elif op.type in _PASSES:
            pending.extend(op.inputs)


def _is_multiple(tensor: tf.Tensor, variable: tf.Operation) -> bool:
    """True for a read of the variable, and for that times a number that does not depend on it, as of a norm does."""
    op = tensor.op
    if op.type == "Pow":
        return _is_multiple(op.inputs[0], variable)
    if op.type in PRODUCTS:
        pairs = [(op.inputs[0], op.inputs[1]), (op.inputs[1], op.inputs[0])][: 2 if op.type == "Mul" else 1]
        return any(_is_multiple(t, variable) and _is_number(factor, variable) for t, factor in pairs)
    return variable in (graph.variables_behind(tensor) or ())


def _is_number(factor: tf.Tensor, variable: tf.Operation) -> bool:
    return graph.is_uniform(factor) and variable not in graph.ancestors([factor], inputs=graph.sources)
