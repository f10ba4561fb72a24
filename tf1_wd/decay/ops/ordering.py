"""Ties a decay to the update inside tf.train.Optimizer.apply_gradients, or refuses an update that it cannot follow."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops import sparse_rows
from tf1_wd.decay.ops import weights as weights_ops
from tf1_wd.decay.ops.other_terms import term_steps
from tf1_wd.decay.ops.update import AppliedUpdate, Update
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.assignments import written_variable
from tf1_wd.graph.gradients import tensors_of
from tf1_wd.graph.update_ops import step_ignores_weights
from tf1_wd.plan.options import Rules


def apply_with(
    applied: AppliedUpdate,
    rules: Rules,
    optimizer: tf.train.Optimizer,
    apply: Callable[[], tf.Operation],
    in_place: bool | None = None,
) -> tf.Operation:
    """Calls `apply` (the optimizer's apply_gradients) so that the op it returns, its name and its place in collections
    include the decay.

    in_place: True if the optimizer's step does not read the weights; by default as far as its class tells.
    """
    if rules.order == "after":
        return _apply_then(optimizer, applied, apply, lambda: build_after(applied, rules))
    if in_place is None:
        in_place = step_ignores_weights(type(optimizer))
    update = applied.update
    # In place, the decay must not change weights that a gradient or the loss has yet to read.
    earlier = [tensor.op for tensor in update.gradients] + [op for ops in update.reads.values() for op in ops]
    # One op waits for all of them, and not each op of the decay.
    with tf.control_dependencies([tf.group(*_awaited(earlier))] if in_place else []):
        first, build_rest = build_before(applied, rules, in_place)
    with tf.control_dependencies(first):
        return apply() if in_place else _apply_then(optimizer, applied, apply, build_rest)


def _apply_then(
    optimizer: Any,
    applied: AppliedUpdate,
    apply: Callable[[], tf.Operation],
    build: Callable[[], list[tf.Operation]],
) -> tf.Operation:
    """Calls `apply`, with what `build` makes put behind the optimizer's own updates."""
    if not isinstance(optimizer, tf.train.Optimizer):
        return _apply_then_in_keras(applied, apply, build)
    update = applied.update
    finish = _tf.finish_of(optimizer)
    calls = []

    def finish_and_build(update_ops: list[tf.Operation], name_scope: str) -> tf.Operation:
        calls.append(name_scope)
        if len(calls) > 1:  # a strategy finishes once per replica, each time behind all updates
            return finish(update_ops, name_scope)
        wanted = _to_wait_for(update)
        for variable, op in zip(update.updated, update_ops):
            updated: tf.Operation = getattr(op, "op", op)
            _tf.add_control_inputs(updated, _awaited(wanted[variable]))
        with tf.control_dependencies([finish(update_ops, "update_weights"), *_reads_of_others(update)]):
            return tf.group(*build(), name=name_scope)

    with _tf.patched_finish(optimizer, finish_and_build):
        result = apply()
    if not calls:
        raise UnsupportedUpdateError(
            "%s applies gradients in its own way, so it cannot be known when its update ends. If it is made around "
            "another optimizer, let that one decay; else build its train_op outside of the scope, on a loss without "
            "L2, and put the decay behind it: tf1_wd.attach(train_op, rates=...)" % type(optimizer).__name__
        )
    return result


def _apply_then_in_keras(
    applied: AppliedUpdate, apply: Callable[[], tf.Operation], build: Callable[[], list[tf.Operation]]
) -> tf.Operation:
    """As `_apply_then`, for an optimizer of Keras, which counts its iterations before it returns."""
    # A schedule is that of the iteration before the update counts it.
    scale = [] if isinstance(applied.scale, float) else [applied.scale]
    with tf.control_dependencies(scale):
        result: Any = apply()
    train_op = getattr(result, "op", result)
    wanted = _to_wait_for(applied.update)
    let_updates_wait(train_op, wanted)
    with tf.control_dependencies([train_op, *_reads_of_others(applied.update)]):
        return tf.group(*build(), name="update_and_decay")


def let_updates_wait(train_op: tf.Operation, reads: Mapping[tf.Operation, Sequence[tf.Operation]]) -> None:
    """Makes the updates behind a train_op wait for what reads the old weights. reads: {op of a variable: ops}."""
    for op in graph.predecessors([train_op]):
        variable = written_variable(op)
        if variable in reads:
            _tf.add_control_inputs(op, _awaited(reads[variable]))


def _reads_of_others(update: Update) -> list[tf.Operation]:
    """The reads of variables that decay and have no gradient."""
    return _awaited(op for variable, ops in update.reads.items() if variable not in update.updated for op in ops)


def _to_wait_for(update: Update) -> dict[tf.Operation, list[tf.Operation]]:
    """{op of a variable: what must run before its update}.

    The penalties read the old weights, which a loss fetched in the same run reports: their gradient used to force that
    order. Rates computed from the loss must be there too.
    """
    rates = {graph.variable_op(d.variable): [d.rate.op] for d in update.decays if not isinstance(d.rate, float)}
    return {variable: ops + rates.get(variable, []) for variable, ops in update.reads.items()}


def _awaited(ops: Iterable[tf.Operation]) -> list[tf.Operation]:
    return [waited for op in dict.fromkeys(ops) for waited in _tf.awaited(op)]


def build_after(applied: AppliedUpdate, rules: Rules) -> list[tf.Operation]:
    """Ops of order "after", on the weights that the control dependencies in force let through."""
    update, scale = applied.update, applied.scale
    amounts = [a for term in update.replayed for a in term_steps(term, update.variables, scale)]
    computed = _computed(amounts)  # all of them from the same weights
    with tf.control_dependencies(computed):
        ops = _decay(applied, rules)
    with tf.control_dependencies(computed + ops):
        ops = ops + weights_ops.subtract(amounts)
    # The snippet's second step goes through the optimizer, which applies constraints again.
    with tf.control_dependencies(ops):
        return ops + weights_ops.constrain(_moved(update, amounts))


def build_before(
    applied: AppliedUpdate, rules: Rules, in_place: bool
) -> tuple[list[tf.Operation], Callable[[], list[tf.Operation]]]:
    """(ops that the update must wait for, function that builds what must follow it) of order "before".

    in_place: True if the optimizer's step does not read the weights, so that they may be decayed before it; otherwise
    the decay is computed before the update and taken off after it.
    """
    update, scale = applied.update, applied.scale
    amounts = [a for term in update.replayed for a in term_steps(term, update.variables, scale)]
    if in_place:
        computed = _computed(amounts)
        with tf.control_dependencies(computed):
            ops = _decay(applied, rules)
        with tf.control_dependencies(computed + ops):
            return ops + weights_ops.subtract(amounts), lambda: []
    amounts += weights_ops.differences(update.whole, scale)
    of_rows = sparse_rows.differences(update.by_rows, scale)

    def build_rest() -> list[tf.Operation]:
        ops = weights_ops.subtract(amounts) + sparse_rows.subtract(of_rows)
        with tf.control_dependencies(ops):
            return ops + weights_ops.constrain(_moved(update, amounts))

    return [amount.op for amount in _computed(amounts)] + [amount.op for *_, amount in of_rows], build_rest


def _decay(applied: AppliedUpdate, rules: Rules) -> list[tf.Operation]:
    update, scale = applied.update, applied.scale
    whole = weights_ops.decay(update.whole, scale, rules.backend, update.tables)
    return whole + sparse_rows.decay(update.by_rows, scale)


def _computed(amounts: weights_ops.Amounts) -> list[tf.Tensor]:
    return [tensors_of(amount)[0] for _, amount in amounts]


def _moved(update: Update, amounts: weights_ops.Amounts) -> list[tf.Variable]:
    return list({id(v): v for v in [d.variable for d in update.decays] + [v for v, _ in amounts]}.values())
