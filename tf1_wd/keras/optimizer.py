"""Ties the decay of a Keras model to its optimizer's updates, in graphs, in eager mode and in tf.function."""

from __future__ import annotations

import importlib
import warnings
from typing import Any, Callable, Iterable

from tf1_wd._tf import builds_a_graph, tf
from tf1_wd.decay.ops import weights as weights_ops
from tf1_wd.decay.ops.ordering import let_updates_wait
from tf1_wd.decay.ops.scale import called, scale_now
from tf1_wd.errors import CoupledPenaltyError, InvalidOptionError, Tf1WdWarning, UnsupportedUpdateError
from tf1_wd.keras import refusals, regularizers
from tf1_wd.keras.layers import layers_of, underneath
from tf1_wd.keras.listening import PlanListener, heard
from tf1_wd.plan.decisions import Decay, DecayPlan
from tf1_wd.plan.reasons import Note
from tf1_wd.plan.scale_option import LEARNING_RATE, is_function


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
    taken_out = regularized(plan)
    for d in plan.decaying[:1]:
        _scale(optimizer, d)  # a function that cannot be a scale is refused before anything is traced
    if builds_a_graph():
        listener = PlanListener(plan, taken_out)
        optimizer.get_gradients = heard(listener, optimizer.get_gradients)
        apply = _decaying_apply_gradients(optimizer, plan, optimizer.apply_gradients, listener)
        optimizer.apply_gradients = heard(listener, apply)
    else:
        layers = layers_of(model)
        refusals.refuse_added_l2(plan, regularizers.l2_of_functions(layers, model.trainable_weights))
        chosen = {id(underneath(variable)) for variable in taken_out}
        regularizers.take_out(layers, chosen, lambda: refusals.plan_of(innermost(model.optimizer)) is plan)
        if hasattr(optimizer, "apply"):  # Keras 3 hands apply_gradients on to apply, which programs call too
            optimizer.apply = _decaying_apply(optimizer, plan, optimizer.apply)
        else:
            optimizer.apply_gradients = _decaying_apply_gradients(optimizer, plan, optimizer.apply_gradients)
    setattr(optimizer, refusals.DECAYS, plan)
    model.train_function = None  # one that is traced already would go on without decay
    _warn_of_saving(model, bool(taken_out))


def regularized(plan: DecayPlan) -> list[Any]:
    """The weights of a plan whose L2 leaves the gradient."""
    names = {name for name, note in plan.notes if note is Note.TAKEN_OUT}
    return [d.variable for d in plan.decaying if d.name in names]


def _warn_of_saving(model: Any, has_l2: bool) -> None:
    """Lets the first model.save warn that no file holds a decay."""
    original = model.save

    def save(*args: Any, **kwargs: Any) -> Any:
        model.save = original
        warnings.warn(
            "the file has %r without its decay%s: when it is loaded, call tf1_wd.keras.plan and decouple again before "
            "training goes on" % (model.name, ", and its L2 regularizers act on the gradient there" * has_l2),
            Tf1WdWarning,
            stacklevel=2,
        )
        return original(*args, **kwargs)

    model.save = save


def _decaying_apply(optimizer: Any, plan: DecayPlan, original: Callable[..., Any]) -> Callable[..., Any]:
    def apply(grads: Iterable[Any], trainable_variables: Iterable[Any] | None = None, **kwargs: Any) -> Any:
        if trainable_variables is None:
            raise UnsupportedUpdateError("apply(grads) names no variables: pass trainable_variables too")
        grads, variables = list(grads), list(trainable_variables)
        decays = _decays(optimizer, plan, zip(grads, variables))
        return _update(optimizer, decays, plan.order, lambda: original(grads, variables, **kwargs))

    return apply


def _decaying_apply_gradients(
    optimizer: Any, plan: DecayPlan, original: Callable[..., Any], listener: PlanListener | None = None
) -> Callable[..., Any]:
    def apply_gradients(grads_and_vars: Iterable[tuple[Any, Any]], *args: Any, **kwargs: Any) -> Any:
        pairs = list(grads_and_vars)
        decays = _decays(optimizer, plan, pairs)
        return _update(optimizer, decays, plan.order, lambda: original(pairs, *args, **kwargs), listener)

    return apply_gradients


def _decays(optimizer: Any, plan: DecayPlan, pairs: Iterable[tuple[Any, Any]]) -> list[Decay]:
    """What decays with an update, list of Decay. pairs: (gradient or None, variable), of Keras or of TensorFlow."""
    pairs = list(pairs)
    refusals.refuse_strategy()
    refusals.refuse_decay_set_since(optimizer)
    refusals.refuse_foreign_update(plan, [v for _, v in pairs])
    updated = {id(underneath(v)) for gradient, v in pairs if gradient is not None}
    refusals.refuse_unfrozen(plan, updated, "compile with a new optimizer, ")
    if builds_a_graph():
        refusals.refuse_l2_in_gradients(plan, pairs)
    return [d for d in plan.decaying if id(underneath(d.variable)) in updated]


def innermost(optimizer: Any) -> Any:
    """The optimizer that updates the weights, inside of those that scale losses."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return optimizer if inner is None else innermost(inner)


def _update(
    optimizer: Any,
    decays: list[Decay],
    order: str,
    apply: Callable[[], Any],
    listener: PlanListener | None = None,
) -> Any:
    if not decays:
        return apply()
    scale = _scale(optimizer, decays[0])
    if listener is not None:
        return _update_in_graph(decays, order, scale, apply, listener)
    # Plain assignments: the compiled op is one of graphs. In a tf.function they run in the order in which they stand.
    before = [tf.identity(tf.convert_to_tensor(d.variable)) for d in decays] if order == "before" else None
    result = apply()
    weights = before or [tf.convert_to_tensor(d.variable) for d in decays]
    for d, w in zip(decays, weights):
        dtype = tf.float64 if w.dtype == tf.float64 else tf.float32  # half types are rounded once
        rate = tf.cast(d.rate(), dtype) if callable(d.rate) else d.rate
        fraction = rate * scale if isinstance(scale, float) else rate * tf.cast(scale, dtype)
        d.variable.assign_sub(tf.cast(tf.convert_to_tensor(fraction, dtype) * tf.cast(w, dtype), w.dtype))
        if d.variable.constraint is not None:
            d.variable.assign(d.variable.constraint(d.variable))
    return result


def _update_in_graph(
    decays: list[Decay], order: str, scale: Any, apply: Callable[[], Any], listener: PlanListener
) -> tf.Operation:
    scale = scale_now(scale, None, None)
    amounts = weights_ops.differences(decays, scale) if order == "before" else []
    # A learning rate by a schedule is that of the iteration before the update counts it.
    earlier = [amount for _, amount in amounts] + ([] if isinstance(scale, float) else [scale])
    with tf.control_dependencies(earlier):
        result = apply()
    let_updates_wait(getattr(result, "op", result), listener.reads)
    with tf.control_dependencies([result]):
        ops = weights_ops.subtract(amounts) if order == "before" else weights_ops.decay(decays, scale, "auto")
    with tf.control_dependencies(ops):
        ops = ops + weights_ops.constrain([d.variable for d in decays])
    return tf.group(result, *ops, name="update_and_decay")


def _scale(optimizer: Any, decay: Decay) -> Any:
    """The scale of the update that follows: a float, a tensor, or a variable."""
    if decay.scale == LEARNING_RATE:
        return _learning_rate(optimizer)
    if decay.scale_tensor is None:
        return decay.scale
    if is_function(decay.scale_tensor):
        return called(decay.scale_tensor, tf.convert_to_tensor(optimizer.iterations))
    return decay.scale_tensor


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
    refusals.refuse_scale_of_l2(plan)
    refusals.refuse_other_weights(model, plan)
    refusals.refuse_regularized(model, plan)
    refusals.refuse_taken_out(plan)
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
        coefficient = d.rate * (d.scale if isinstance(d.scale, float) else 1.0)  # the learning rate counts 1
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
