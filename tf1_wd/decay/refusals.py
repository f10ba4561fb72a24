"""Refuses what no decay can be tied to."""

from __future__ import annotations

import numbers
from typing import Any, NoReturn

import numpy as np

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.errors import AlreadyDecoupledError, EagerModeError, InvalidOptionError, UnsupportedUpdateError
from tf1_wd.plan.rates import check_rate


def refuse_no_function(build: object) -> None:
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


def refuse_eager() -> None:
    """Raises EagerModeError in eager mode, and in a tf.function that is traced there; not in those of a tf.Graph."""
    if not _tf.builds_a_graph():
        raise EagerModeError(
            "weight decay is built into a graph of TensorFlow 1, and TensorFlow executes eagerly here, a tf.function "
            "included: call tf1_wd.tf2.decay in the training step; or build the train_op inside `with "
            "tf.Graph().as_default():`, or call tf.compat.v1.disable_v2_behavior() first"
        )


def refuse_keras(optimizer: Any) -> NoReturn:
    """Raises UnsupportedUpdateError for an update of Keras's, before anything of it is built."""
    raise UnsupportedUpdateError(
        "%s is an optimizer of Keras, which a scope does not follow. For a Keras model leave the scope out, and after "
        "model.compile call tf1_wd.keras.decouple(model, tf1_wd.keras.plan(model)), which takes the rates of its L2 "
        "regularizers; or run the program by `tf1-wd run`. A train_op of your own, built outside of a scope on a loss "
        "without L2, is decayed by tf1_wd.attach(train_op, rates=...)" % type(optimizer).__name__
    )


def refuse_inputs(applied: AppliedUpdate) -> None:
    """Raises UnsupportedUpdateError if a decay depends on inputs of the loss, and runs without it."""
    asked = [("the rate of %s" % d.name, d.rate) for d in applied.update.decays] + [("scale", applied.scale)]
    asked += [(r.term.tensor.op.name, factor) for r in applied.update.replayed for factor in r.factors.values()]
    asked += [(r.term.tensor.op.name, r.term.tensor) for r in applied.update.replayed if r.is_of_rows]
    asked = [(what, tensor) for what, tensor in asked if tf.is_tensor(tensor)]
    if not asked or not graph.is_taken(applied.update.gradients):
        return
    for what, tensor in asked:
        inputs = [op.name for op in graph.ancestors([tensor]) if graph.is_input(op) and op.type not in graph.CALLS]
        if inputs:
            raise UnsupportedUpdateError(
                "%s depends on %s, which is not there when the update runs: it takes gradients out of accumulators, as "
                "SyncReplicasOptimizer does, in a run of its own. Pass rates=, and a scale that depends on variables "
                "alone, such as the global step" % (what, ", ".join(inputs[:3]))
            )


def refuse_rates_of_rows(applied: AppliedUpdate) -> None:
    """Raises InvalidRateError if L2 of rows is known to take all of a row, or more, off it at each lookup."""
    for replay in applied.update.replayed:
        for op, rate in replay.rates_of_rows.items():
            if isinstance(rate, float) and isinstance(applied.scale, float):
                where = "%s, of the rows that it looks up, times scale %g" % (replay.term.tensor.op.name, applied.scale)
                check_rate(rate * applied.scale, op.name, where)


_STRATEGIES = ("MirroredStrategy", "MirroredStrategyV1", "OneDeviceStrategy", "OneDeviceStrategyV1")


def refuse_strategy() -> None:
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


# setting of an optimizer that decays by itself -> the attributes that hold it in optimizers of tf.train
OWN_DECAY = {
    "weight_decay_rate": ("weight_decay_rate",),
    "weight_decay": ("_weight_decay", "weight_decay"),
    "l2_regularization_strength": ("_l2_regularization_strength",),
}


def own_decay_of(optimizer: tf.train.Optimizer) -> str | None:
    """How an optimizer is known to decay weights by itself, in words; None if it is not."""
    for name in (name for names in OWN_DECAY.values() for name in names):
        value = getattr(optimizer, name, None)
        # A function that the object holds is a rate that it calls; one of its class is a method.
        is_method = callable(value) and name not in getattr(optimizer, "__dict__", {})
        if value is not None and not is_method and not _is_zero(value):
            return "%s decays weights by itself (%s=%r)" % (type(optimizer).__name__, name, value)
    return None


def _is_zero(value: Any) -> bool:
    """True for the number 0, and for a Tensor that is the constant 0."""
    value = _tf.constant_value(value) if isinstance(value, tf.Tensor) else value
    return isinstance(value, (numbers.Number, np.ndarray)) and bool(np.all(value == 0))


def refuse_decoupled(optimizer: tf.train.Optimizer) -> None:
    """Raises AlreadyDecoupledError if the optimizer is known to decay weights by itself."""
    own = own_decay_of(optimizer)
    if own is not None:
        raise AlreadyDecoupledError("%s: use it outside of the scope, or set its decay to 0" % own, reason=own)
