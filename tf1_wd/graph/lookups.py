"""Where a graph reads rows of a table, and where it reads the table in any other way. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import LOOKUPS, READS_OF_TABLES

# ops that look at no weight
_SHAPES = frozenset(["Shape", "ShapeN", "Size", "Rank", "VariableShape", "VarIsInitializedOp", "IsVariableInitialized"])


@dataclass(frozen=True, eq=False)
class Lookup:
    """An op that reads rows of a table, for tf.gather or tf.nn.embedding_lookup.

    op: the op. ids: its indices. reads: the ops that must wait for a write to the rows, so that it sees them: itself,
    and what reads the whole of a resource variable for it.
    """

    op: tf.Operation
    ids: tf.Tensor
    reads: tuple[tf.Operation, ...]


def readers(
    table: tf.Operation, members: frozenset[tf.Operation] | None = None
) -> tuple[list[Lookup], list[tf.Operation]]:
    """(lookups, ops that read the table in another way) of a variable.

    table: the op of the variable. members: the ops to look among; None means the whole graph.
    """
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


def _is_lookup(op: tf.Operation, source: tf.Operation) -> bool:
    if op.type not in LOOKUPS or op.inputs[0].op is not source:
        return False
    axis = _tf.constant_value(op.inputs[2]) if op.type == "GatherV2" else 0
    return axis == 0 and ("batch_dims" not in op.node_def.attr or op.get_attr("batch_dims") == 0)
