"""Writes the functions of a migrated program: an optimizer, and a step of training; knows no TensorFlow."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tf1_wd.migration import GLOBAL_NORM, OPTIMIZERS, OTHERWISE, Part, Step
from tf1_wd.migration_forms import COPIES, IN_GRADIENT, IN_LOSS, OP, WEIGHT_DECAY, Form
from tf1_wd.report import RUN_TIME
from tf1_wd.rules import LEARNING_RATE


@dataclass(frozen=True)
class Said:
    """A migration.Part with its Form, and what ends the names of its own in the code: "" where it is the only one."""

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
        return OPTIMIZERS[self.part.optimizer][0]


@dataclass(frozen=True)
class SaidStep:
    """A migration.Step with its parts as they are said; suffix: as of Said."""

    step: Step
    parts: list
    suffix: str

    @property
    def asks(self):
        """The arguments that its function has besides variables and data_loss."""
        found = [name for p in self.parts for name in (*p.asks, p.scale) if name]
        return found + (["change_gradients"] if any(kind == OTHERWISE for kind, _ in self.step.changes) else [])


# --- the optimizers

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


def optimizer(p):
    """The function that makes the optimizer of a Said."""
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
        "def make_optimizer%s(variables%s):" % (p.suffix, "".join(", " + name for name in p.asks)),
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


# --- the steps


def train_step(step, program):
    """The function that makes the training step of a SaidStep."""
    parts, asks = step.parts, step.asks
    reached = all(w.has_gradient for p in parts for w in p.part.weights)
    lines = ["def make_train_step%s(variables, data_loss%s):" % (step.suffix, "".join(", " + name for name in asks))]
    lines += ['    """A function of a batch that takes one step of %s and returns the loss.' % program, ""]
    lines += ["    variables: as `pair` returns them. data_loss(*batch): the loss without L2."]
    for text in _asked(step):
        lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="      ")
    lines += ['    """']
    for p in parts:
        asked = "".join(", " + name for name in p.asks)
        lines.append("    optimizer%s = make_optimizer%s(variables%s)" % (p.suffix, p.suffix, asked))
    names = parts[0].updated if len(parts) == 1 else "[%s]" % ", ".join("*" + p.updated for p in parts)
    lines.append("    weights = {name: variables[name] for name in %s}" % names)
    lines += ["", "    @tf.function", "    def train_step(*batch):"]
    lines += ["        with tf.GradientTape() as tape:", "            loss = data_loss(*batch)"]
    for p in parts:
        if p.form.decay == IN_LOSS:
            lines.append("            for name, rate in %s.items():" % p.rates)
            lines.append(
                "                loss += tf.cast(%srate * tf.nn.l2_loss(weights[name]), loss.dtype)" % _times(p)
            )
    if reached:
        lines += [
            "        gradients = tape.gradient(loss, list(weights.values()))",
            "        unreached = [name for name, gradient in zip(weights, gradients) if gradient is None]",
            "        if unreached:",
            '            raise ValueError("data_loss does not depend on: " + ", ".join(unreached))',
        ]
    else:  # the program gives these a gradient of zeros
        zeros = "unconnected_gradients=tf.UnconnectedGradients.ZERO"
        lines += ["        gradients = tape.gradient(loss, list(weights.values()), %s)" % zeros]
    if any(w.is_table is not False for p in parts for w in p.part.weights):
        # Keras 3 squares each occurrence of a row in a batch by itself
        lines.append("        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]  # rows added up")
    lines += [_change(*change) for change in step.step.changes]
    lines += _updates(parts)
    return "\n".join([*lines, "        return loss", "", "    return train_step"])


def _asked(step):
    """What is to be said of each argument that the reader has to give."""
    for p in step.parts:
        for name in p.asks:
            where = ", %s in the program" % p.part.rate_name if p.part.rate_name else ""
            yield (
                "%s: a function of the number of the step%s. A schedule of Keras is one; so is `lambda step: rate`, "
                "with a tf.Variable that you set." % (name, where)
            )
        if p.scale:
            yield "%s: a function of the number of the step: what multiplies the rates." % p.scale
    for kind, words in step.step.changes:
        if kind == OTHERWISE:
            yield (
                "change_gradients(gradients): what the program does to them before it applies them (%s); returns them."
                % "; ".join(words)
            )


def _times(p):
    return "%s(optimizer%s.iterations) * " % (p.scale, p.suffix) if p.scale else ""


def _change(kind, values):
    if kind == OTHERWISE:
        return "        gradients = change_gradients(gradients)"
    numbers = ", ".join(map(number, values))
    if kind == GLOBAL_NORM:
        return "        gradients, _ = tf.clip_by_global_norm(gradients, %s)" % numbers
    return "        gradients = [tf.%s(gradient, %s) for gradient in gradients]" % (kind, numbers)


def _updates(parts):
    """Decays of order "before", then the updates, then the decays behind them."""
    first, behind, single = [], [], len(parts) == 1
    by_name = not single or any(p.form.decay == IN_GRADIENT for p in parts)
    if by_name:
        first.append("        by_name = dict(zip(weights, gradients))")
    for p in parts:
        before, after = _decay(p)
        first += before
        behind += after
    updates = []
    for p in parts:
        pairs = "zip(gradients, weights.values())"
        if by_name:
            pairs = "[(by_name[name], weights[name]) for name in %s]" % p.updated
        updates.append("        optimizer%s.apply_gradients(%s)" % (p.suffix, pairs))
    return [*first, *updates, *behind]


def _decay(p):
    """(lines in front of the update, lines behind it)."""
    s = p.suffix
    loop = "        for name, rate in %s.items():" % p.rates
    if p.form.decay == IN_GRADIENT:
        penalty = "tf.cast(%srate, weights[name].dtype) * tf.convert_to_tensor(weights[name])" % _times(p)
        total = "            by_name[name] = tf.convert_to_tensor(by_name[name]) + penalty"
        return [loop, "            penalty = " + penalty, total], []
    if p.form.decay not in (OP, COPIES):
        return [], []
    scale, first = _scale(p), []
    if scale is not None:  # of this step: the update counts iterations on
        first.append("        scale%s = tf.identity(%s)" % (s, scale))
    if p.form.decay == OP:
        lines = [
            "        decaying%s = [weights[name] for name in %s]" % (s, p.rates),
            "        tf1_wd.tf2.decay(decaying%s, list(%s.values())%s)"
            % (s, p.rates, "" if scale is None else ", scale=scale" + s),
        ]
        return (first + lines, []) if p.part.order == "before" else (first, lines)
    times = "rate" if scale is None else "tf.cast(scale%s * rate, weights[name].dtype)" % s
    first.append(
        "        amounts%s = {name: %s * tf.convert_to_tensor(weights[name]) for name, rate in %s.items()}"
        % (s, times, p.rates)
    )
    behind = ["        for name, amount in amounts%s.items():" % s, "            weights[name].assign_sub(amount)"]
    return first, behind


def _scale(p):
    """The expression that multiplies the rates in the step; None for 1."""
    if p.scale:
        return "%s(tf.convert_to_tensor(optimizer%s.iterations))" % (p.scale, p.suffix)
    if p.part.scale != LEARNING_RATE:
        return None
    if p.asks:  # an optimizer of Keras 2 shows the value of the step before
        return "%s(optimizer%s.iterations)" % (p.asks[0], p.suffix)
    return "optimizer%s.learning_rate" % p.suffix


def number(value):
    """A number as code has it: the shortest decimal that float32 cannot tell from it."""
    if not isinstance(value, float):
        return repr(value)
    for digits in range(1, 18):
        short = float("%.*g" % (digits, value))
        if abs(short - value) <= 6e-8 * abs(value):
            return repr(short)
    return repr(value)
