"""What trains a TF1 program, as plain values from which code for TensorFlow 2 is written; knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tf1_wd.plan.options import ALL_ROWS, COUPLED, LAZY, TOUCHED_ROWS
from tf1_wd.plan.scale_option import LEARNING_RATE

# what clips gradients, as TensorFlow calls it; OTHERWISE stands for what is not known
GLOBAL_NORM, NORM, VALUE = CLIPS = ("clip_by_global_norm", "clip_by_norm", "clip_by_value")
OTHERWISE = "otherwise"
# in the loss, before the gradients are changed; as part of the gradient that is applied; behind all changes
LOSS, APPLIED, LAST = ("loss", "applied", "last")


@dataclass(frozen=True)
class Weight:
    """A variable that trains.

    rate: float, None without decay. has_gradient: False if no data reaches it. is_table: True if its gradient names
    rows, as that of a lookup does; None if that is not known.
    """

    name: str
    shape: tuple
    rate: float | None = None
    has_gradient: bool = True
    is_table: bool | None = False


@dataclass(frozen=True)
class Part:
    """One optimizer and what it trains.

    optimizer: key of optimizer_table.MIGRATED. settings: {name: float or bool}, without the learning rate.
    learning_rate: float or "run time". weights: tuple of Weight. order: "after", "before", or "coupled": L2 in the
    gradient. scale: what multiplies the rates: a float, "learning_rate" or "run time". rate_name: what the program
    calls a learning rate that it knows at run time only. l2: where L2 comes in, and what its rates are of: a word of
    LOSS, APPLIED, LAST. schedule, scale_schedule: the lines of a function of `step`, the number of updates so far, that
    returns such a learning rate, such a scale; () where it is not known.
    """

    optimizer: str
    settings: dict
    learning_rate: float | str
    weights: tuple
    order: str = COUPLED
    scale: float | str = 1.0
    rate_name: str = ""
    l2: str = LOSS
    schedule: tuple = ()
    scale_schedule: tuple = ()

    @property
    def decaying(self):
        """The weights that decay."""
        return tuple(w for w in self.weights if w.rate is not None)

    @property
    def rates(self):
        """The rates of these, each once."""
        return sorted({w.rate for w in self.decaying})


@dataclass(frozen=True)
class Loss:
    """Optimizers that take the gradient of one loss.

    changes: what becomes of the gradients before they are applied, in order: (name in CLIPS, its numbers), or
    (OTHERWISE, (what is known of it,)).
    """

    parts: tuple
    changes: tuple = ()


@dataclass(frozen=True)
class RunStep:
    """What a program runs at once: losses whose gradients are all computed before any update. losses: tuple of Loss."""

    losses: tuple

    @property
    def parts(self):
        """The Parts of all losses."""
        return tuple(part for loss in self.losses for part in loss.parts)


@dataclass(frozen=True)
class Difference:
    """What the code does not do as the program does. size: how large that is, in words."""

    what: str
    size: str

    def __str__(self):
        return "%s: %s." % (self.what, self.size)


@dataclass(frozen=True)
class Migration:
    """All that trains a program.

    differences: tuple of Difference. notes: what is left to the reader, sentences. order: the names of the variables in
    the order in which the program makes them; () for the order of the steps.
    """

    program: str
    steps: tuple
    differences: tuple = ()
    notes: tuple = ()
    order: tuple = ()


def terms_difference(terms):
    """The Differences of what a scope applies besides decay. terms: (name, text) of those with a step of their own."""
    return [
        Difference("%s: %s" % (name, fate), "the code leaves that step out: add the term to data_loss")
        for name, fate in terms
    ]


def scaled(part, scale):
    """The part with that scale: a float is put into the rates, and what is the learning rate is called so."""
    if part.order == COUPLED and scale == LEARNING_RATE:
        scale = 1.0  # the optimizer multiplies all of the gradient by it
    if isinstance(scale, float) and scale == part.learning_rate:
        scale = LEARNING_RATE
    weights = part.weights
    if isinstance(scale, float):
        times, scale = scale, 1.0
        weights = tuple(w if w.rate is None else replace(w, rate=times * w.rate) for w in weights)
    return replace(part, weights=weights, scale=scale)


# what decays in the program, by rows of a table, and how large the difference to the code is
_ROWS = {
    LAZY: ("Rows of %s decay when they are next looked up", "none once a row is looked up"),
    TOUCHED_ROWS: (
        "Of %s the rows decay that a batch looks up",
        "a row that is not looked up in k steps has (1 - r)^k of its weights left, and keeps them in the program",
    ),
}


def rows_difference(name, rows):
    """The Difference, in a list, of a table that decays by rows; [] where all rows decay."""
    if rows == ALL_ROWS:
        return []
    what, size = _ROWS.get(rows, _ROWS[TOUCHED_ROWS])
    return [Difference(what % name + "; in the code all rows decay in every step", size)]
