"""Writes the optimizers of a migrated program; knows no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.migration import Part
from tf1_wd.commands.migrate.writing.forms import WEIGHT_DECAY, Form
from tf1_wd.plan.optimizer_table import MIGRATED


@dataclass(frozen=True)
class NamedPart:
    """A migration.Part and its Form. suffix: appended to the generated names ("_1"), "" if there is only one."""

    part: Part
    form: Form
    suffix: str

    @property
    def asks(self):
        """The arguments that the reader has to give, since the program knows them at run time only."""
        return ["learning_rate" + self.suffix] if self.part.learning_rate == RUN_TIME else []

    @property
    def scale(self):
        """The argument for a scale that the program knows at run time only, or None."""
        return "decay_scale" + self.suffix if self.part.scale == RUN_TIME and self.part.decaying else None

    @property
    def known(self):
        """{argument: the lines of its function} of those that the program tells as a function of the step."""
        lines = dict.fromkeys(self.asks, self.part.schedule)
        lines[self.scale] = self.part.scale_schedule if self.scale else ()
        return {name: told for name, told in lines.items() if told}

    @property
    def updated(self):
        """The name of the list of its variables."""
        return "UPDATED" + self.suffix if self.suffix else "VARIABLES"

    @property
    def rates(self):
        """The name of the table of the rates."""
        return "RATES" + self.suffix

    @property
    def name(self):
        """The optimizer's class in the code."""
        if self.form.is_own_momentum:
            return "Momentum"
        if self.form.decay == WEIGHT_DECAY and self.part.optimizer == "adam":
            return "AdamW"
        return MIGRATED[self.part.optimizer].keras_class


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


def signed(arguments, known):
    """Arguments as a function takes them: those that are known behind the others, with their defaults."""
    return [a for a in arguments if a not in known] + ["%s=%s" % (a, a) for a in arguments if a in known]


def functions(p):
    """The functions of the step that a NamedPart has as defaults."""
    for name, lines in p.known.items():
        what = "what multiplies the rates" if name == p.scale else p.part.rate_name
        head = ["def %s(step):" % name, '    """%s in the program. step: the number of updates so far."""' % what]
        yield "\n".join([*head, *("    " + line for line in lines)])


def optimizer(p):
    """The function that makes the optimizer of a NamedPart."""
    part, settings = p.part, dict(p.part.settings)
    rate = p.asks[0] if p.asks else number(part.learning_rate)
    arguments = ["learning_rate=%s" % ("Schedule(%s)" % rate if p.asks and not p.form.is_own_momentum else rate)]
    first_square = settings.pop("initial_mean_square", 0.0)
    if part.optimizer == "adagrad":
        settings["epsilon"] = 0.0  # which Keras adds
    arguments += ["%s=%s" % (name, number(value)) for name, value in settings.items() if value is not False]
    has_decay = p.form.decay == WEIGHT_DECAY
    if has_decay:
        arguments.append("weight_decay=%s" % number(p.form.weight_decay))
    lines = [
        "def make_optimizer%s(%s):" % (p.suffix, ", ".join(signed(["variables", *p.asks], p.known))),
        '    """The optimizer%s. variables: as `pair` returns them.%s"""'
        % (
            " and its decay" if has_decay else "",
            " %s: a function of the number of the step." % p.asks[0] if p.asks else "",
        ),
        "    optimizer = %s(" % (p.name if p.form.is_own_momentum else "tf.keras.optimizers." + p.name),
        *("        %s," % argument for argument in arguments),
        "    )",
    ]
    if has_decay and len(part.decaying) < len(part.weights):
        lines += [
            "    undecayed = [variables[name] for name in %s if name not in %s]" % (p.updated, p.rates),
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
