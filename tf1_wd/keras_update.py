"""Ties the decay of a Keras model to its optimizer's updates, in graphs, in eager mode and in tf.function."""

from __future__ import annotations

import importlib

from tf1_wd import step
from tf1_wd._tf import tf
from tf1_wd.errors import AlreadyDecoupledError, CoupledPenaltyError, InvalidOptionError, UnsupportedUpdateError
from tf1_wd.keras_layers import REGULARIZED
from tf1_wd.plan import DecayPlan
from tf1_wd.rules import COUPLED, LEARNING_RATE

# attributes of ours: the plan by which an optimizer decays, and whose L2 a model's loss holds
_DECAYS, _PENALISED = "tf1_wd_plan", "tf1_wd_l2_plan"


def decouple(model, plan):
    """Makes the compiled optimizer decay by a plan with every update; see tf1_wd.keras.decouple."""
    _refuse_kind(plan)
    _refuse_backend(plan)
    _refuse_foreign(model, plan)
    _refuse_regularized(model, plan)
    optimizer = innermost(_optimizer_of(model))
    _refuse_optimizer(optimizer)
    # Keras 3 hands apply_gradients on to apply, which programs call too
    name = "apply" if hasattr(optimizer, "apply") else "apply_gradients"
    original = getattr(optimizer, name)

    def apply_and_decay(first, *args, **kwargs):
        if name == "apply_gradients":
            first = list(first)
            updated = {id(v) for gradient, v in first if gradient is not None}
        else:
            variables = args[0] if args else kwargs.get("trainable_variables")
            if variables is None:
                raise UnsupportedUpdateError("apply(grads) names no variables: pass trainable_variables too")
            updated = {id(v) for gradient, v in zip(first, variables) if gradient is not None}
        if tf.distribute.has_strategy():
            raise UnsupportedUpdateError(
                "a Keras optimizer that decays by a plan was called under a distribution strategy, where it is not "
                "known how often each copy is updated: train without, or use Keras's own AdamW with "
                "exclude_from_weight_decay"
            )
        decays = [d for d in plan.decaying if id(d.variable) in updated]
        return _update(optimizer, decays, plan.order, lambda: original(first, *args, **kwargs))

    setattr(optimizer, _DECAYS, plan)
    setattr(optimizer, name, apply_and_decay)
    model.train_function = None  # one that is traced already would go on without decay


def innermost(optimizer):
    """The optimizer that updates the weights, inside of those that scale losses."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return optimizer if inner is None else innermost(inner)


def _in_graph():
    """True where a session runs the update; False in eager mode, and in the tf.functions that it calls."""
    with tf.init_scope():
        return not tf.executing_eagerly()


def _update(optimizer, decays, order, apply):
    if not decays:
        return apply()
    scale = decays[0].scale
    scale = _learning_rate(optimizer) if scale == LEARNING_RATE else scale
    if _in_graph():
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


def _update_in_graph(decays, order, scale, apply):
    scale = step.scale_now(scale, None, None)
    amounts = step.differences(decays, scale) if order == "before" else []
    # A learning rate by a schedule is that of the iteration before the update counts it.
    earlier = [amount for _, amount in amounts] + ([] if isinstance(scale, float) else [scale])
    with tf.control_dependencies(earlier):
        result = apply()
    with tf.control_dependencies([result]):
        ops = step.subtract(amounts) if order == "before" else step.decay(decays, scale, "auto")
    with tf.control_dependencies(ops):
        ops = ops + step.constrain([d.variable for d in decays])
    return tf.group(result, *ops, name="update_and_decay")


def _learning_rate(optimizer):
    """The learning rate of the update that follows: a tensor, or a variable, which is to be read after the update,
    because there an optimizer of Keras 2 puts what a schedule says.
    """
    rate = optimizer.learning_rate
    if callable(rate) and not hasattr(rate, "dtype"):  # a schedule
        rate = rate(optimizer.iterations)
    return rate


def _optimizer_of(model):
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise InvalidOptionError("the model is not compiled: call model.compile(optimizer, loss) first")
    return optimizer


def _refuse_optimizer(optimizer):
    kind = type(optimizer).__name__
    if isinstance(getattr(optimizer, "optimizer", optimizer), tf.train.Optimizer):
        raise UnsupportedUpdateError(
            "the model is compiled with an optimizer of tf.train: train inside `with tf1_wd.decoupled_weight_decay("
            "rates=tf1_wd.keras.rates(plan)):`, and give convention= to that scope, not to the plan"
        )
    _refuse_second(optimizer)
    try:
        settings = optimizer.get_config()
    except NotImplementedError as error:  # of loss-scale optimizers of TensorFlow 1
        raise UnsupportedUpdateError(
            "%s does not tell its settings: decouple the optimizer inside it" % kind
        ) from error
    for name in ("weight_decay", "weight_decay_rate", "l2_regularization_strength"):
        if settings.get(name):
            raise AlreadyDecoupledError(
                "%s decays weights by itself (%s=%r): leave that out" % (kind, name, settings[name])
            )
    for name, why in (
        ("decay", "its learning rate differs from the one it shows: use a schedule"),
        ("use_ema", "its averages would not see the decay"),
        ("gradient_accumulation_steps", "it does not update the weights in every call"),
    ):
        if settings.get(name):
            raise UnsupportedUpdateError("%s has %s=%r: %s" % (kind, name, settings[name], why))


def _refuse_backend(plan):
    for d in plan.decaying:
        value = d.variable if callable(d.variable.value) else d.variable.value  # a property in Keras 3
        if not hasattr(value, "assign_sub"):
            raise UnsupportedUpdateError(
                "%s is no variable of TensorFlow: with Keras 3 on JAX or PyTorch use Keras's own AdamW and its "
                "exclude_from_weight_decay" % d.name
            )


def _refuse_kind(plan):
    if not isinstance(plan, DecayPlan) or plan.order == COUPLED:
        raise InvalidOptionError("%s is no plan of tf1_wd.keras.plan(model, rate)" % plan)


def _refuse_foreign(model, plan):
    own = {id(w) for w in model.weights}
    foreign = [d.name for d in plan.decaying if id(d.variable) not in own]
    if foreign:
        raise InvalidOptionError(
            "the plan is of another model: %s of it is no weight of %r, so it would never decay. Make a plan of this "
            "model: tf1_wd.keras.plan(model, rate)" % (foreign[0], model.name)
        )


def _refuse_second(optimizer):
    if getattr(optimizer, _DECAYS, None) is not None:
        raise AlreadyDecoupledError(
            "%s decays by a plan already: compile with a new optimizer" % type(optimizer).__name__
        )


def _refuse_regularized(model, plan):
    if getattr(model, _PENALISED, None) is not None:
        raise CoupledPenaltyError("the loss of %r holds the L2 of a plan already: build the model anew" % model.name)
    penalised = [d.name for d in plan.decaying if getattr(d.variable, _PENALISED, None)]
    if penalised:
        raise CoupledPenaltyError(
            "add_l2 has put the L2 of %s into the loss of a model already, maybe one inside of this: build both anew"
            % ", ".join(penalised[:5])
        )
    regularized = [name for name, note in plan.notes if note == REGULARIZED]
    if regularized:
        raise CoupledPenaltyError(
            "%s: %s. Build the model without, or exclude them; in graph mode with an optimizer of tf.train, "
            "tf1_wd.decoupled_weight_decay takes it out of the gradient" % (", ".join(regularized[:5]), REGULARIZED)
        )


def add_l2(model, plan):
    """Adds the L2 of a plan to the model's loss; see tf1_wd.keras.add_l2."""
    _refuse_kind(plan)
    _refuse_foreign(model, plan)
    _refuse_regularized(model, plan)
    for d in plan.decaying:
        if getattr(d.variable, "regularizer", None) is not None:
            raise CoupledPenaltyError("%s has a regularizer already: exclude it" % d.name)
    compiled = getattr(model, "optimizer", None) is not None
    if compiled:
        _refuse_second(innermost(model.optimizer))
    if compiled and _in_graph():
        raise UnsupportedUpdateError(
            "in graph mode a model's loss is built when it is compiled: call add_l2 before model.compile"
        )
    for d in plan.decaying:
        coefficient = d.rate * (1.0 if d.scale == LEARNING_RATE else d.scale)
        if hasattr(d.variable, "regularizer"):  # Keras 3, whose add_loss works inside call() alone
            d.variable.regularizer = importlib.import_module("keras").regularizers.L2(coefficient / 2)
        else:
            model.add_loss(_penalty(d.variable, coefficient))
        setattr(d.variable, _PENALISED, True)  # which may be in other models too
    setattr(model, _PENALISED, plan)
    if compiled:
        model.train_function = None  # one that is traced already would go on with the old loss


def _penalty(variable, coefficient):
    return lambda: tf.cast(coefficient, variable.dtype.base_dtype) * tf.nn.l2_loss(variable)
