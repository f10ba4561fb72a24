"""Ties a decay to the update inside tf.train.Optimizer.apply_gradients, or refuses an update that it cannot follow."""

from __future__ import annotations

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops import sparse_rows
from tf1_wd.decay.ops import weights as weights_ops
from tf1_wd.decay.ops.other_terms import term_steps
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.update_ops import step_ignores_weights


def apply_with(update, rules, scale, optimizer, apply, in_place=None):
    """Calls `apply` (the optimizer's apply_gradients) so that the op it returns, its name and its place in collections
    include the decay.

    update: update.Update. rules: Rules. scale: float or scalar tensor. in_place: True if the optimizer's step does not
    read the weights; by default as far as its class tells. Returns what `apply` returns.
    """
    if rules.order == "after":
        return _apply_then(optimizer, update, apply, lambda: build_after(update, rules, scale))
    if in_place is None:
        in_place = step_ignores_weights(type(optimizer))
    # In place, the decay must not change weights that a gradient or the loss has yet to read.
    earlier = [tensor.op for tensor in update.gradients] + [op for ops in update.reads.values() for op in ops]
    # One op waits for all of them, and not each op of the decay.
    with tf.control_dependencies([tf.group(*_awaited(earlier))] if in_place else []):
        first, build_rest = build_before(update, rules, scale, in_place)
    with tf.control_dependencies(first):
        return apply() if in_place else _apply_then(optimizer, update, apply, build_rest)


def _apply_then(optimizer, update, apply, build):
    """Calls `apply`, with what `build` makes put behind the optimizer's own updates."""
    finish = _tf.finish_of(optimizer)
    calls = []

    def finish_and_build(update_ops, name_scope):
        calls.append(name_scope)
        if len(calls) > 1:  # a strategy finishes once per replica, each time behind all updates
            return finish(update_ops, name_scope)
        # A loss fetched in the same run keeps the penalties of the weights that the step began from. The gradient of
        # the penalties, which used to see to that, is gone.
        # So do rates that are computed from the loss.
        rates = {graph.variable_op(d.variable): d.rate.op for d in update.decays if not isinstance(d.rate, float)}
        for variable, op in zip(update.updated, update_ops):
            rate = [rates[variable]] if variable in rates else []
            _tf.add_control_inputs(getattr(op, "op", op), _awaited(update.reads[variable] + rate))
        reads = [op for variable, ops in update.reads.items() if variable not in update.updated for op in ops]
        with tf.control_dependencies([finish(update_ops, "update_weights"), *_awaited(reads)]):
            return tf.group(*build(), name=name_scope)

    with _tf.patched_finish(optimizer, finish_and_build):
        result = apply()
    if not calls:
        raise UnsupportedUpdateError(
            "%s applies gradients in its own way, so it cannot be known when its update ends. If it is made around "
            "another optimizer, let that one decay; else build its train_op without decay, and put the decay behind "
            "it: tf1_wd.attach(train_op, rates=...)" % type(optimizer).__name__
        )
    return result


def _awaited(ops):
    return [waited for op in dict.fromkeys(ops) for waited in _tf.awaited(op)]


def build_after(update, rules, scale):
    """Ops of order "after", on the weights that the control dependencies in force let through."""
    amounts = [a for term in update.replayed for a in term_steps(term, update.movable, scale)]
    with tf.control_dependencies([amount for _, amount in amounts]):
        ops = _decay(update, rules, scale)
    with tf.control_dependencies(ops):
        ops = ops + weights_ops.subtract(amounts)
    # The snippet's second step goes through the optimizer, which applies constraints again.
    with tf.control_dependencies(ops):
        return ops + weights_ops.constrain(_moved(update, amounts))


def build_before(update, rules, scale, in_place):
    """(ops that the update must wait for, function that builds what must follow it) of order "before".

    in_place: True if the optimizer's step does not read the weights, so that they may be decayed before it; otherwise
    the decay is computed before the update and taken off after it.
    """
    amounts = [a for term in update.replayed for a in term_steps(term, update.movable, scale)]
    if in_place:
        with tf.control_dependencies([amount for _, amount in amounts]):
            ops = _decay(update, rules, scale)
        with tf.control_dependencies(ops):
            return ops + weights_ops.subtract(amounts), lambda: []
    amounts += weights_ops.differences(update.whole, scale)
    of_rows = sparse_rows.differences(update.by_rows, scale)

    def build_rest():
        ops = weights_ops.subtract(amounts) + sparse_rows.subtract(of_rows)
        with tf.control_dependencies(ops):
            return ops + weights_ops.constrain(_moved(update, amounts))

    return [amount.op for _, amount in amounts] + [amount.op for *_, amount in of_rows], build_rest


def _decay(update, rules, scale):
    whole = weights_ops.decay(update.whole, scale, rules.backend, update.tables)
    return whole + sparse_rows.decay(update.by_rows, scale)


def _moved(update, amounts):
    return list({id(v): v for v in [d.variable for d in update.decays] + [v for v, _ in amounts]}.values())
