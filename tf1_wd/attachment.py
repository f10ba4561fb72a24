"""Ties a decay to the update inside tf.train.Optimizer.apply_gradients, or refuses an update that it cannot follow."""

from __future__ import annotations

import numbers

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import AlreadyDecoupledError, EagerModeError, InvalidOptionError, UnsupportedUpdateError
from tf1_wd.update import build_after, build_before


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


def step_ignores_weights(optimizer_class):
    """True if the step of this class of optimizers is known to depend on gradients and slots alone, not on weights."""
    return optimizer_class in (
        tf.train.GradientDescentOptimizer,
        tf.train.MomentumOptimizer,
        tf.train.AdamOptimizer,
        tf.train.RMSPropOptimizer,
        tf.train.AdagradOptimizer,
        tf.train.AdadeltaOptimizer,
    )


def _awaited(ops):
    return [waited for op in dict.fromkeys(ops) for waited in _tf.awaited(op)]


def refuse_no_function(build):
    """Raises InvalidOptionError for what a scope cannot decorate."""
    if isinstance(build, (property, staticmethod, classmethod)):
        raise InvalidOptionError(
            "a weight decay decorates the function that builds the train_op, and got a %s of it: put the decorator "
            "under @%s, next to def" % ((type(build).__name__,) * 2)
        )
    if not callable(build):
        raise InvalidOptionError(
            "a weight decay decorates the function that builds the train_op, and got %r: put `with` around the code "
            "that calls minimize or apply_gradients" % (build,)
        )


def refuse_eager():
    """Raises EagerModeError in eager mode, and in a tf.function that is traced there; not in those of a tf.Graph."""
    with tf.init_scope():
        is_eager = tf.executing_eagerly()
    if is_eager:
        raise EagerModeError(
            "weight decay is built into a graph of TensorFlow 1, and TensorFlow executes eagerly here, a tf.function "
            "included: call tf1_wd.tf2.decay in the training step; or build the train_op inside `with "
            "tf.Graph().as_default():`, or call tf.compat.v1.disable_v2_behavior() first"
        )


def refuse_inputs(update, scale):
    """Raises UnsupportedUpdateError if a decay depends on inputs of the loss, and runs without it."""
    asked = [("the rate of %s" % d.name, d.rate) for d in update.decays] + [("scale", scale)]
    asked = [(what, tensor) for what, tensor in asked if tf.is_tensor(tensor)]
    if not asked or not graph.is_taken(update.gradients):
        return
    for what, tensor in asked:
        inputs = [op.name for op in graph.ancestors([tensor]) if graph.is_input(op) and op.type not in graph.CALLS]
        if inputs:
            raise UnsupportedUpdateError(
                "%s depends on %s, which is not there when the update runs: it takes gradients out of accumulators, as "
                "SyncReplicasOptimizer does, in a run of its own. Pass rates=, and a scale that depends on variables "
                "alone, such as the global step" % (what, ", ".join(inputs[:3]))
            )


_STRATEGIES = ("MirroredStrategy", "MirroredStrategyV1", "OneDeviceStrategy", "OneDeviceStrategyV1")


def refuse_strategy():
    """Raises for a strategy whose updates are not known to happen once for each copy, and outside of its replicas."""
    if not tf.distribute.has_strategy():
        return
    name = type(tf.distribute.get_strategy()).__name__
    if name not in _STRATEGIES:
        raise UnsupportedUpdateError(
            "how often %s applies an update is not known. Use MirroredStrategy or OneDeviceStrategy, or build the "
            "train_op without a strategy" % name
        )
    if tf.distribute.get_replica_context() is None:
        raise UnsupportedUpdateError(
            "the train_op is built under %s, but outside of its replicas, where optimizers apply no gradients: build "
            "it in the function that the strategy runs (run, experimental_run_v2, an Estimator's model_fn)" % name
        )


def refuse_decoupled(optimizer):
    for name in ("weight_decay_rate", "_weight_decay", "weight_decay", "_l2_regularization_strength"):
        value = getattr(optimizer, name, None)
        # A function that the object holds is a rate that it calls; one of its class is a method.
        is_method = callable(value) and name not in getattr(optimizer, "__dict__", {})
        if value is not None and not is_method and not (isinstance(value, numbers.Number) and value == 0):
            raise AlreadyDecoupledError(
                "%s decays weights by itself (%s=%r): use it outside of the scope, or set its decay to 0"
                % (type(optimizer).__name__, name, value)
            )
