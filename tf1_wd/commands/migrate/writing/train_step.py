"""Writes the training steps of a migrated program; knows no TensorFlow."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tf1_wd.commands.migrate.migration import GLOBAL_NORM, OTHERWISE, Loss
from tf1_wd.commands.migrate.writing.forms import COPIES, IN_GRADIENT, IN_LOSS, OP, WEIGHT_DECAY
from tf1_wd.commands.migrate.writing.optimizers import NamedPart, number, signed
from tf1_wd.plan.options import COUPLED
from tf1_wd.plan.scale_option import LEARNING_RATE


@dataclass(frozen=True)
class NamedLoss:
    """A migration.Loss. suffix: appended to the generated names ("_1"), "" if its step has only one."""

    loss: Loss
    parts: list[NamedPart]
    suffix: str

    @property
    def changer(self):
        """The argument for what becomes of the gradients that is no clip, or None."""
        return "change_gradients" + self.suffix if any(k == OTHERWISE for k, _ in self.loss.changes) else None


@dataclass(frozen=True)
class NamedStep:
    """A migration.RunStep. suffix: appended to the generated names ("_1"), "" if there is only one."""

    losses: list[NamedLoss]
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
    """The function that makes the training step of a NamedStep."""
    parts = step.parts
    arguments = ", ".join(signed(["variables", *step.asks], step.known))
    lines = [f"def make_train_step{step.suffix}({arguments}):"]
    lines += ['    """A function of a batch that takes one step of %s and returns the loss.' % program, ""]
    lines += ["    variables: as `pair` returns them."]
    for text in _asked(step):
        lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="      ")
    lines += ['    """']
    for p in parts:
        asked = "".join(", " + name for name in p.asks)
        lines.append(f"    optimizer{p.suffix} = make_optimizer{p.suffix}(variables{asked})")
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
    # TensorFlow 1 adds up a loss that is no scalar
    call = f"tf.reduce_sum(data_loss{s}(*batch))" if in_loss else f"data_loss{s}(*batch)"
    yield "with tf.GradientTape() as tape:"
    yield f"    loss{s} = {call}"
    for p in in_loss:
        yield f"    for name, rate in {p.rates}.items():"
        yield f"        loss{s} += tf.cast({_times(p)}rate * tf.nn.l2_loss(weights{s}[name]), loss{s}.dtype)"
    zeros = not all(w.has_gradient for p in parts for w in p.part.weights)
    option = ", unconnected_gradients=tf.UnconnectedGradients.ZERO" if zeros else ""
    yield f"gradients{s} = tape.gradient(loss{s}, weights{s}{option})"
    for p in parts:
        if p.part.order == COUPLED and p.form.decay in (WEIGHT_DECAY, IN_GRADIENT):
            yield f"for name in {p.rates}:  # L2 alone may reach it"
            yield f"    if gradients{s}[name] is None:"
            yield f"        gradients{s}[name] = tf.zeros_like(weights{s}[name])"
    if not zeros:
        yield f"unreached = [name for name, gradient in gradients{s}.items() if gradient is None]"
        yield "if unreached:"
        yield f'    raise ValueError("data_loss{s} does not depend on: " + ", ".join(unreached))'
    for kind, values in loss.loss.changes:
        yield from _change(kind, values, loss)
    if any(w.is_table is not False for p in parts for w in p.part.weights):
        # Keras 3 squares each occurrence of a row in a batch by itself
        dense = f"{{name: tf.convert_to_tensor(g) for name, g in gradients{s}.items()}}"
        yield f"gradients{s} = {dense}  # rows added up"


def _change(kind, values, loss):
    s = loss.suffix
    numbers = ", ".join(map(number, values))
    if kind == OTHERWISE:
        yield f"gradients{s} = {loss.changer}(gradients{s})"
    elif kind == GLOBAL_NORM:
        yield f"clipped, _ = tf.clip_by_global_norm(list(gradients{s}.values()), {numbers})"
        yield f"gradients{s} = dict(zip(gradients{s}, clipped))"
    else:
        yield f"gradients{s} = {{name: tf.{kind}(g, {numbers}) for name, g in gradients{s}.items()}}"


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
    return f"{p.scale}(optimizer{p.suffix}.iterations) * " if p.scale else ""


def _updates(step):
    """Decays of order "before", then the updates, then the decays behind them."""
    first, updates, behind = [], [], []
    for loss in step.losses:
        for p in loss.parts:
            before, after = _decay(p, loss.suffix)
            first += before
            behind += after
            pairs = f"[(gradients{loss.suffix}[name], weights{loss.suffix}[name]) for name in {p.updated}]"
            updates.append(f"        optimizer{p.suffix}.apply_gradients({pairs})")
    return [*first, *updates, *behind]


def _decay(p, of_loss):
    """(lines in front of the update, lines behind it). of_loss: the suffix of its loss."""
    s, weights = p.suffix, f"weights{of_loss}[name]"
    if p.form.decay == IN_GRADIENT:
        return [
            f"        for name, rate in {p.rates}.items():",
            f"            penalty = tf.cast({_times(p)}rate, {weights}.dtype) * tf.convert_to_tensor({weights})",
            f"            gradients{of_loss}[name] = tf.convert_to_tensor(gradients{of_loss}[name]) + penalty",
        ], []
    if p.form.decay not in (OP, COPIES):
        return [], []
    scale, first = _scale(p), []
    if scale is not None:  # of this step: the update counts iterations on
        first.append(f"        scale{s} = tf.identity({scale})")
    if p.form.decay == OP:
        option = "" if scale is None else f", scale=scale{s}"
        lines = [
            f"        decaying{s} = [{weights} for name in {p.rates}]",
            f"        tf1_wd.tf2.decay(decaying{s}, list({p.rates}.values()){option})",
        ]
        return (first + lines, []) if p.part.order == "before" else (first, lines)
    times = "rate" if scale is None else f"tf.cast(scale{s} * rate, {weights}.dtype)"
    amount = f"{times} * tf.convert_to_tensor({weights})"
    first.append(f"        amounts{s} = {{name: {amount} for name, rate in {p.rates}.items()}}")
    return first, [f"        for name, amount in amounts{s}.items():", f"            {weights}.assign_sub(amount)"]


def _scale(p):
    """The expression that multiplies the rates in the step; None for 1."""
    if p.scale:
        return f"{p.scale}(tf.convert_to_tensor(optimizer{p.suffix}.iterations))"
    if p.part.scale != LEARNING_RATE:
        return None
    if p.asks:  # an optimizer of Keras 2 shows the value of the step before
        return f"{p.asks[0]}(optimizer{p.suffix}.iterations)"
    return f"optimizer{p.suffix}.learning_rate"
