"""The Migration of a decay plan and an optimizer."""

from __future__ import annotations

from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate import migration
from tf1_wd.commands.migrate.migration import LAST, Loss, Migration, Part, RunStep, Weight
from tf1_wd.errors import InvalidOptionError, MigrationError
from tf1_wd.plan.optimizer_table import MIGRATED
from tf1_wd.plan.options import COUPLED, ORDERS
from tf1_wd.plan.rates import check_rate
from tf1_wd.plan.reasons import NOT_TRAINED, stored_own_steps, stored_reason
from tf1_wd.plan.scale_option import LEARNING_RATE


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
        if stored_reason(v) in NOT_TRAINED:
            continue
        weights.append(Weight(v["name"], tuple(v["shape"]), v["rate"], is_table=None))
        if v["rate"] is not None:
            if not isinstance(v["rate"], (int, float)):
                raise MigrationError(
                    "the rate of %s is known at run time only (%s): pass rates= to the scope that makes the plan, or "
                    "write it into the plan" % (v["name"], v["rate"])
                )
            check_rate(v["rate"], v["name"], "the plan", v["scale"])
            scales.add(v["scale"])
            differences += migration.rows_difference(v["name"], v["rows"])
    differences += migration.terms_difference(stored_own_steps(plan))
    part = Part(optimizer, settings, learning_rate, tuple(weights), plan["order"], l2=LAST)
    part = migration.scaled(part, _one_scale(scales, scale, learning_rate))
    return Migration(program, (RunStep((Loss((part,)),)),), tuple(differences), (_PLAN,))


_PLAN = (
    "A plan says nothing of clips and other changes of the gradients, of other optimizers, and of what else assigns "
    "the variables: see to these yourself, or migrate the program"
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
    (scale,) = scales or {1.0}
    return scale if isinstance(scale, float) else RUN_TIME


def _settings(optimizer, given):
    if optimizer not in MIGRATED:
        raise InvalidOptionError(
            "optimizer=%r is unknown; choose one of: %s" % (optimizer, ", ".join(map(repr, MIGRATED)))
        )
    defaults = MIGRATED[optimizer].settings
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
