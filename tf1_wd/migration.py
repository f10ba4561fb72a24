"""What trains a TF1 program, as plain values from which code for TensorFlow 2 is written; knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tf1_wd.errors import InvalidOptionError, MigrationError
from tf1_wd.plan import NOT_TRAINED
from tf1_wd.report import RUN_TIME
from tf1_wd.rules import ALL_ROWS, COUPLED, LEARNING_RATE, ORDERS, check_rate

# what clips gradients, as TensorFlow calls it; OTHERWISE stands for what is not known
GLOBAL_NORM, NORM, VALUE = CLIPS = ("clip_by_global_norm", "clip_by_norm", "clip_by_value")
OTHERWISE = "otherwise"
# in the loss, before the gradients are changed; as part of the gradient that is applied; behind all changes
LOSS, APPLIED, LAST = ("loss", "applied", "last")

# optimizer -> (its class in Keras, {setting: the default of TensorFlow 1, or None where it has to be said})
OPTIMIZERS = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": None, "nesterov": False}),
    "adam": ("Adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}),
    "rmsprop": (
        "RMSprop",
        {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-10, "centered": False, "initial_mean_square": 1.0},
    ),
    "adagrad": ("Adagrad", {"initial_accumulator_value": 0.1}),
    "adadelta": ("Adadelta", {"rho": 0.95, "epsilon": 1e-8}),
    "ftrl": (
        "Ftrl",
        {
            "learning_rate_power": -0.5,
            "initial_accumulator_value": 0.1,
            "l1_regularization_strength": 0.0,
            "l2_regularization_strength": 0.0,
            "l2_shrinkage_regularization_strength": 0.0,
        },
    ),
}
READS_WEIGHTS = frozenset(["ftrl"])  # the step depends on the weights, so a decay in front of it would change it


@dataclass(frozen=True)
class Weight:
    """A variable that trains.

    rate: float, None without decay. has_gradient: False if no data reaches it. is_table: True if its gradient names
    rows, as that of a lookup does; None if that is not known.
    """

    name: str
    shape: tuple
    rate: object = None
    has_gradient: bool = True
    is_table: object = False


@dataclass(frozen=True)
class Part:
    """One optimizer and what it trains.

    optimizer: key of OPTIMIZERS. settings: {name: float or bool}, without the learning rate. learning_rate: float or
    "run time". weights: tuple of Weight. order: "after", "before", or "coupled": L2 in the gradient. scale: what
    multiplies the rates: a float, "learning_rate" or "run time". rate_name: what the program calls a learning rate that
    it knows at run time only. l2: where L2 comes in, and what its rates are of: a word of LOSS, APPLIED, LAST.
    schedule, scale_schedule: the lines of a function of `step`, the number of updates so far, that returns such a
    learning rate, such a scale; () where it is not known.
    """

    optimizer: str
    settings: dict
    learning_rate: object
    weights: tuple
    order: str = COUPLED
    scale: object = 1.0
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
class Step:
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


def from_plan(plan, optimizer, learning_rate=None, scale=None, program="the plan", **settings) -> Migration:
    """The Migration of a decay plan and an optimizer.

    Args:
      plan: a tf1_wd.DecayPlan, or what its as_dict returns (`tf1-wd run --report FILE` writes these as "graphs").
      optimizer: "sgd", "momentum", "adam", "rmsprop", "adagrad", "adadelta" or "ftrl", of tf.train.
      learning_rate: float; None if it is a schedule, which the code then asks for.
      scale: what multiplies the rates, if the plan knows it at run time only: "learning_rate", or None for a schedule
        of its own, which the code then asks for.
      program: what it is called in the code.
      settings: those of the optimizer by their names in Keras, such as beta_1, epsilon, momentum; the defaults are
        those of TensorFlow 1.

    Raises: InvalidOptionError; MigrationError if a rate is known at run time only.

    Example:
      >>> print(code(from_plan(decay.plan, "adam", 1e-3)))
    """
    plan = plan if isinstance(plan, dict) else plan.as_dict()
    if not {"order", "variables"} <= set(plan):
        raise InvalidOptionError("the plan has no order or no variables: give a DecayPlan, or what its as_dict returns")
    if plan["order"] not in (*ORDERS, COUPLED):
        raise InvalidOptionError("the plan's order %r is unknown" % (plan["order"],))
    if not isinstance(plan["variables"], list) or not plan["variables"]:
        raise InvalidOptionError("the plan's variables are no list, or none: there is nothing to migrate")
    settings = _settings(optimizer, settings)
    learning_rate = RUN_TIME if learning_rate is None else _positive("learning_rate", learning_rate)
    weights, scales, differences = [], set(), []
    for v in plan["variables"]:
        missing = {"name", "shape", "rate", "scale", "rows", "why"} - set(v)
        if missing:
            raise InvalidOptionError("a variable of the plan (%s) has no %s" % (v.get("name"), sorted(missing)[0]))
        if v["why"].endswith(NOT_TRAINED):
            continue
        _check_known(v["name"], v["rate"])
        weights.append(Weight(v["name"], tuple(v["shape"]), v["rate"], is_table=None))
        if v["rate"] is not None:
            check_rate(v["rate"], v["name"], "the plan")
            scales.add(v["scale"])
            differences += rows_difference(v["name"], v["rows"])
    differences += terms_difference(dict(plan.get("terms", {})).items())
    part = Part(optimizer, settings, learning_rate, tuple(weights), plan["order"], l2=LAST)
    part = scaled(part, _one_scale(scales, scale, learning_rate))
    return Migration(program, (Step((Loss((part,)),)),), tuple(differences), (_PLAN,))


_PLAN = (
    "A plan says nothing of clips and other changes of the gradients, of other optimizers, and of what else assigns "
    "the variables: see to these yourself, or migrate the program"
)


def terms_difference(terms):
    """The Differences of what a scope applies besides decay. terms: (name, what became of it)."""
    return [
        Difference("%s: %s" % (name, fate), "the code leaves that step out: add the term to data_loss")
        for name, fate in terms
        if "its own SGD step" in fate
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


def rows_difference(name, rows):
    """The Difference, in a list, of a table that decays by rows; [] where all rows decay."""
    if rows == ALL_ROWS:
        return []
    if rows == "lazy":
        return [
            Difference(
                "Rows of %s decay when they are next looked up; in the code all rows decay in every step" % name,
                "none once a row is looked up",
            )
        ]
    return [
        Difference(
            "Of %s the rows decay that a batch looks up; in the code all rows decay in every step" % name,
            "a row that is not looked up in k steps has (1 - r)^k of its weights left, and keeps them in the program",
        )
    ]


def _check_known(name, rate):
    if rate is not None and not isinstance(rate, (int, float)):
        raise MigrationError(
            "the rate of %s is known at run time only (%s): pass rates= to the scope that makes the plan, or write it "
            "into the plan" % (name, rate)
        )


def _one_scale(scales, given, learning_rate):
    """The scale of a plan: float, "learning_rate" or "run time"."""
    if given not in (None, LEARNING_RATE):
        raise InvalidOptionError("scale=%r: pass %r, or leave it out" % (given, LEARNING_RATE))
    if given is not None:
        return given
    if len(scales) > 1:
        raise MigrationError(
            "the plan has several scales (%s), of several optimizers: migrate the program, or each scope's plan alone"
            % ", ".join(map(str, sorted(scales, key=str)))
        )
    for scale in scales:
        if not isinstance(scale, float):
            return RUN_TIME
        return scale
    return 1.0


def _settings(optimizer, given):
    if optimizer not in OPTIMIZERS:
        raise InvalidOptionError(
            "optimizer=%r is unknown; choose one of: %s" % (optimizer, ", ".join(map(repr, OPTIMIZERS)))
        )
    defaults = OPTIMIZERS[optimizer][1]
    for name in given:
        if name not in defaults:
            raise InvalidOptionError(
                "%s has no setting %s; it has: %s" % (optimizer, name, ", ".join(defaults) or "the learning rate alone")
            )
    settings = dict(defaults, **given)
    for name, value in settings.items():
        if value is None:
            raise InvalidOptionError("%s= is missing: %s has no default for it" % (name, optimizer))
    return settings


def _positive(name, value):
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidOptionError("%s=%r is not a number" % (name, value)) from error
    if not 0 < number < float("inf"):
        raise InvalidOptionError("%s=%r must be finite and greater than 0" % (name, value))
    return number
