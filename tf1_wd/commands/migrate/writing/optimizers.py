"""Writes the optimizers of a migrated program; knows no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.migration import Part
from tf1_wd.commands.migrate.writing.forms import UNDECAYED, WEIGHT_DECAY, Form
from tf1_wd.plan.optimizer_table import MIGRATED


@dataclass(frozen=True)
class NamedPart(Part):
    """A migration.Part and its Form. suffix: appended to the generated names ("_1"), "" if there is only one.

    The properties are names in the code.
    """

    form: Form = UNDECAYED
    suffix: str = ""

    @property
    def rate_argument(self):
        """For a learning rate that the program knows at run time only; None for another."""
        return "learning_rate" + self.suffix if self.learning_rate == RUN_TIME else None

    @property
    def scale_argument(self):
        """For a scale that the program knows at run time only; None for another."""
        return "decay_scale" + self.suffix if self.scale == RUN_TIME and self.decaying else None

    @property
    def known(self):
        """{argument: the lines of its function} of those that the program tells as a function of the step."""
        lines = {self.rate_argument: self.schedule, self.scale_argument: self.scale_schedule}
        return {name: told for name, told in lines.items() if name and told}

    @property
    def updated(self):
        """The list of its variables."""
        return "UPDATED" + self.suffix if self.suffix else "VARIABLES"

    @property
    def table(self):
        """The table of the rates."""
        return "RATES" + self.suffix

    @property
    def class_name(self):
        """The optimizer's class."""
        if self.form.is_own_momentum:
            return "Momentum"
        if self.form.decay == WEIGHT_DECAY and self.optimizer == "adam":
            return "AdamW"
        return MIGRATED[self.optimizer].keras_class


MOMENTUM = '''
class Momentum:
    """a <- momentum a + gradient, w <- w - learning_rate a: the current learning rate times all gradients, as in
    TensorFlow 1. (Keras's SGD has the learning rate of each gradient's own step inside a.)

    learning_rate: a function of the number of the step.
    """

    def __init__(self, learning_rate, momentum, nesterov=False):
        self._rate, self._momentum, self._nesterov = learning_rate, momentum, nesterov
        self.iterations = tf.Variable(0, trainable=False, dtype=tf.int64)

    def build(self, weights):
        self.slots = [tf.Variable(tf.zeros_like(w), trainable=False) for w in weights]

    @property
    def learning_rate(self):
        return tf.convert_to_tensor(self._rate(self.iterations))

    def apply_gradients(self, pairs):
        learning_rate = self.learning_rate
        for (gradient, weight), slot in zip(pairs, self.slots):
            gradient = tf.convert_to_tensor(gradient)
            slot.assign(self._momentum * slot + gradient)
            ahead = gradient + self._momentum * slot if self._nesterov else slot
            weight.assign_sub(tf.cast(learning_rate, gradient.dtype) * ahead)
            if getattr(weight, "constraint", None) is not None:
                weight.assign(weight.constraint(weight))
        self.iterations.assign_add(1)
'''


SCHEDULE = '''
class Schedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A function of the number of the step, as Keras takes it."""

    def __init__(self, function):
        self._function = function

    def __call__(self, step):
        return self._function(step)
'''


def signature(arguments, known):
    """Arguments as a function takes them: those that are known behind the others, with their defaults."""
    return ", ".join([a for a in arguments if a not in known] + ["%s=%s" % (a, a) for a in arguments if a in known])


def functions(p):
    """The functions of the step that a NamedPart has as defaults."""
    for name, lines in p.known.items():
        what = "what multiplies the rates" if name == p.scale_argument else p.rate_name
        head = ["def %s(step):" % name, '    """%s in the program. step: the number of updates so far."""' % what]
        yield "\n".join([*head, *("    " + line for line in lines)])


def optimizer(p):
    """The function that makes the optimizer of a NamedPart."""
    asked, is_own, has_decay = p.rate_argument, p.form.is_own_momentum, p.form.decay == WEIGHT_DECAY
    settings = {"learning_rate": p.learning_rate, **p.settings}
    first_square = settings.pop("initial_mean_square", 0.0)
    if p.optimizer == "adagrad":
        settings["epsilon"] = 0.0  # which Keras adds
    if has_decay:
        settings["weight_decay"] = p.form.weight_decay
    arguments = {name: number(value) for name, value in settings.items() if value is not False}
    if asked:
        arguments["learning_rate"] = asked if is_own else "Schedule(%s)" % asked
    what = "The optimizer and its decay" if has_decay else "The optimizer"
    of_rate = " %s: a function of the number of the step." % asked if asked else ""
    lines = [
        "def make_optimizer%s(%s):" % (p.suffix, signature(["variables", asked] if asked else ["variables"], p.known)),
        '    """%s. variables: as `pair` returns them.%s"""' % (what, of_rate),
        "    optimizer = %s(" % (p.class_name if is_own else "tf.keras.optimizers." + p.class_name),
        *("        %s=%s," % argument for argument in arguments.items()),
        "    )",
    ]
    if has_decay and len(p.decaying) < len(p.weights):
        lines += [
            "    undecayed = [variables[name] for name in %s if name not in %s]" % (p.updated, p.table),
            "    optimizer.exclude_from_weight_decay(var_list=undecayed)",
        ]
    lines.append("    optimizer.build([variables[name] for name in %s])" % p.updated)
    if first_square:
        first = number(first_square)
        lines += [
            "    for slot in optimizer.variables:  # mean squares start at %s in TensorFlow 1, and at 0 in Keras"
            % first,
            '        if slot.name.startswith("velocity/") or slot.name.endswith("_velocity"):',
            "            slot.assign(tf.fill(slot.shape, tf.cast(%s, slot.dtype)))" % first,
        ]
    return "\n".join([*lines, "    return optimizer"])


def number(value):
    """A number as code has it: the shortest decimal that float32 cannot tell from it."""
    if not isinstance(value, float):
        return repr(value)
    if not math.isfinite(value):
        return 'float("%r")' % value
    for digits in range(1, 18):
        short = float("%.*g" % (digits, value))
        if abs(short - value) <= 6e-8 * abs(value):
            return repr(short)
    return repr(value)
