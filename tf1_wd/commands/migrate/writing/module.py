"""Writes a Migration as a module for TensorFlow 2; knows no TensorFlow."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.from_plan import from_plan
from tf1_wd.commands.migrate.migration import OTHERWISE
from tf1_wd.commands.migrate.writing.forms import AUTO, OP, form_of
from tf1_wd.commands.migrate.writing.optimizers import MOMENTUM, SCHEDULE, NamedPart, functions, number, optimizer
from tf1_wd.commands.migrate.writing.train_step import NamedLoss, NamedStep, train_step
from tf1_wd.plan.options import COUPLED
from tf1_wd.plan.scale_option import LEARNING_RATE
from tf1_wd.plan.text_table import some

_WIDTH = 116
_RULES = {
    COUPLED: "gradient <- gradient + rate w",
    "before": "w <- w - step - {}rate w",
    "after": "w <- (1 - {}rate) (w - step)",
}


@dataclass(frozen=True)
class Written:
    """A module's text, and what it does not do as the program does: differences, notes."""

    code: str
    differences: tuple
    notes: tuple


def write(migration, form=AUTO) -> Written:
    """The module that trains in TensorFlow 2 as a TF1 program does.

    Args:
      migration: migration.Migration.
      form: "auto" (Keras's weight_decay= where that is equal, else L2 in the loss or the decay op in a GradientTape
        loop), "keras" (weight_decay= also where it is only nearly equal, with the differences), or "tape" (never).

    Returns: Written. Raises InvalidOptionError; MigrationError if `form` cannot say it.

    Example:
      >>> print(write(from_plan(decay.plan, "adam", 1e-3)).code)
    """
    program = migration.program.replace("\\", "/").replace('"', "'")  # which stands in docstrings
    steps = _named(migration, form)
    parts = [part for step in steps for part in step.parts]
    differences = (*migration.differences, *(d for part in parts for d in part.form.differences))
    notes = (*migration.notes, *(note for part in parts for note in part.form.notes))
    notes += tuple(
        "%s is to be written: the program %s" % (loss.changer, "; ".join(words))
        for step in steps
        for loss in step.losses
        for kind, words in loss.changes
        if kind == OTHERWISE
    )
    head = [_header(program, steps, differences, notes), "import tensorflow as tf"]
    head += ["import tf1_wd"] if any(part.form.decay == OP for part in parts) else []
    sections = ["\n\n".join([*head, *_tables(migration, parts)]), _PAIR]
    if any(part.form.is_own_momentum for part in parts):
        sections.append(MOMENTUM)
    if any(part.rate_argument and not part.form.is_own_momentum for part in parts):
        sections.append(SCHEDULE)
    sections += [function for part in parts for function in functions(part)]
    sections += [optimizer(part) for part in parts]
    sections += [train_step(step, program) for step in steps]
    return Written("\n\n\n".join(s.strip("\n") for s in sections) + "\n", differences, notes)


def _named(migration, form):
    """The NamedSteps of a Migration."""
    suffixes = iter(_suffixes([part for step in migration.steps for part in step.parts]))

    def named(loss, suffix):
        forms = [form_of(part, loss.changes, form) for part in loss.parts]
        parts = [NamedPart(**vars(part), form=f, suffix=next(suffixes)) for part, f in zip(loss.parts, forms)]
        return NamedLoss(tuple(parts), loss.changes, suffix)

    return [
        NamedStep(tuple(map(named, step.losses, _suffixes(step.losses, suffix))), suffix)
        for step, suffix in zip(migration.steps, _of_steps(migration.steps))
    ]


def _of_steps(steps):
    """What ends the names of each step: the scope of its variables, if each has one of its own; else its number."""
    scopes = [{w.name.split("/")[0] for part in step.parts for w in part.weights if "/" in w.name} for step in steps]
    names = [scope.pop() if len(scope) == 1 else "" for scope in scopes]
    has_bare = any("/" not in w.name for step in steps for part in step.parts for w in part.weights)
    if len(set(names)) < len(steps) or len(steps) < 2 or has_bare or not all(map(str.isidentifier, names)):
        return _suffixes(steps)
    return ["_" + name for name in names]


def _suffixes(members, alone=""):
    """What ends the names of each: "_1", "_2" ..., or `alone` where there is one alone."""
    return ["_%d" % (i + 1) for i in range(len(members))] if len(members) > 1 else [alone]


def migrate_plan(plan, optimizer, learning_rate=None, scale=None, program="the plan", form=AUTO, **settings) -> Written:
    """A decay plan and an optimizer of TensorFlow 1 as a module for TensorFlow 2: `write` of `from_plan`.

    Args: those of from_plan, and `form` of `write`.

    Returns: Written: code (the module's text), differences, notes. Raises: as these two.

    Example:
      >>> with tf1_wd.decoupled_weight_decay(rates=0.1, convention="adamw") as decay:
      ...     train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
      >>> print(tf1_wd.migrate_plan(decay.plan, "adam", 1e-3).code)
    """
    return write(from_plan(plan, optimizer, learning_rate, scale, program, **settings), form)


# --- the head


def _header(program, steps, differences, notes):
    parts = [p for step in steps for p in step.parts]
    lines = ["What trains %s, in TensorFlow 2; written by `tf1-wd migrate`." % program, ""]
    for p in parts:
        rule = _RULES[p.order].format({LEARNING_RATE: "lr ", RUN_TIME: "scale "}.get(p.scale, ""))
        decay = "%d of %d variables: %s" % (len(p.decaying), len(p.weights), rule) if p.decaying else "no decay"
        lines.append("  %s, %s" % (p.class_name, decay))
    lines += ["", "  variables = pair(model.trainable_variables)"]
    for step in steps:
        arguments = ", ".join(["variables", *(a for a in step.asks if a not in step.known)])
        lines.append(f"  train_step{step.suffix} = make_train_step{step.suffix}({arguments})")
    lines += ["  loss = train_step%s(images, labels)" % step.suffix for step in steps] + [""]
    for step in steps:
        for loss in step.losses:
            table = "RATES" if not loss.suffix else " and ".join(p.table for p in loss.parts if p.decaying)
            rates = " without the L2 in %s" % table if any(p.decaying for p in loss.parts) else ""
            whose = (
                "the loss of %s" % program if not loss.suffix else "a loss of %s, that of %s" % (program, _whose(loss))
            )
            lines += _wrapped(
                "data_loss%s is yours: a function of a batch that returns %s%s." % (loss.suffix, whose, rates)
            )
    for title, said in (("Not equivalent:", differences), ("Left to you:", notes)):
        if said:
            lines += ["", title]
        for sentence in said:
            lines += _wrapped("- %s" % str(sentence).rstrip(".") + ".", "  ")
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    return '"""%s\n"""' % text.rstrip()


def _whose(loss):
    return some([weight.name for part in loss.parts for weight in part.weights])


def _wrapped(text, indent=""):
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _tables(migration, parts):
    """The names, shapes and rates of the variables."""
    shapes = {w.name: w.shape for step in migration.steps for part in step.parts for w in part.weights}
    named = [(name, shapes[name]) for name in migration.order or shapes if name in shapes]
    rows = ['"%s": %r' % (name, tuple(shape)) for name, shape in named]
    tables = ["# name in the program: shape; in the order in which it makes them\nVARIABLES = {%s}" % _lines(rows)]
    for p in parts:
        if p.suffix:
            tables.append("%s = [%s]" % (p.updated, _lines('"%s"' % w.name for w in p.weights)))
        if p.decaying:
            rates = _lines('"%s": %s' % (w.name, number(w.rate)) for w in p.decaying)
            tables.append("# of the decay; the others have none\n%s = {%s}" % (p.table, rates))
    return tables


def _lines(rows):
    return "\n%s\n" % "\n".join("    %s," % row for row in rows)


_PAIR = '''
def pair(weights):
    """{name: variable} of VARIABLES, from the variables of the new model in that order."""
    weights = list(weights)
    if len(weights) != len(VARIABLES):
        raise ValueError("%d variables for the %d of VARIABLES" % (len(weights), len(VARIABLES)))
    for (name, shape), weight in zip(VARIABLES.items(), weights):
        if any(n is not None and n != m for n, m in zip(shape, weight.shape)) or len(shape) != len(weight.shape):
            raise ValueError("%s has the shape %s, and %s %s" % (name, shape, weight.name, tuple(weight.shape)))
        last = [path.split(":")[0].rsplit("/", 1)[-1] for path in (name, weight.name)]
        if sorted(last) == ["beta", "gamma"]:
            raise ValueError("%s would go with %s: give the variables in the order of VARIABLES" % (name, last[1]))
    return dict(zip(VARIABLES, weights))


def load(variables, checkpoint):
    """Gives the variables the weights that a checkpoint of the program holds. The optimizer starts anew."""
    reader = tf.train.load_checkpoint(checkpoint)
    for name, variable in variables.items():
        variable.assign(reader.get_tensor(name))
'''
