"""Terms that take a gradient step of their own, beside that of the optimizer, as the pasted snippet takes it."""

from __future__ import annotations

from typing import NamedTuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.sparse_rows import gather
from tf1_wd.decay.ops.weights import Amounts, on_device
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.subgraph import can_be_copied, copy_ops, on_values
from tf1_wd.penalties.find import Term
from tf1_wd.penalties.rows import RowTerm


class Replay(NamedTuple):
    """A term with a step of its own.

    factors: {op of a variable: what multiplies the gradient by it}, for those that it moves; others are constants.
    """

    term: Term
    factors: dict[tf.Operation, Scalar]

    @property
    def is_of_rows(self) -> bool:
        """True if the step depends on which rows are looked up, and so on inputs."""
        return isinstance(self.term, RowTerm)

    @property
    def rates_of_rows(self) -> dict[tf.Operation, float | None]:
        """{op of a table: the rate of its rows a lookup}, of a term of rows; None where only a run knows it."""
        if not isinstance(self.term, RowTerm):
            return {}
        multiples = [(op, self.factors.get(op), self.term.multiples.get(op)) for op in self.term.variables]
        return {op: f * m if isinstance(f, float) and m is not None else None for op, f, m in multiples}


def term_steps(replay: Replay, variables: dict[tf.Operation, tf.Variable], scale: Scalar) -> Amounts:
    """(variable, scale * factor * d rest / d variable) for what no penalty of a term is, on weights read at run time.

    variables: {op: tf.Variable}, at least those that the term moves; the others among them are read at the same time.
    scale: float or scalar tensor. The reads obey the control dependencies in force. Of a RowTerm the amounts are
    tf.IndexedSlices, one a lookup.
    Raises UnsupportedUpdateError for a term with control flow in it.
    """
    term = replay.term
    if isinstance(term, RowTerm):
        return _row_steps(term, replay.factors, variables, scale)
    penalties = frozenset(p.tensor.op for p in term.penalties)
    ops = graph.ancestors([term.tensor], stop=penalties)
    reads = {op: _tf.fresh_read(v) for op, v in variables.items() if op in term.variables}
    mine = {op: read for op, read in reads.items() if op in replay.factors}
    moving = [op for op in graph.between(list(reads), ops) if op not in penalties]
    moving = [op for op in moving if graph.read_source(op.outputs[0]) not in reads]
    for op in moving:
        if not can_be_copied(op):
            raise UnsupportedUpdateError(
                "the term %s goes through %s (%s), which cannot be replayed after the update: "
                "add the term to the loss, or take it out of the collection" % (term.tensor.name, op.name, op.type)
            )

    def replacement(tensor: tf.Tensor) -> tf.Tensor:
        source = graph.read_source(tensor)
        if source not in reads:
            return tensor
        return reads[source] if tensor.dtype == tf.resource else tf.cast(reads[source], tensor.dtype.base_dtype)

    copy = copy_ops(moving, replacement, "weight_decay_term", on_values)
    steps = _tf.gradients([copy(term.tensor)], list(mine.values()))
    found: Amounts = []
    for op, step in zip(mine, steps):
        if step is not None:
            found.append((variables[op], _scaled(tf.convert_to_tensor(step), replay.factors[op], scale)))
    return found


def _scaled(step: tf.Tensor, factor: Scalar, scale: Scalar) -> tf.Tensor:
    if not isinstance(factor, float) or factor != 1.0:
        step *= tf.cast(factor, step.dtype)
    return step * tf.cast(scale, step.dtype)


def _row_steps(
    term: RowTerm, factors: dict[tf.Operation, Scalar], variables: dict[tf.Operation, tf.Variable], scale: Scalar
) -> Amounts:
    """What `term_steps` returns of a RowTerm: only the rows that it looks up are read."""
    tables = {lookup.op: (op, lookup.ids) for op in factors for lookup in term.lookups[op]}
    rows = {}
    for lookup, (op, ids) in tables.items():
        with on_device(variables[op].device):
            rows[lookup] = gather(variables[op], ids)
    ops = graph.between(list(rows), graph.ancestors([term.tensor], stop=rows.keys()))
    copy = copy_ops(ops, lambda t: rows.get(t.op, t), "weight_decay_term")
    found: Amounts = []
    for (op, ids), step in zip(tables.values(), _tf.gradients([copy(term.tensor)], list(rows.values()))):
        step = _scaled(tf.convert_to_tensor(step), factors[op], scale)
        shape = tf.concat([[-1], tf.shape(step)[tf.rank(ids) :]], 0)
        found.append((variables[op], tf.IndexedSlices(tf.reshape(step, shape), tf.reshape(ids, [-1]))))
    return found
