"""Rows that decay when they are next touched, to the weights that decay in every update would have given them.

Two variables for each such table, made on request only, both float64, not trainable, in GLOBAL_VARIABLES (so saved):

    <table>/tf1_wd_lazy/log_decay       scalar: the sum of log(1 - r) over all updates so far
    <table>/tf1_wd_lazy/row_log_decay   [rows]: what that was when the row was last brought up to date

A row is brought up to date by w_row <- w_row exp(log_decay - row_log_decay): for constant rates that is
(1 - r) ^ (updates missed), for others the product of what they were. It happens before a lookup of the loss reads the
row. The update then decays the rows in its gradient by r, and adds log(1 - r) to log_decay.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, replace
from typing import Iterable, Iterator, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.lookups import lookups_in
from tf1_wd.decay.ops.sparse_rows import gather, rows_once, scatter_update
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.decay.ops.weights import on_device
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.assignments import written_variable
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.lookups import Lookup, readers
from tf1_wd.native.choose import is_served
from tf1_wd.penalties.coefficients import undelayed
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.plan.decisions import Decay
from tf1_wd.plan.options import LAZY

_PARTS = ("log_decay", "row_log_decay")
_CAUGHT_UP = "tf1_wd/caught_up"  # a collection: ops after which rows that a lookup reads are up to date


@dataclass(frozen=True)
class Table:
    """A variable whose rows decay late, and what is known of them."""

    variable: tf.Variable
    log_decay: tf.Variable
    row_log_decay: tf.Variable

    def record(self, indices: tf.Tensor, fraction: Scalar, decayed: tf.Operation) -> list[tf.Operation]:
        """Ops that note an update: its rows have decayed by `fraction` (when the op `decayed` ran), all others will."""
        # Every read and write gets a direct control edge: Grappler may drop indirect ones (2.21.0).
        more = tf.log1p(-tf.cast(fraction, tf.float64))
        with tf.control_dependencies([decayed]):
            advance = self.log_decay.assign_add(more, read_value=False)
        with tf.control_dependencies([advance]):
            now = _tf.fresh_read(self.log_decay)
        return [scatter_update(self.row_log_decay, indices, tf.fill(tf.shape(indices), now))]

    def catch_up(self, ids: Sequence[tf.Tensor] = ()) -> tf.Operation:
        """The op that brings rows up to date. Two may run at once, as lookups may list the same row.

        ids: index tensors, all that the op waits for; none means all rows.
        """
        with _apart(self.variable, ids):
            indices = rows_once(ids) if ids else tf.range(self.variable.shape.as_list()[0])
            lock = self._lock(indices)
            with tf.control_dependencies([lock.op]):
                now = _tf.fresh_read(self.log_decay)
                then, weights = gather(self.row_log_decay, indices), gather(self.variable, indices)
            compute = tf.float64 if weights.dtype == tf.float64 else tf.float32
            factors = tf.reshape(tf.cast(tf.exp(now - then), compute), [-1] + [1] * (weights.shape.rank - 1))
            weights = tf.cast(tf.cast(weights, compute) * factors, weights.dtype)
            values = tf.fill(tf.shape(indices), now)
            with tf.control_dependencies([weights]):
                ops = [
                    scatter_update(self.variable, indices, weights),
                    scatter_update(self.row_log_decay, indices, values),
                ]
            with tf.control_dependencies(ops):
                return tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)

    def _lock(self, indices: tf.Tensor) -> tf.Tensor:
        mutex = tf.raw_ops.MutexV2(shared_name=_name(self.variable, "lock"))
        with tf.control_dependencies([indices]):  # who holds the lock must not wait for another lookup
            return tf.raw_ops.MutexLock(mutex=mutex)


@contextlib.contextmanager
def in_time(applied: AppliedUpdate, calls: Sequence[GradientCall]) -> Iterator[AppliedUpdate]:
    """Context in which an update is built, such that rows are up to date before the losses of `calls` read them.

    calls: those whose results are applied. Gives the AppliedUpdate that knows the tables; nothing else happens where
    nothing decays late. Raises UnsupportedUpdateError.
    """
    update = applied.update
    late = [d for d in update.decays if d.rows == LAZY]
    if not late:
        yield applied
        return
    here = tf.get_default_graph()
    lookups = {graph.variable_op(d.variable): _lookups(d, calls, here) for d in late}
    decisions = tuple(_with_other_lookups(d, lookups.get(graph.variable_op(d.variable))) for d in update.decisions)
    tables = {graph.variable_op(d.variable): _table(d.variable) for d in late}
    caught_up, waits = {}, []
    for op, table in tables.items():
        caught_up.update(_caught_up(table, lookups[op]))
        indices = update.rows[op].indices
        if not _consist_of(indices, [lookup.ids for lookup in lookups[op]]):
            waits.append(table.catch_up(indices))  # rows of other processes, say
    before = len(here.get_operations())
    with tf.control_dependencies([*caught_up.values(), *waits]):
        rows = {op: replace(found, table=tables[op]) for op, found in update.rows.items()}
        yield replace(applied, update=replace(update, decisions=decisions, rows=rows))
    for op in here.get_operations()[before:]:
        _refuse_write_of_all_rows(op, tables)
    for lookup, done in caught_up.items():  # last, so that nothing is half-applied
        for read in lookup.reads:
            if done not in read.control_inputs:
                _tf.add_control_inputs(read, [done])


def refuse_lookups_elsewhere(updates: Sequence[AppliedUpdate], calls: Sequence[GradientCall]) -> None:
    """Raises UnsupportedUpdateError if a loss among `calls` reads rows of a table of `updates` that may be late."""
    for op in _tables_of(updates):
        for call in calls:
            for lookup in lookups_in(op, call):
                if _catch_up_of(lookup) is None:
                    raise UnsupportedUpdateError(
                        "%s reads rows of %s for a loss whose gradient goes to another optimizer, which may run when "
                        "their decay is due: with sparse='lazy' the losses that read a table must train it too; use "
                        "another sparse=" % (lookup.op.name, op.name)
                    )


def catch_up(updates: Sequence[AppliedUpdate]) -> tf.Operation:
    """The op that brings all rows of all tables of `updates` up to date."""
    tables = _tables_of(updates)
    with next((op.graph for op in tables), tf.get_default_graph()).as_default():
        return tf.group(*[table.catch_up() for table in tables.values()], name="catch_up")


def _tables_of(updates: Sequence[AppliedUpdate]) -> dict[tf.Operation, Table]:
    return {op: rows.table for applied in updates for op, rows in applied.update.rows.items() if rows.table is not None}


def _lookups(d: Decay, calls: Sequence[GradientCall], here: tf.Graph) -> list[Lookup]:
    op = graph.variable_op(d.variable)
    if op.graph is not here or graph.has_session(here):
        what = "the update is built in a function" if op.graph is not here else "a tf.Session on this graph exists"
        raise UnsupportedUpdateError(
            "%s, so lookups of %s can no more be told to wait for a decay: build the train_op before that, or use "
            "another sparse= than 'lazy'" % (what, d.name)
        )
    if is_served(d.variable):
        raise UnsupportedUpdateError(
            "%s is on %s, where workers may change a row while another one brings it up to date: use another sparse= "
            "than 'lazy'" % (d.name, d.variable.device)
        )
    if d.variable.shape.rank is None or d.variable.shape.as_list()[0] is None:
        raise UnsupportedUpdateError("sparse='lazy' needs the number of rows of %s, which is not known" % d.name)
    found = [lookup for call in calls for lookup in lookups_in(op, call)]
    if not found:
        raise UnsupportedUpdateError(
            "no loss that this scope has seen looks up rows of %s, though its gradient is sparse: move tf.gradients or "
            "compute_gradients inside, or use another sparse= than 'lazy'" % d.name
        )
    for lookup in found:
        if set(graph.predecessors([lookup.ids.op])).intersection(lookup.reads):
            raise UnsupportedUpdateError(
                "the indices of %s depend on the read of %s that they are looked up in: look them up in the variable "
                "itself, or use another sparse= than 'lazy'" % (lookup.op.name, d.name)
            )
    return list({lookup.op: lookup for lookup in found}.values())


def _with_other_lookups(d: Decay, lookups: list[Lookup] | None) -> Decay:
    """The decision, with the other lookups of the graph in its reason: they see rows as they were last touched."""
    if lookups is None or _state(d.variable):  # the lookups of another lazy update would be among them
        return d
    seen = {lookup.op for lookup in lookups}
    others = [lookup.op.name for lookup in readers(graph.variable_op(d.variable))[0] if lookup.op not in seen]
    if not others:
        return d
    names = others[0] + (" and %d more" % (len(others) - 1) if len(others) > 1 else "")
    return replace(d, why="%s; run catch_up() before %s" % (d.why, names))


def _caught_up(table: Table, lookups: list[Lookup]) -> dict[Lookup, tf.Operation]:
    """{lookup: the op after which its rows are up to date}; a new op where there is none yet."""
    found, made = {lookup: _catch_up_of(lookup) for lookup in lookups}, {}
    for lookup, done in found.items():
        if done is None:
            key = lookup.ids.op, lookup.ids.value_index
            if key not in made:
                made[key] = table.catch_up((lookup.ids,))
            found[lookup] = made[key]
    table.variable.graph.get_collection_ref(_CAUGHT_UP).extend(made.values())
    return found


def _consist_of(tensors: Sequence[tf.Tensor], ids: Sequence[tf.Tensor]) -> bool:
    """True if index tensors are known to list nothing but what is in `ids`."""
    known, pending = {(t.op, t.value_index) for t in ids}, list(tensors)
    while pending:
        tensor = pending.pop()
        if (tensor.op, tensor.value_index) in known:
            continue
        if tensor.op.type not in ("Reshape", "Cast", "Identity", "ConcatV2"):
            return False
        pending.extend(tensor.op.inputs[:-1] if tensor.op.type == "ConcatV2" else tensor.op.inputs[:1])
    return True


def _catch_up_of(lookup: Lookup) -> tf.Operation | None:
    made = set(lookup.op.graph.get_collection_ref(_CAUGHT_UP))
    return next((op for op in lookup.op.control_inputs if op in made), None)


def _refuse_write_of_all_rows(op: tf.Operation, tables: Iterable[tf.Operation]) -> None:
    holder = written_variable(op)
    if holder is not None and holder in tables and "Sparse" not in op.type and "Scatter" not in op.type:
        raise UnsupportedUpdateError(
            "the update writes all rows of %s (%s, %s), as that of tf.train.AdamOptimizer does, so no row can wait for "
            "its decay: use another sparse= than 'lazy', or an optimizer that moves the rows in the gradient alone "
            "(gradient descent, Momentum, Adagrad, FTRL, RMSProp, LazyAdam)" % (holder.name, op.name, op.type)
        )


def _table(variable: tf.Variable) -> Table:
    """The Table of a variable, from variables of the graph where they exist: another update may decay it too."""
    state = _state(variable)
    if not state:
        for part, shape in zip(_PARTS, ([], variable.shape.as_list()[:1])):
            with tf.init_scope(), tf.name_scope(None), on_device(variable.device):
                zeros = functools.partial(tf.zeros, shape, tf.float64)
                state.append(tf.Variable(zeros, trainable=False, name=_name(variable, part), use_resource=True))
    return Table(variable, *state)


def _state(variable: tf.Variable) -> list[tf.Variable]:
    names = [_name(variable, part) for part in _PARTS]
    known = {v.op.name: v for v in tf.global_variables() if v.op.name in names}
    return [known[name] for name in names if name in known]


def _name(variable: tf.Variable, part: str) -> str:
    return "%s/tf1_wd_lazy/%s" % (graph.variable_op(variable).name, part)


@contextlib.contextmanager
def _apart(variable: tf.Variable, tensors: Sequence[tf.Tensor]) -> Iterator[None]:
    """Context for ops on a variable that wait for `tensors` alone, whatever the caller waits for."""
    tensor = tensors[0] if tensors else graph.variable_op(variable).outputs[0]
    with variable.graph.as_default(), undelayed(tensor), tf.name_scope("lazy_decay"), on_device(variable.device):
        yield
