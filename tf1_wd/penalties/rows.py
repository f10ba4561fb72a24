"""L2 of rows that a loss looks up: tf.nn.l2_loss(tf.nn.embedding_lookup(table, ids)).

It is no L2 of the table: it depends on which rows are looked up. Its gradient is linear in these rows all the same:

    row <- row - scale * coefficient * (times looked up) * row
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import AbstractSet, Mapping, NamedTuple, Sequence

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.graph.lookups import Lookup, readers
from tf1_wd.graph.op_types import COPIES, RESHAPES, SHAPES, STITCHES
from tf1_wd.penalties.coefficients import Seeds, coefficients, numbers_behind, numeric_inputs
from tf1_wd.penalties.find import ROWS, Term
from tf1_wd.penalties.linear_map import OTHER, Kind, Probed
from tf1_wd.penalties.other_words import OtherWords, OwnTerm
from tf1_wd.penalties.probe import Key, probe_leaves
from tf1_wd.penalties.summands import Entry, entry_of, fed_among, may_be_a_term, split, weights_of

_MANY = 100  # scalars that are looked at
_SIZES = (2, 3)  # stand for a dimension that only a run knows


@dataclass(frozen=True)
class RowTerm(Term):
    """A term that is L2 of rows, each as often as it is looked up.

    lookups: those of the term's variables, by the op of these. multiples: {op of a table: the number by which the
    gradient multiplies each of its rows}, without tables of which that is no number, or one that only a run knows.
    """

    lookups: dict[tf.Operation, list[Lookup]]
    multiples: dict[tf.Operation, float]


class Fed(NamedTuple):
    """A lookup with indices that come from outside of the graph. table: the op of the variable."""

    table: tf.Operation
    lookup: Lookup


Lookups = Mapping["tf.Operation", Fed]  # by the op of the lookup


def read_rows(
    ys: Sequence[tf.Tensor],
    ops: Sequence[tf.Operation],
    begin: Sequence[tf.Operation],
    moving: AbstractSet[tf.Operation],
    grad_ys: Seeds = None,
) -> OtherWords:
    """Reads the scalars in ys that are made of looked-up rows alone.

    Where ys as a whole are made of rows alone, such a scalar is a term only if one number multiplies each row. ops,
    begin, moving, grad_ys: as for other_words.read_other_words.
    """
    weights, found = weights_of(ys, begin), OtherWords()
    lookups = _fed_lookups(ops, weights)
    if not lookups:
        return found
    data = _data_among(ops, lookups)
    kinds = {Kind.MULTIPLE, Kind.LINEAR} if any(y.op in data for y in ys) else {Kind.MULTIPLE}
    by = [op for op, fed in lookups.items() if fed.table in begin]
    of_rows = moving & set(graph.between(by, ops)) - data
    kept = []
    for tensor in _scalars(ys, ops, moving, of_rows, data)[:_MANY]:
        probed = _read(tensor, lookups, weights)
        entry = _entry(ys, tensor, weights, grad_ys) if probed.kind in kinds else Entry.OTHER
        if entry in (Entry.CONSTANT, Entry.RUN_TIME) and not tf.distribute.has_strategy():
            kept.append((tensor, probed))
        elif entry is not Entry.OTHER:
            found.coupled.append(tensor.op.name)
    for (tensor, probed), c in zip(kept, coefficients(ys, [t for t, _ in kept], grad_ys)):
        if isinstance(c, float) and c * probed.sign < 0.0:
            found.coupled.append(tensor.op.name)
        elif c is not None and not (isinstance(c, float) and c == 0.0):
            found.own.append(OwnTerm(_term(tensor, probed, lookups, by), c))
    return found


def _fed_lookups(ops: Sequence[tf.Operation], weights: AbstractSet[tf.Operation]) -> Lookups:
    """The lookups among ops in weights by indices that are no weights and depend on none."""
    members, tables = frozenset(ops), [op for op in ops if op in weights]
    found = [Fed(table, lookup) for table in tables for lookup in readers(table, members)[0]]
    if not found:
        return {}
    fed, weighed = fed_among(ops), set(graph.between(tables, ops))
    return {f.lookup.op: f for f in found if f.lookup.ids.op in fed and f.lookup.ids.op not in weighed}


def _data_among(ops: Sequence[tf.Operation], lookups: Lookups) -> set[tf.Operation]:
    """The ops that depend on numbers from outside by more than which rows are looked up."""

    def numbers(op: tf.Operation) -> Sequence[tf.Tensor]:
        if op in lookups:
            return op.inputs[:1]
        if op.type in STITCHES:
            return _stitched(op)
        return () if op.type in SHAPES else op.inputs

    inputs = [op for op in ops if graph.is_input(op)]
    return {*inputs, *graph.between(inputs, ops, inputs=numbers)}


def _stitched(op: tf.Operation) -> Sequence[tf.Tensor]:
    return op.inputs[len(op.inputs) // 2 :]


def _scalars(
    ys: Sequence[tf.Tensor],
    ops: Sequence[tf.Operation],
    moving: AbstractSet[tf.Operation],
    of_rows: AbstractSet[tf.Operation],
    data: AbstractSet[tf.Operation],
) -> list[tf.Tensor]:
    """The summands of ys among of_rows: the ops that depend on rows which are differentiated by, and on no data."""
    consumers, ends = graph.consumers_among(ops), {y.op for y in ys}
    roots = [op for op in ops if op in of_rows and (op in ends or not data.isdisjoint(consumers.get(op, ())))]
    found = [t for op in roots if may_be_a_term(op, ys) for t in split(op.outputs[0], moving)]
    return list({t.op: t for t in found if t.op in of_rows}.values())


def _read(tensor: tf.Tensor, lookups: Lookups, weights: AbstractSet[tf.Operation]) -> Probed:
    """What the gradient of a scalar is as a function of rows; its factors by table.

    It is OTHER where weights go into it by another way, too, and where it mixes lookups.
    """
    if not weights.isdisjoint(graph.ancestors([tensor], stop=lookups.keys())):
        return OTHER
    leaves: dict[Key, tuple[tf.Tensor, set[tf.Operation]]] = {}

    def inner(op: tf.Operation) -> list[tf.Tensor]:
        for t in op.inputs:
            source = graph.through(t, COPIES)
            tables = _tables_of(source, lookups)
            if tables:
                leaves[graph.key(source)] = source, tables
        return [t for t in op.inputs if graph.key(graph.through(t, COPIES)) not in leaves]

    behind = graph.ancestors([tensor], inputs=inner)
    ops = [op for op in graph.between(list(lookups), graph.ancestors([tensor])) if op in behind]
    read = []
    for n in _SIZES:
        shapes = {key: [n if d is None else d for d in _dims(t, tables)] for key, (t, tables) in leaves.items()}
        read.append(probe_leaves(tensor, ops, shapes, float(n)))
    if not all(r.kind is read[0].kind for r in read):
        return OTHER
    factors: dict[tf.Operation, set[float | None]] = {}
    for key, (_, tables) in leaves.items():
        for table in tables:
            factors.setdefault(table, set()).update(_number(r.factors.get(key)) for r in read)
    known = {table: found.pop() for table, found in factors.items() if len(found) == 1}
    return read[0]._replace(factors={table: f for table, f in known.items() if f is not None})


def _number(factor: float | None) -> float | None:
    return None if factor is None else float("%.12g" % factor)  # without the rounding of the trial


def _tables_of(tensor: tf.Tensor, lookups: Lookups) -> set[tf.Operation]:
    """The tables of which a tensor is rows, and nothing else; none if it is something else."""
    op = graph.through(tensor, COPIES | RESHAPES).op
    if op in lookups:
        return {lookups[op].table}
    parts = [_tables_of(t, lookups) for t in _stitched(op)] if op.type in STITCHES else []
    return set().union(*parts) if all(parts) else set()


def _dims(rows: tf.Tensor, tables: AbstractSet[tf.Operation]) -> list[int | None]:
    if rows.shape.rank is not None:
        return rows.shape.as_list()
    (table, *_) = tables
    dims: list[int | None] = tf.TensorShape(table.get_attr("shape")).as_list()
    return [None, *dims[1:]]


def _entry(ys: Sequence[tf.Tensor], tensor: tf.Tensor, weights: AbstractSet[tf.Operation], grad_ys: Seeds) -> Entry:
    """What the coefficient of a scalar is made of: OTHER for a part of the model, UNKNOWN for one with data in it."""
    numbers = numbers_behind(ys, [tensor], grad_ys)
    if numbers is None:
        return Entry.UNKNOWN
    if numbers[0] is None or not weights.isdisjoint(graph.ancestors(numbers[0], inputs=numeric_inputs)):
        return Entry.OTHER
    return entry_of(numbers[0], weights) or Entry.UNKNOWN


def _term(tensor: tf.Tensor, read: Probed, lookups: Lookups, by: Sequence[tf.Operation]) -> RowTerm:
    """by: the lookups whose tables are differentiated by."""
    mine: dict[tf.Operation, list[Lookup]] = {}
    for op in graph.ancestors([tensor], stop=lookups.keys()):
        if op in by:
            mine.setdefault(lookups[op].table, []).append(lookups[op].lookup)
    return RowTerm(tensor, (), ROWS, tuple(mine), mine, read.factors)
