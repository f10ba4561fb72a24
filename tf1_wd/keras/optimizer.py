"""Ties the decay of a Keras model to its optimizer's updates, in graphs, in eager mode and in tf.function."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Iterable

from tf1_wd._tf import builds_a_graph, tf
from tf1_wd.decay.ops import weights as weights_ops
from tf1_wd.decay.ops.scale import scale_now
from tf1_wd.errors import CoupledPenaltyError, InvalidOptionError, UnsupportedUpdateError
from tf1_wd.keras import refusals
from tf1_wd.keras.layers import underneath
from tf1_wd.plan.decisions import Decay, DecayPlan
from tf1_wd.plan.scale_option import LEARNING_RATE


def decouple(model: Any, plan: DecayPlan) -> None:
    """Makes the compiled optimizer decay by a plan with every update; see tf1_wd.keras.decouple."""
    refusals.refuse_kind(plan)
    refusals.refuse_backend(plan)
    refusals.refuse_other_weights(model, plan)
    refusals.refuse_regularized(model, plan)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise InvalidOptionError("the model is not compiled: call model.compile(optimizer, loss) first")
    optimizer = innermost(optimizer)
    refusals.refuse_optimizer(optimizer)
    # Keras 3 hands apply_gradients on to apply, which programs call too
    if hasattr(optimizer, "apply"):
        optimizer.apply = _decaying_apply(optimizer, plan, optimizer.apply)
    else:
        optimizer.apply_gradients = _decaying_apply_gradients(optimizer, plan, optimizer.apply_gradients)
    setattr(optimizer, refusals.DECAYS, plan)
    model.train_function = None  # one that is traced already would go on without decay


def _decaying_apply(optimizer: Any, plan: DecayPlan, original: Callable[..., Any]) -> Callable[..., Any]:
    def apply(grads: Iterable[Any], trainable_variables: Iterable[Any] | None = None, **kwargs: Any) -> Any:
        if trainable_variables is None:
            raise UnsupportedUpdateError("apply(grads) names no variables: pass trainable_variables too")
        grads, variables = list(grads), list(trainable_variables)
        decays = _decays(optimizer, plan, zip(grads, variables))
        return _update(optimizer, decays, plan.order, lambda: original(grads, variables, **kwargs))

    return apply


def _decaying_apply_gradients(optimizer: Any, plan: DecayPlan, original: Callable[..., Any]) -> Callable[..., Any]:
    def apply_gradients(grads_and_vars: Iterable[tuple[Any, Any]], *args: Any, **kwargs: Any) -> Any:
        pairs = list(grads_and_vars)
        decays = _decays(optimizer, plan, pairs)
        return _update(optimizer, decays, plan.order, lambda: original(pairs, *args, **kwargs))

    return apply_gradients


def _decays(optimizer: Any, plan: DecayPlan, pairs: Iterable[tuple[Any, Any]]) -> list[Decay]:
    """What decays with an update, list of Decay. pairs: (gradient or None, variable), of Keras or of TensorFlow."""
    pairs = list(pairs)
    refusals.refuse_strategy()
    refusals.refuse_decay_set_since(optimizer)
    refusals.refuse_foreign_update(plan, [v for _, v in pairs])
    updated = {id(underneath(v)) for gradient, v in pairs if gradient is not None}
    refusals.refuse_unfrozen(plan, updated, "compile with a new optimizer, ")
    return [d for d in plan.decaying if id(underneath(d.variable)) in updated]


def innermost(optimizer: Any) -> Any:
    """The optimizer that updates the weights, inside of those that scale losses."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return optimizer if inner is None else innermost(inner)


def _update(optimizer: Any, decays: list[Decay], order: str, apply: Callable[[], Any]) -> Any:
    if not decays:
        return apply()
    scale = decays[0].scale
    scale = _learning_rate(optimizer) if scale == LEARNING_RATE else scale
    if builds_a_graph():
        return _update_in_graph(decays, order, scale, apply)
    # Plain assignments: the compiled op is one of graphs. In a tf.function they run in the order in which they stand.
    before = [tf.identity(tf.convert_to_tensor(d.variable)) for d in decays] if order == "before" else None
    result = apply()
    weights = before or [tf.convert_to_tensor(d.variable) for d in decays]
    for d, w in zip(decays, weights):
        dtype = tf.float64 if w.dtype == tf.float64 else tf.float32  # half types are rounded once
        fraction = d.rate * scale if isinstance(scale, float) else d.rate * tf.cast(scale, dtype)
        d.variable.assign_sub(tf.cast(tf.convert_to_tensor(fraction, dtype) * tf.cast(w, dtype), w.dtype))
        if d.variable.constraint is not None:
            d.variable.assign(d.variable.constraint(d.variable))
    return result


def _update_in_graph(decays: list[Decay], order: str, scale: Any, apply: Callable[[], Any]) -> tf.Operation:
    scale = scale_now(scale, None, None)
    amounts = weights_ops.differences(decays, scale) if order == "before" else []
    # A learning rate by a schedule is that of the iteration before the update counts it.
    earlier = [amount for _, amount in amounts] + ([] if isinstance(scale, float) else [scale])
    with tf.control_dependencies(earlier):
        result = apply()
    with tf.control_dependencies([result]):
        ops = weights_ops.subtract(amounts) if order == "before" else weights_ops.decay(decays, scale, "auto")
    with tf.control_dependencies(ops):
        ops = ops + weights_ops.constrain([d.variable for d in decays])
    return tf.group(result, *ops, name="update_and_decay")


def _learning_rate(optimizer: Any) -> Any:
    """The learning rate of the update that follows: a tensor, or a variable, which is to be read after the update,
    because there an optimizer of Keras 2 puts what a schedule says.
    """
    rate = optimizer.learning_rate
    if callable(rate) and not hasattr(rate, "dtype"):  # a schedule
        rate = rate(optimizer.iterations)
    return rate


def add_l2(model: Any, plan: DecayPlan) -> None:
    """Adds the L2 of a plan to the model's loss; see tf1_wd.keras.add_l2."""
    refusals.refuse_kind(plan)
    refusals.refuse_other_weights(model, plan)
    refusals.refuse_regularized(model, plan)
    for d in plan.decaying:
        if getattr(d.variable, "regularizer", None) is not None:
            raise CoupledPenaltyError("%s has a regularizer already: exclude it" % d.name)
    compiled = getattr(model, "optimizer", None) is not None
    if compiled:
        refusals.refuse_second(innermost(model.optimizer))
    if compiled and builds_a_graph():
        raise UnsupportedUpdateError(
            "in graph mode a model's loss is built when it is compiled: call add_l2 before model.compile"
        )
    for d in plan.decaying:
        coefficient = d.rate * (1.0 if d.scale == LEARNING_RATE else d.scale)
        # In Keras 3 add_loss works inside call() alone, and model.losses asks each variable for its regularizer.
        if hasattr(d.variable, "regularizer"):
            d.variable.regularizer = importlib.import_module("keras").regularizers.L2(coefficient / 2)
        else:
            model.add_loss(_penalty(d.variable, coefficient))
        setattr(d.variable, refusals.PENALISED, True)  # which may be in other models too
    setattr(model, refusals.PENALISED, plan)
    if compiled:
        model.train_function = None  # one that is traced already would go on with the old loss


def _penalty(variable: Any, coefficient: float) -> Callable[[], tf.Tensor]:
    return lambda: tf.cast(coefficient, variable.dtype.base_dtype) * tf.nn.l2_loss(variable)
