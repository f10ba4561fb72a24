"""What `keras_update` refuses: models, plans, optimizers and updates that would decay wrongly, or nothing, unsaid."""

from __future__ import annotations

from typing import Any, Collection, Sequence

from tf1_wd import graph
from tf1_wd._tf import builds_a_graph, tf
from tf1_wd.decay.refusals import OWN_DECAY
from tf1_wd.errors import (
    AlreadyDecoupledError,
    CoupledPenaltyError,
    InvalidOptionError,
    NothingToDecayError,
    UnsupportedUpdateError,
)
from tf1_wd.graph.gradients import tensors_of
from tf1_wd.keras.layers import keras_name, underneath
from tf1_wd.penalties.in_gradients import holds_l2
from tf1_wd.plan.decisions import DecayPlan
from tf1_wd.plan.options import COUPLED
from tf1_wd.plan.reasons import Note, Reason
from tf1_wd.plan.scale_option import LEARNING_RATE
from tf1_wd.plan.text_table import some

# Attributes that hold a plan. DECAYS: on a decoupled optimizer. PENALISED: on models whose loss has its L2.
DECAYS, PENALISED = "tf1_wd_plan", "tf1_wd_l2_plan"

_ANEW = "make the plan anew, tf1_wd.keras.plan(model, rate), when all layers are there and those to train are unfrozen"


# --- plans


def refuse_kind(plan: object) -> None:
    if not isinstance(plan, DecayPlan) or plan.order == COUPLED:
        raise InvalidOptionError("%s is no plan of tf1_wd.keras.plan(model, rate)" % plan)


def refuse_scale_of_l2(plan: DecayPlan) -> None:
    if any(d.scale_tensor is not None for d in plan.decaying):
        raise InvalidOptionError(
            "L2 takes a float scale, or %r, and this plan follows %s: make the plan without it, or decay by it: "
            "tf1_wd.keras.decouple(model, plan)" % (LEARNING_RATE, plan.decaying[0].scale),
            option="scale",
        )


def refuse_backend(plan: DecayPlan) -> None:
    for d in plan.decaying:
        value = d.variable if callable(d.variable.value) else d.variable.value  # a property in Keras 3
        if not hasattr(value, "assign_sub"):
            raise UnsupportedUpdateError(
                "%s is no variable of TensorFlow: with Keras 3 on JAX or PyTorch use Keras's own AdamW and its "
                "exclude_from_weight_decay" % d.name,
                variable=d.name,
            )
        if value is not d.variable and builds_a_graph():
            raise UnsupportedUpdateError(
                "Keras 3 does not train in graph mode (its fit fails there): set TF_USE_LEGACY_KERAS=1 for tf-keras, "
                "or train with an optimizer of tf.train: `with tf1_wd.decoupled_weight_decay(rates=tf1_wd.keras.rates("
                "plan)):` around minimize(loss, var_list=[w.value for w in model.trainable_weights])"
            )


def refuse_other_weights(model: Any, plan: DecayPlan) -> None:
    """Refuses a plan that has weights which are not the model's, or has not all that the model trains."""
    own = {id(w) for w in model.weights}
    foreign = [d.name for d in plan.decaying if id(d.variable) not in own]
    if foreign:
        raise InvalidOptionError(
            "the plan is of another model: %s of it is no weight of %r, so it would never decay. Make a plan of this "
            "model: tf1_wd.keras.plan(model, rate)" % (foreign[0], model.name),
            variable=foreign[0],
        )
    known = {id(d.variable) for d in plan.decays}
    unknown = [keras_name(w) for w in model.trainable_weights if id(w) not in known]
    if unknown:
        raise InvalidOptionError(
            "%s of %r trains and is not in the plan, so it would not decay: %s" % (some(unknown), model.name, _ANEW),
            variable=unknown[0],
        )
    refuse_unfrozen(plan, {id(underneath(w)) for w in model.trainable_weights})


def refuse_unfrozen(plan: DecayPlan, trained: Collection[int], first: str = "") -> None:
    """Refuses to train weights that were frozen when the plan was made.

    trained: ids of what is underneath the weights that train. first: what is to be done before there is a new plan.
    """
    unfrozen = [d.name for d in plan.decays if d.reason is Reason.FROZEN and id(underneath(d.variable)) in trained]
    if unfrozen:
        raise InvalidOptionError(
            "%s trains, and was frozen when the plan was made, so it would not decay: %s%s"
            % (some(unfrozen), first, _ANEW),
            variable=unfrozen[0],
        )


def refuse_regularized(model: Any, plan: DecayPlan) -> None:
    if getattr(model, PENALISED, None) is not None:
        raise CoupledPenaltyError("the loss of %r holds the L2 of a plan already: build the model anew" % model.name)
    penalised = [d.name for d in plan.decaying if getattr(d.variable, PENALISED, None)]
    if penalised:
        raise CoupledPenaltyError(
            "add_l2 has put the L2 of %s into the loss of a model already, maybe one inside of this: build both anew"
            % ", ".join(penalised[:5]),
            variable=penalised[0],
        )
    regularized = [name for name, note in plan.notes if note is Note.REGULARIZED]
    if regularized:
        raise CoupledPenaltyError(
            "%s: %s. A plan without a rate, tf1_wd.keras.plan(model), takes the rates of the L2 regularizers, and the "
            "L2 out of the gradient; or exclude these weights, or build the model without"
            % (", ".join(regularized[:5]), Note.REGULARIZED),
            variable=regularized[0],
            reason=str(Note.REGULARIZED),
        )


def refuse_taken_out(plan: DecayPlan) -> None:
    """Refuses to add L2 by a plan whose rates are those of L2 that is in the loss."""
    names = [name for name, note in plan.notes if note is Note.TAKEN_OUT]
    if names:
        raise CoupledPenaltyError(
            "%s has an L2 regularizer, which is in the loss already, and add_l2 would double it: leave add_l2 out, and "
            "the model trains with that L2; or decay by the plan: tf1_wd.keras.decouple(model, plan)" % some(names),
            variable=names[0],
        )


def refuse_added_l2(plan: DecayPlan, weights: Sequence[Any]) -> None:
    """Refuses a plan with some of the weights whose L2 add_loss has put into the loss."""
    added = {id(underneath(weight)) for weight in weights}
    _refuse_added([d.name for d in plan.decaying if id(underneath(d.variable)) in added])


def refuse_l2_in_gradients(plan: DecayPlan, pairs: Sequence[tuple[Any, Any]]) -> None:
    """Refuses an update by gradients of a tf.Graph that hold L2 of weights of the plan. pairs: (gradient, variable)."""
    planned = {id(underneath(d.variable)): d.name for d in plan.decaying}
    updated = [(g, planned.get(id(underneath(v))), v) for g, v in pairs if g is not None]
    found = [(tensors_of(g)[0], name, graph.variable_op(v)) for g, name, v in updated if name is not None]
    _refuse_added([name for gradient, name, op in found if holds_l2(gradient, op)])


def _refuse_added(names: list[str]) -> None:
    if names:
        raise CoupledPenaltyError(
            "the loss holds L2 of %s beside what the plan takes out, of model.add_loss or of a regularizer that is not "
            "known to be L2, and its gradient goes through the optimizer: a decay adds to it. Leave that L2 out of the "
            "loss, or exclude these weights from the plan" % some(names),
            variable=names[0],
        )


# --- optimizers


def refuse_optimizer(optimizer: Any) -> None:
    kind = type(optimizer).__name__
    if isinstance(getattr(optimizer, "optimizer", optimizer), tf.train.Optimizer):
        raise UnsupportedUpdateError(
            "the model is compiled with an optimizer of tf.train: train inside `with tf1_wd.decoupled_weight_decay("
            "rates=tf1_wd.keras.rates(plan)):`, and give convention= to that scope, not to the plan"
        )
    refuse_second(optimizer)
    try:
        settings = optimizer.get_config()
    except NotImplementedError as error:  # of loss-scale optimizers of TensorFlow 1
        raise UnsupportedUpdateError(
            "%s does not tell its settings: decouple the optimizer inside it" % kind
        ) from error
    for name in OWN_DECAY:
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


def plan_of(optimizer: Any) -> DecayPlan | None:
    """The plan by which an optimizer decays."""
    return getattr(optimizer, DECAYS, None)


def refuse_second(optimizer: Any) -> None:
    if plan_of(optimizer) is not None:
        raise AlreadyDecoupledError(
            "%s decays by a plan already: compile with a new optimizer" % type(optimizer).__name__
        )


# --- updates


def refuse_strategy() -> None:
    if tf.distribute.has_strategy():
        raise UnsupportedUpdateError(
            "a Keras optimizer that decays by a plan was called under a distribution strategy, where it is not known "
            "how often each copy is updated: train without, or use Keras's own AdamW with exclude_from_weight_decay"
        )


def refuse_decay_set_since(optimizer: Any) -> None:
    """Refuses an optimizer that was told to decay by itself after it was decoupled."""
    for name in OWN_DECAY:
        value = vars(optimizer).get(name)  # its settings as a dict would read variables, which no tf.function can
        if value is not None and not (isinstance(value, (int, float)) and value == 0):
            raise AlreadyDecoupledError(
                "%s decays by a plan, and %s=%r was set since: each weight would decay twice. Set it to None, or leave "
                "decouple out" % (type(optimizer).__name__, name, value)
            )


def refuse_foreign_update(plan: DecayPlan, variables: Sequence[Any]) -> None:
    """Refuses an update that has no weight of the plan at all. variables: all that it was given."""
    known = {id(underneath(d.variable)) for d in plan.decays}
    if variables and not any(id(underneath(v)) in known for v in variables):
        raise NothingToDecayError(
            "the optimizer decays by a plan, and none of the %d variables of this update is in it (%s), so nothing "
            "would decay: give the weights of the model that was planned, or compile their own model with an optimizer "
            "of its own" % (len(variables), some([keras_name(v) for v in variables]))
        )
