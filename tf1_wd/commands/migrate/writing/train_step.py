"""Writes the training steps of a migrated program; knows no TensorFlow."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tf1_wd.commands.migrate.migration import GLOBAL_NORM, OTHERWISE, Loss, RunStep
from tf1_wd.commands.migrate.writing.forms import COPIES, IN_GRADIENT, IN_LOSS, OP, WEIGHT_DECAY
from tf1_wd.commands.migrate.writing.optimizers import number, signature
from tf1_wd.plan.options import COUPLED
from tf1_wd.plan.scale_option import LEARNING_RATE


@dataclass(frozen=True)
class NamedLoss(Loss):
    """A migration.Loss. suffix: appended to the generated names ("_1"), "" if its step has only one."""

    suffix: str = ""

    @property
    def changer(self):
        """The argument for what becomes of the gradients that is no clip, or None."""
        return "change_gradients" + self.suffix if any(k == OTHERWISE for k, _ in self.changes) else None


@dataclass(frozen=True)
class NamedStep(RunStep):
    """A migration.RunStep. suffix: appended to the generated names ("_1"), "" if there is only one."""

    suffix: str = ""

    @property
    def asks(self):
        """The arguments of its function behind variables."""
        of_parts = [name for p in self.parts for name in (p.rate_argument, p.scale_argument)]
        names = ["data_loss" + loss.suffix for loss in self.losses] + of_parts + [loss.changer for loss in self.losses]
        return [name for name in names if name]

    @property
    def known(self):
        """Those of them that have a default."""
        return {name for part in self.parts for name in part.known}


def train_step(step, program):
    """The function that makes the training step of a NamedStep."""
    lines = [
        f"def make_train_step{step.suffix}({signature(['variables', *step.asks], step.known)}):",
        f'    """A function of a batch that takes one step of {program} and returns the loss.',
        "",
        "    variables: as `pair` returns them.",
    ]
    for text in _asked(step):
        lines += textwrap.wrap(text, 116, initial_indent="    ", subsequent_indent="      ")
    lines.append('    """')
    for p in step.parts:
        asked = f", {p.rate_argument}" if p.rate_argument else ""
        lines.append(f"    optimizer{p.suffix} = make_optimizer{p.suffix}(variables{asked})")
    for loss in step.losses:
        names = [p.updated for p in loss.parts]
        listed = names[0] if len(names) == 1 else "[%s]" % ", ".join("*" + name for name in names)
        lines.append(f"    weights{loss.suffix} = {{name: variables[name] for name in {listed}}}")
    lines += ["", "    @tf.function", "    def train_step(*batch):"]
    lines += ["        " + line for line in _body(step)]
    optimizers = ", ".join(f"optimizer{p.suffix}" for p in step.parts)
    lines += ["", f"    train_step.optimizers = [{optimizers}]  # for tf.train.Checkpoint"]
    return "\n".join([*lines, "    return train_step"])


def _asked(step):
    """What is to be said of each argument that the reader has to give."""
    for loss in step.losses:
        l2 = ", without the L2 of its RATES" if any(p.decaying for p in loss.parts) else ""
        yield f"data_loss{loss.suffix}(*batch): the loss{l2}."
    for p in step.parts:
        if p.rate_argument:
            where = f", {p.rate_name} in the program" if p.rate_name else ""
            yield (
                f"{p.rate_argument}: a function of the number of updates so far{where}. A schedule of Keras is one; so "
                "is `lambda step: rate`, with a tf.Variable that you set."
            )
        if p.scale_argument:
            yield f"{p.scale_argument}: a function of the number of updates so far: what multiplies the rates."
        if p.known:
            later = ", ".join(f"{name}=lambda step: {name}(step + n)" for name in p.known)
            yield f"To go on from step n of the program: {later}."
    for loss in step.losses:
        for known in [words for kind, words in loss.changes if kind == OTHERWISE]:
            yield (
                f"{loss.changer}(gradients): takes {{name: gradient}} and returns it as the program applies it. The "
                f"program {'; '.join(known)}."
            )


def _body(step):
    """The lines of the step: the gradients, decays of order "before", the updates, the decays behind them."""
    updates, behind = [], []
    for loss in step.losses:
        yield from _gradients(loss)
    for loss in step.losses:
        for p in loss.parts:
            front, after = _decay(p, loss.suffix)
            yield from front
            behind += after
            pairs = f"[(gradients{loss.suffix}[name], weights{loss.suffix}[name]) for name in {p.updated}]"
            updates.append(f"optimizer{p.suffix}.apply_gradients({pairs})")
    yield from updates + behind
    yield "return " + ", ".join("loss" + loss.suffix for loss in step.losses)


def _gradients(loss):
    """The lines that compute gradients{suffix}: {name: gradient} of a loss, as they are applied but for the decay."""
    s, parts = loss.suffix, loss.parts
    in_loss = [p for p in parts if p.form.decay == IN_LOSS]
    # TensorFlow 1 adds up a loss that is no scalar
    call = f"tf.reduce_sum(data_loss{s}(*batch))" if in_loss else f"data_loss{s}(*batch)"
    yield "with tf.GradientTape() as tape:"
    yield f"    loss{s} = {call}"
    for p in in_loss:
        yield f"    for name, rate in {p.table}.items():"
        yield f"        loss{s} += tf.cast({_times(p)}rate * tf.nn.l2_loss(weights{s}[name]), loss{s}.dtype)"
    zeros = not all(w.has_gradient for p in parts for w in p.weights)
    option = ", unconnected_gradients=tf.UnconnectedGradients.ZERO" if zeros else ""
    yield f"gradients{s} = tape.gradient(loss{s}, weights{s}{option})"
    for p in parts:
        if p.order == COUPLED and p.form.decay in (WEIGHT_DECAY, IN_GRADIENT):
            yield f"for name in {p.table}:  # L2 alone may reach it"
            yield f"    if gradients{s}[name] is None:"
            yield f"        gradients{s}[name] = tf.zeros_like(weights{s}[name])"
    if not zeros:
        yield f"unreached = [name for name, gradient in gradients{s}.items() if gradient is None]"
        yield "if unreached:"
        yield f'    raise ValueError("data_loss{s} does not depend on: " + ", ".join(unreached))'
    for kind, values in loss.changes:
        yield from _change(kind, values, loss)
    if any(w.is_table is not False for p in parts for w in p.weights):
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


def _decay(p, s):
    """(lines in front of the update, lines behind it) of a part. s: the suffix of its loss."""
    weight, scale, front = f"weights{s}[name]", None, []
    if p.form.decay == IN_GRADIENT:
        return [
            f"for name, rate in {p.table}.items():",
            f"    penalty = tf.cast({_times(p)}rate, {weight}.dtype) * tf.convert_to_tensor({weight})",
            f"    gradients{s}[name] = tf.convert_to_tensor(gradients{s}[name]) + penalty",
        ], []
    if p.form.decay not in (OP, COPIES):
        return [], []
    if _scale(p):  # of this step: the update counts iterations on
        scale = f"scale{p.suffix}"
        front = [f"{scale} = tf.identity({_scale(p)})"]
    if p.form.decay == OP:
        option = f", scale={scale}" if scale else ""
        lines = [
            f"decaying{p.suffix} = [{weight} for name in {p.table}]",
            f"tf1_wd.tf2.decay(decaying{p.suffix}, list({p.table}.values()){option})",
        ]
        return (front + lines, []) if p.order == "before" else (front, lines)
    times = f"tf.cast({scale} * rate, {weight}.dtype)" if scale else "rate"
    amounts = f"{{name: {times} * tf.convert_to_tensor({weight}) for name, rate in {p.table}.items()}}"
    behind = [f"for name, amount in amounts{p.suffix}.items():", f"    {weight}.assign_sub(amount)"]
    return [*front, f"amounts{p.suffix} = {amounts}"], behind


def _times(p):
    return f"{p.scale_argument}(optimizer{p.suffix}.iterations) * " if p.scale_argument else ""


def _scale(p):
    """The expression that multiplies the rates in the step; None for 1."""
    if p.scale_argument:
        return f"{p.scale_argument}(tf.convert_to_tensor(optimizer{p.suffix}.iterations))"
    if p.scale != LEARNING_RATE:
        return None
    if p.rate_argument:  # an optimizer of Keras 2 shows the value of the step before
        return f"{p.rate_argument}(optimizer{p.suffix}.iterations)"
    return f"optimizer{p.suffix}.learning_rate"
