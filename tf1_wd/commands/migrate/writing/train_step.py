"""Writes the training steps of a migrated program; knows no TensorFlow."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tf1_wd.commands.migrate.migration import GLOBAL_NORM, OTHERWISE, Loss
from tf1_wd.commands.migrate.writing.forms import COPIES, IN_GRADIENT, IN_LOSS, OP, WEIGHT_DECAY
from tf1_wd.commands.migrate.writing.optimizers import number, signed
from tf1_wd.plan.options import COUPLED
from tf1_wd.plan.scale_option import LEARNING_RATE


@dataclass(frozen=True)
class SaidLoss:
    """A migration.Loss with its parts as they are said; suffix: "" where it is the only one of its step."""

    loss: Loss
    parts: list
    suffix: str

    @property
    def changer(self):
        """The argument for what becomes of the gradients that is no clip, or None."""
        return "change_gradients" + self.suffix if any(k == OTHERWISE for k, _ in self.loss.changes) else None


@dataclass(frozen=True)
class SaidStep:
    """A migration.Step with its losses as they are said; suffix: as of Said."""

    losses: list
    suffix: str

    @property
    def parts(self):
        """Those of all losses."""
        return [part for loss in self.losses for part in loss.parts]

    @property
    def asks(self):
        """The arguments of its function behind variables."""
        found = ["data_loss" + loss.suffix for loss in self.losses]
        found += [name for p in self.parts for name in (*p.asks, p.scale) if name]
        return found + [loss.changer for loss in self.losses if loss.changer]

    @property
    def known(self):
        """Those of them that have a default."""
        return {name for part in self.parts for name in part.known}


def train_step(step, program):
    """The function that makes the training step of a SaidStep."""
    parts = step.parts
    lines = ["def make_train_step%s(%s):" % (step.suffix, ", ".join(signed(["variables", *step.asks], step.known)))]
    lines += ['    """A function of a batch that takes one step of %s and returns the loss.' % program, ""]
    lines += ["    variables: as `pair` returns them."]
    for text in _asked(step):
        lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="      ")
    lines += ['    """']
    for p in parts:
        asked = "".join(", " + name for name in p.asks)
        lines.append("    optimizer%s = make_optimizer%s(variables%s)" % (p.suffix, p.suffix, asked))
    for loss in step.losses:
        names = [p.updated for p in loss.parts]
        listed = names[0] if len(names) == 1 else "[%s]" % ", ".join("*" + name for name in names)
        lines.append("    weights%s = {name: variables[name] for name in %s}" % (loss.suffix, listed))
    lines += ["", "    @tf.function", "    def train_step(*batch):"]
    for loss in step.losses:
        lines += ["        " + line for line in _gradients(loss)]
    lines += _updates(step)
    returned = "loss" if len(step.losses) == 1 else ", ".join("loss" + loss.suffix for loss in step.losses)
    return "\n".join([*lines, "        return " + returned, "", "    return train_step"])


def _gradients(loss):
    """The lines that compute gradients{suffix}: {name: gradient} of a loss, as they are applied but for the decay."""
    s, parts = loss.suffix, loss.parts
    in_loss = [p for p in parts if p.form.decay == IN_LOSS]
    call = "data_loss%s(*batch)" % s
    yield "with tf.GradientTape() as tape:"
    # TensorFlow 1 adds up a loss that is no scalar
    yield "    loss%s = %s" % (s, "tf.reduce_sum(%s)" % call if in_loss else call)
    for p in in_loss:
        yield "    for name, rate in %s.items():" % p.rates
        yield "        loss%s += tf.cast(%srate * tf.nn.l2_loss(weights%s[name]), loss%s.dtype)" % (s, _times(p), s, s)
    zeros = not all(w.has_gradient for p in parts for w in p.part.weights)
    option = ", unconnected_gradients=tf.UnconnectedGradients.ZERO" if zeros else ""
    yield "gradients%s = tape.gradient(loss%s, weights%s%s)" % (s, s, s, option)
    for p in parts:
        if p.part.order == COUPLED and p.form.decay in (WEIGHT_DECAY, IN_GRADIENT):
            yield "for name in %s:  # L2 alone may reach it" % p.rates
            yield "    if gradients%s[name] is None:" % s
            yield "        gradients%s[name] = tf.zeros_like(weights%s[name])" % (s, s)
    if not zeros:
        yield "unreached = [name for name, gradient in gradients%s.items() if gradient is None]" % s
        yield "if unreached:"
        yield '    raise ValueError("data_loss%s does not depend on: " + ", ".join(unreached))' % s
    for kind, values in loss.loss.changes:
        yield from _change(kind, values, loss)
    if any(w.is_table is not False for p in parts for w in p.part.weights):
        # Keras 3 squares each occurrence of a row in a batch by itself
        dense = "{name: tf.convert_to_tensor(g) for name, g in gradients%s.items()}" % s
        yield "gradients%s = %s  # rows added up" % (s, dense)


def _change(kind, values, loss):
    s = loss.suffix
    numbers = ", ".join(map(number, values))
    if kind == OTHERWISE:
        yield "gradients%s = %s(gradients%s)" % (s, loss.changer, s)
    elif kind == GLOBAL_NORM:
        yield "clipped, _ = tf.clip_by_global_norm(list(gradients%s.values()), %s)" % (s, numbers)
        yield "gradients%s = dict(zip(gradients%s, clipped))" % (s, s)
    else:
        yield "gradients%s = {name: tf.%s(g, %s) for name, g in gradients%s.items()}" % (s, kind, numbers, s)


def _asked(step):
    """What is to be said of each argument that the reader has to give."""
    for loss in step.losses:
        l2 = ", without the L2 of its RATES" if any(p.part.decaying for p in loss.parts) else ""
        yield "data_loss%s(*batch): the loss%s." % (loss.suffix, l2)
    for p in step.parts:
        for name in p.asks:
            where = ", %s in the program" % p.part.rate_name if p.part.rate_name else ""
            yield (
                "%s: a function of the number of updates so far%s. A schedule of Keras is one; so is `lambda step: "
                "rate`, with a tf.Variable that you set." % (name, where)
            )
        if p.scale:
            yield "%s: a function of the number of updates so far: what multiplies the rates." % p.scale
        if p.known:
            yield "To go on from step n of the program: %s." % ", ".join(
                "%s=lambda step: %s(step + n)" % (name, name) for name in p.known
            )
    for loss in step.losses:
        for kind, words in loss.loss.changes:
            if kind == OTHERWISE:
                yield (
                    "%s(gradients): takes {name: gradient} and returns it as the program applies it. The program %s."
                    % (loss.changer, "; ".join(words))
                )


def _times(p):
    return "%s(optimizer%s.iterations) * " % (p.scale, p.suffix) if p.scale else ""


def _updates(step):
    """Decays of order "before", then the updates, then the decays behind them."""
    first, updates, behind = [], [], []
    for loss in step.losses:
        for p in loss.parts:
            before, after = _decay(p, loss.suffix)
            first += before
            behind += after
            s = loss.suffix
            pairs = "[(gradients%s[name], weights%s[name]) for name in %s]" % (s, s, p.updated)
            updates.append("        optimizer%s.apply_gradients(%s)" % (p.suffix, pairs))
    return [*first, *updates, *behind]


def _decay(p, of):
    """(lines in front of the update, lines behind it). of: the suffix of its loss."""
    s, weights = p.suffix, "weights%s[name]" % of
    if p.form.decay == IN_GRADIENT:
        penalty = "tf.cast(%srate, %s.dtype) * tf.convert_to_tensor(%s)" % (_times(p), weights, weights)
        return [
            "        for name, rate in %s.items():" % p.rates,
            "            penalty = " + penalty,
            "            gradients%s[name] = tf.convert_to_tensor(gradients%s[name]) + penalty" % (of, of),
        ], []
    if p.form.decay not in (OP, COPIES):
        return [], []
    scale, first = _scale(p), []
    if scale is not None:  # of this step: the update counts iterations on
        first.append("        scale%s = tf.identity(%s)" % (s, scale))
    if p.form.decay == OP:
        lines = [
            "        decaying%s = [%s for name in %s]" % (s, weights, p.rates),
            "        tf1_wd.tf2.decay(decaying%s, list(%s.values())%s)"
            % (s, p.rates, "" if scale is None else ", scale=scale" + s),
        ]
        return (first + lines, []) if p.part.order == "before" else (first, lines)
    times = "rate" if scale is None else "tf.cast(scale%s * rate, %s.dtype)" % (s, weights)
    amount = "%s * tf.convert_to_tensor(%s)" % (times, weights)
    first.append("        amounts%s = {name: %s for name, rate in %s.items()}" % (s, amount, p.rates))
    return first, ["        for name, amount in amounts%s.items():" % s, "            %s.assign_sub(amount)" % weights]


def _scale(p):
    """The expression that multiplies the rates in the step; None for 1."""
    if p.scale:
        return "%s(tf.convert_to_tensor(optimizer%s.iterations))" % (p.scale, p.suffix)
    if p.part.scale != LEARNING_RATE:
        return None
    if p.asks:  # an optimizer of Keras 2 shows the value of the step before
        return "%s(optimizer%s.iterations)" % (p.asks[0], p.suffix)
    return "optimizer%s.learning_rate" % p.suffix
