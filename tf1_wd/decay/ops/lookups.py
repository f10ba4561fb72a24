"""Which rows of a table the loss of a gradient reads, where it reads nothing else of it."""

from __future__ import annotations

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.lookups import Lookup, readers
from tf1_wd.penalties.gradient_call import GradientCall


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


def _advice(table: tf.Operation, op: tf.Operation, how: str) -> str:
    return (
        "sparse='lazy' needs to bring rows up to date before they are read, and %s reads %s %s: use tf.gather or "
        "tf.nn.embedding_lookup there, or another sparse=" % (op.name, table.name, how)
    )
