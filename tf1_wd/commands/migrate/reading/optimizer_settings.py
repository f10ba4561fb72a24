"""Reads off update ops which optimizer made them, with which settings."""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.facts import OptimizerStep
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.errors import MigrationError
from tf1_wd.graph.op_types import ASSIGNS
from tf1_wd.graph.update_ops import kind_of, learning_rate_input, row_of

_GATE = frozenset(["Switch"])  # what lets a tensor into a branch


@dataclass(frozen=True)
class Settings:
    """Of an update op. learning_rate: float or "run time". rate_key: what tells one learning rate from another."""

    optimizer: str
    values: tuple  # of (name, float or bool)
    learning_rate: float | str
    rate_key: float | str


@dataclass(eq=False)
class UpdateOp:
    """One update op: of which variable (its op), by which step, with which settings; None where its op tells none."""

    variable: tf.Operation
    op: tf.Operation
    step: OptimizerStep
    settings: Settings | None

    @property
    def optimizer(self) -> str:
        """What the ops of one optimizer have in common: the scope of their names."""
        return self.op.name.rsplit("update_" + self.variable.name, 1)[0]


def settings_of(op, constants):
    """The Settings of an update op; None if it is an assignment, as the sparse update of Adam is.

    constants: constants.Constants. Raises MigrationError for an optimizer that Keras does not have, or for settings
    that change in training.
    """
    if "Apply" not in op.type:
        return None
    row = row_of(op)
    if row is None or not row.keras_class:
        raise MigrationError(
            "%s is updated by %s (%s), and no optimizer of Keras is known to do the same: move that update by hand, "
            "and put tf1_wd.tf2.decay before or behind it" % (graph.holder(op.inputs[0]).name, kind_of(op), op.name)
        )
    # where one kernel lacks a setting of its optimizer, it is as by default
    values = {name: default for name, default in row.settings.items() if default is not None}
    values.update(row.kernels[kind_of(op)])
    for definition, tensor in zip(op.op_def.input_arg, op.inputs):
        if definition.name in row.inputs:
            value = values[row.inputs[definition.name]] = constants.number(graph.through(tensor, _GATE))
            if value is None:
                raise MigrationError(
                    "%s of %s changes in training: Keras keeps it as a number. Move that update by hand"
                    % (definition.name, op.name)
                )
        if row.slots.get(definition.name):
            values[row.slots[definition.name]] = _first_value(op, tensor, constants)
    has_nesterov = op.node_def.attr["use_nesterov"].b
    if "nesterov" in row.settings:
        values["nesterov"] = has_nesterov
    elif has_nesterov:
        raise MigrationError("%s is Adam with Nesterov's momentum, which Keras has in another form (Nadam)" % op.name)
    tensor = learning_rate_of(op)
    number = constants.number(tensor)
    rate, key = (RUN_TIME, _origin(tensor).name) if number is None else (number, number)
    return Settings(row.name, tuple(sorted(values.items())), rate, key)


def _first_value(op, slot, constants):
    """The value that a slot starts with."""
    variable = graph.holder(slot)
    starts = [c for c in variable.outputs[0].consumers() if c.type in ASSIGNS and c.name.endswith("/Assign")]
    numbers = {constants.number(start.inputs[1]) for start in starts}
    if len(numbers) != 1 or None in numbers:
        raise MigrationError("the value that %s of %s starts with is not in the graph" % (variable.name, op.name))
    return numbers.pop()


def learning_rate_of(op):
    """The tensor that an update op takes as its learning rate, as it was before a branch let it in."""
    return graph.through(learning_rate_input(op), _GATE)


def is_learning_rate(tensor, op):
    """True if `tensor` is what an update op takes as its learning rate, but for casts."""
    return _origin(tensor) is _origin(learning_rate_of(op))


def _origin(tensor):
    """The op of a learning rate, seen through casts and identities."""
    return graph.through(tensor, _GATE | {"Identity", "Cast"}).op
