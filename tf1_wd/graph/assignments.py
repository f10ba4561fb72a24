"""Reads a train_op that exists: which variables are updated behind it, with which gradients."""

from __future__ import annotations

from typing import Container, Iterable, Iterator, Sequence

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.op_types import ASSIGNMENTS, CALLS, PLACEHOLDERS, SCATTERS
from tf1_wd.graph.variables import holder, is_variable, variable_op
from tf1_wd.graph.walk import ancestors, argument

_UPDATES = ASSIGNMENTS | SCATTERS
# ops that show a number to people, and hand it to nobody else
_LOGS = frozenset(["Assert", "Print", "PrintV2", "WriteHistogramSummary", "WriteScalarSummary", "WriteSummary"])


def updates_among(ops: Iterable[tf.Operation], train_op: tf.Operation) -> list[tuple[tf.Operation, list[tf.Operation]]]:
    """[(trainable variable, its update ops)] among `ops`, in the order in which the variables were made."""
    variables = {variable_op(v): v for v in tf.trainable_variables()}
    found: dict[tf.Operation, list[tf.Operation]] = {}
    for op in ops:
        holders = [holder for holder in map(holder, op.inputs) if holder in variables]
        if not holders:
            continue
        updates = holders[0] is written_variable(op)
        if op.type in CALLS or (updates and _tf.control_flow_context(op) is not None):
            raise UnsupportedUpdateError(
                "the update of %s in %s is inside a cond, a loop or a function and may be skipped, but a decay "
                "attached from outside would not be: put tf1_wd.decoupled_weight_decay around the code that builds %s"
                % (holders[0].name, op.name, train_op.name)
            )
        if updates:
            found.setdefault(holders[0], []).append(op)
    if not found:
        raise UnsupportedUpdateError(
            "no trainable variable is updated behind %s. With SyncReplicasOptimizer the train_op only passes tokens: "
            "put tf1_wd.decoupled_weight_decay around the code that builds it. What newer Keras optimizers return in a "
            "graph is a counter, behind which nothing is trained: use one of tf.train" % train_op.name
        )
    return [(variable, found[op]) for op, variable in variables.items() if op in found]


def written_variable(op: tf.Operation) -> tf.Operation | None:
    """The op of the variable that `op` assigns, or updates by a gradient; None if it does neither."""
    if not op.inputs or not ("Apply" in op.type or op.type in _UPDATES):
        return None
    written = holder(op.inputs[0])
    return written if is_variable(written) else None


def destinations(tensor: tf.Tensor, trained: Container[tf.Operation]) -> Iterator[tf.Operation | None]:
    """The variables (ops) that a tensor goes into, as they are met; None for what the graph does not show, as a queue.

    trained: variables that are not followed further; another, as an accumulator is, leads on to what reads it.
    """
    seen: set[tf.Operation] = set()
    pending = [tensor]
    while pending:
        for op in pending.pop().consumers():
            if op in seen:
                continue
            seen.add(op)
            written = written_variable(op)
            if written is not None:
                yield written
                pending += [] if written in trained else written.outputs
            elif op.type not in _LOGS and (not op.outputs or op.type in CALLS or op.op_def.is_stateful):
                yield None
            else:
                pending += op.outputs


def gradient_of(op: tf.Operation) -> tf.Tensor:
    """What an update op takes as the gradient, or as the amount to assign."""
    gradient = argument(op, ("grad", "delta", "value", "updates", "ref_updates"))
    return op.inputs[-1] if gradient is None else gradient


def origin(gradient: Sequence[tf.Tensor], variable: tf.Operation) -> str:
    """Where a gradient comes from that no call of tf.gradients made, as words for a message; "" if that is not seen."""
    ops = ancestors(gradient)
    fed = [op.name for op in ops if op.type in PLACEHOLDERS]
    return " (it is fed through the placeholder %s)" % fed[0] if fed and variable not in ops else ""
