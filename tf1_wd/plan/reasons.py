"""Why a variable decays or not, and what became of other terms, as values; knows no TensorFlow.

Programs compare these values. The texts beside them are for people, and may be worded anew.
"""

from __future__ import annotations

import enum
from typing import Any, Iterable, Mapping

from tf1_wd.errors import InvalidOptionError


class Reason(enum.Enum):
    """Why a variable decays, or why it does not: what `Decay.why` says in words."""

    # it decays
    GIVEN = "given"  # by the option rates=
    LOSS = "loss"  # a penalty in the loss
    COLLECTION = "collection"  # a penalty in the loss collection
    REGULARIZER = "regularizer"  # of Keras
    ROLE = "role"  # what the weight is in its Keras layer
    LAYER_PARAMS = "layer_params"  # the layer parameter file of cuda-convnet
    # it does not decay
    EXCLUDED = "excluded"
    NOT_INCLUDED = "not_included"
    NO_RATE = "no_rate"
    ZERO_RATE = "zero_rate"
    OTHER_SOURCE = "other_source"  # its penalty stands where source= does not look
    NO_GRADIENT = "no_gradient"  # the update has no gradient of it
    NO_UPDATE = "no_update"  # no update of the scope trains it
    FROZEN = "frozen"  # a weight of Keras that is not trainable
    UNKNOWN_LAYER = "unknown_layer"
    UNKNOWN_WEIGHT = "unknown_weight"
    NEVER = "never"  # a role that never decays, such as a normalization's

    @property
    def is_a_choice(self) -> bool:
        """True where somebody said that a variable is not to decay."""
        return self in (Reason.EXCLUDED, Reason.NOT_INCLUDED, Reason.ZERO_RATE)


# variables that are not updated, so that they are no part of what trains
NOT_TRAINED = frozenset([Reason.NO_GRADIENT, Reason.NO_UPDATE])


class _Said(str, enum.Enum):
    """A value that is its own text, so that it prints and compares as that."""

    def __str__(self) -> str:
        return str(self.value)


class Fate(_Said):
    """What became of a term of the loss, or of an entry of the loss collection, that no rate of a variable says."""

    IN_LOSS = "not L2, in the loss: stays there"
    NAMED = "in the loss, where what is in it is named"  # no plan says it: `over_updates` leaves it out
    NO_VARIABLE = "not L2, and this update decays none of its variables: not applied"
    NOT_APPLIED = "depends on inputs and is not in the loss: not applied; add it to the loss"
    OTHER_SOURCE = "not L2, in the collection only, and source='loss': not applied"
    OWN_STEP = "not L2 and not in the loss: its own SGD step, times scale, on the weights the decay sees"
    OWN_L2 = "L2, but no multiple of its variables: its own SGD step, times scale, on the weights the decay sees"
    OWN_ROWS = "L2 of rows: each decays as often as it is looked up, times scale, out of the gradient"
    TOWARDS = "L2 towards other weights than 0: its own SGD step, times scale, on the weights the decay sees"
    IN_GRADIENT = "no multiple of its variables: its gradient, times scale, goes into that of the loss"
    DECOUPLED = "not L2, out of the gradient: its own SGD step, times scale, on the weights the decay sees"
    LEFT_OUT = (
        "no multiple of its variables: not applied, as rates= or L2 in the loss gives these another decay, or "
        "include=, exclude= or source= leaves it out"
    )
    NORM = (
        "a norm of variables whose weight in the loss changes with them, or a term that no gradient comes through: no "
        "decay"
    )
    STAYS = "a term of variables alone, not known as L2: stays in the loss, and its gradient goes through the optimizer"

    COEFFICIENT = "trained, and a coefficient of L2: the L2 decays at its value in each step, and it keeps its gradient"

    @property
    def is_own_step(self) -> bool:
        """True for a term that moves weights beside the optimizer."""
        return self in (Fate.OWN_STEP, Fate.OWN_L2, Fate.OWN_ROWS, Fate.TOWARDS, Fate.DECOUPLED)

    @property
    def is_idle(self) -> bool:
        """True for a term of the collection that moves nothing in an update; another update may apply it."""
        return self in (Fate.NOT_APPLIED, Fate.OTHER_SOURCE, Fate.NO_VARIABLE, Fate.LEFT_OUT)


def over_updates(notes: Iterable[tuple[str, Fate]]) -> list[tuple[str, Fate]]:
    """(name of a term, Fate) of several updates, each once; what acts in one of them counts, not that others idle."""
    said: dict[str, list[Fate]] = {}
    for name, fate in notes:
        said.setdefault(name, []).append(fate)
    found: list[tuple[str, Fate]] = []
    for name, fates in said.items():
        acting = [fate for fate in fates if not fate.is_idle]
        idle = min(fates, key=lambda fate: fate is not Fate.NOT_APPLIED)  # of which a scope warns
        found += [(name, fate) for fate in dict.fromkeys(acting or [idle]) if fate is not Fate.NAMED]
    return found


class Note(_Said):
    """What is to be said of a part of the graph that the decay matters for."""

    REGULARIZED = "has an L2 regularizer, whose gradient goes through the optimizer: a decay adds to it"
    TAKEN_OUT = "has an L2 regularizer, which decouple takes out of the gradient; the loss still reports it"
    NOT_L2 = "has a regularizer that is not L2, or not known as it: its gradient goes through the optimizer"
    REST = "its regularizer is more than L2, such as L1: the gradient of the rest goes through the optimizer"
    UNUSED = "a gradient that no update takes: the L2 of the loss is not in it, nor in those that train"
    STAYS_COUPLED = "has a regularizer and does not decay: its gradient goes through the optimizer"


# --- plans in JSON; one that was stored before there were codes has the texts alone, and these tell them apart

_ENDINGS = {
    "but no gradient reaches it": Reason.NO_GRADIENT,
    "but no update of this scope trains it": Reason.NO_UPDATE,
}
_OWN_STEP = "its own SGD step"


def stored_reason(variable: Mapping[str, Any]) -> Reason | None:
    """The Reason of a variable in DecayPlan.as_dict(); None where a text alone was stored that does not tell.

    Raises InvalidOptionError for a reason that there is not.
    """
    code = variable.get("reason")
    if code is None:
        return next((r for ending, r in _ENDINGS.items() if variable["why"].endswith(ending)), None)
    try:
        return Reason(code)
    except ValueError:
        raise InvalidOptionError(
            "the plan's reason %r of variable %s is unknown: was it written by a newer tf1_wd?"
            % (code, variable.get("name")),
            variable=variable.get("name"),
        ) from None


def stored_own_steps(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of the terms of DecayPlan.as_dict() that took an SGD step of their own."""
    fates, own_steps = plan.get("fates", {}), {fate.name.lower() for fate in Fate if fate.is_own_step}
    return [
        (name, fate)
        for name, fate in plan.get("terms", {}).items()
        if (fates[name] in own_steps if name in fates else _OWN_STEP in fate)
    ]
