"""Reads off update ops which optimizer made them, with which settings."""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd import graph
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.errors import MigrationError
from tf1_wd.graph.update_ops import kind_of, learning_rate_input, row_of


@dataclass(frozen=True)
class Settings:
    """Of an update op. learning_rate: float or "run time". rate_key: what tells one learning rate from another."""

    optimizer: str
    values: tuple  # of (name, float or bool)
    learning_rate: object
    rate_key: object


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
            values[row.inputs[definition.name]] = _constant(op, definition.name, tensor, constants)
        if row.slots.get(definition.name):
            values[row.slots[definition.name]] = _first_value(op, tensor, constants)
    has_nesterov = op.node_def.attr["use_nesterov"].b
    if "nesterov" in row.settings:
        values["nesterov"] = has_nesterov
    elif has_nesterov:
        raise MigrationError("%s is Adam with Nesterov's momentum, which Keras has in another form (Nadam)" % op.name)
    tensor = learning_rate_of(op)
    number = constants.number(tensor)
    if number is None:
        return Settings(row.name, tuple(sorted(values.items())), RUN_TIME, _origin(tensor).name)
    return Settings(row.name, tuple(sorted(values.items())), number, number)


def _constant(op, name, tensor, constants):
    number = constants.number(_outside(tensor))
    if number is None:
        raise MigrationError(
            "%s of %s changes in training: Keras keeps it as a number. Move that update by hand" % (name, op.name)
        )
    return number


def _first_value(op, slot, constants):
    """The value that a slot starts with."""
    variable = graph.holder(slot)
    numbers = {
        constants.number(c.inputs[1])
        for c in variable.outputs[0].consumers()
        if c.type in ("Assign", "AssignVariableOp") and c.name.endswith("/Assign")
    }
    if len(numbers) != 1 or None in numbers:
        raise MigrationError("the value that %s of %s starts with is not in the graph" % (variable.name, op.name))
    return numbers.pop()


def _outside(tensor):
    """A tensor as it was before a branch let it in."""
    while tensor.op.type == "Switch":
        tensor = tensor.op.inputs[0]
    return tensor


def learning_rate_of(op):
    """The tensor that an update op takes as its learning rate, as it was before a branch let it in."""
    return _outside(learning_rate_input(op))


def is_learning_rate(tensor, op):
    """True if `tensor` is what an update op takes as its learning rate, but for casts."""
    return _origin(tensor) is _origin(learning_rate_of(op))


def _origin(tensor):
    """The op of a learning rate, seen through casts and identities."""
    while tensor.op.type in ("Identity", "Cast", "Switch") and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor.op
