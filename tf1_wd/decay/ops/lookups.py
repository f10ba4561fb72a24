"""Where a graph reads rows of a table, and where it reads the table in any other way. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.op_types import LOOKUPS, READS_OF_TABLES
from tf1_wd.penalties.gradient_call import GradientCall

# ops that look at no weight
_SHAPES = frozenset(["Shape", "ShapeN", "Size", "Rank", "VariableShape", "VarIsInitializedOp", "IsVariableInitialized"])


@dataclass(frozen=True, eq=False)
class Lookup:
    """An op that reads rows of a table, for tf.gather or tf.nn.embedding_lookup.

    ids: its indices. reads: the ops that must wait for a write to the rows, so that it sees them: itself, and what
    reads the whole of a resource variable for it.
    """

    op: tf.Operation
    ids: tf.Tensor
    reads: tuple[tf.Operation, ...]


def readers(
    table: tf.Operation, members: frozenset[tf.Operation] | None = None
) -> tuple[list[Lookup], list[tf.Operation]]:
    """(lookups, ops that read the table in another way) of a variable. members: the ops to look among; None: all."""
    lookups: list[Lookup] = []
    others: list[tf.Operation] = []
    pending: list[tuple[tf.Operation, tuple[tf.Operation, ...]]] = [(table, ())]
    while pending:
        source, reads = pending.pop()
        for op in dict.fromkeys(source.outputs[0].consumers()):
            if (members is not None and op not in members) or op.type in _SHAPES:
                continue
            if op.type in READS_OF_TABLES:
                pending.append((op, (*reads, op) if op.type == "ReadVariableOp" else reads))
            elif _is_lookup(op, source):
                lookups.append(Lookup(op, op.inputs[1], (*reads, op)))
            else:
                others.append(op)
    return lookups, others


def lookups_in(table: tf.Operation, call: GradientCall) -> list[Lookup]:
    """The lookups of a table in one GradientCall; [] if its loss does not read the table.

    Raises UnsupportedUpdateError if the loss reads the table in another way, other than for a penalty.
    """
    members = frozenset(call.ops)
    lookups, others = readers(table, members)
    penalties = set(graph.ancestors([p.tensor for p in call.penalties if table in p.factors]))
    for op in others:
        if op.type in graph.GATES or op.type in graph.CALLS:
            raise UnsupportedUpdateError(_advice(table, op, "in a cond, a loop or a function"))
        if op not in penalties:
            raise UnsupportedUpdateError(_advice(table, op, "as a whole (%s)" % op.type))
    for lookup in lookups:
        if _tf.control_flow_context(lookup.op) is not None:
            raise UnsupportedUpdateError(_advice(table, lookup.op, "in a cond or a loop"))
    return lookups


def _is_lookup(op: tf.Operation, source: tf.Operation) -> bool:
    if op.type not in LOOKUPS or op.inputs[0].op is not source:
        return False
    axis = _tf.constant_value(op.inputs[2]) if op.type == "GatherV2" else 0
    return axis == 0 and ("batch_dims" not in op.node_def.attr or op.get_attr("batch_dims") == 0)


def _advice(table: tf.Operation, op: tf.Operation, how: str) -> str:
    return (
        "sparse='lazy' needs to bring rows up to date before they are read, and %s reads %s %s: use tf.gather or "
        "tf.nn.embedding_lookup there, or another sparse=" % (op.name, table.name, how)
    )
