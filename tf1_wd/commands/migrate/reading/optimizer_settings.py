"""Reads off update ops which optimizer made them, with which settings."""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd import graph
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.errors import MigrationError
from tf1_wd.graph.update_ops import kind_of

# kind of an update op -> key of migration.OPTIMIZERS
_OPTIMIZERS = {
    "GradientDescent": "sgd",
    "Momentum": "momentum",
    "Adam": "adam",
    "RMSProp": "rmsprop",
    "CenteredRMSProp": "rmsprop",
    "Adagrad": "adagrad",
    "AdagradV2": "adagrad",
    "Adadelta": "adadelta",
    "Ftrl": "ftrl",
    "FtrlV2": "ftrl",
}
# input of an update op -> setting
_INPUTS = {
    "beta1": "beta_1",
    "beta2": "beta_2",
    "epsilon": "epsilon",
    "rho": "rho",
    "momentum": "momentum",
    "lr_power": "learning_rate_power",
    "l1": "l1_regularization_strength",
    "l2": "l2_regularization_strength",
    "l2_shrinkage": "l2_shrinkage_regularization_strength",
}
_RATES = ("lr", "alpha")
# slot of an optimizer whose first value is a setting
_SLOTS = {
    "adagrad": ("accum", "initial_accumulator_value"),
    "ftrl": ("accum", "initial_accumulator_value"),
    "rmsprop": ("ms", "initial_mean_square"),
}


@dataclass(frozen=True)
class Settings:
    """Of an update op. learning_rate: float or "run time". rate_key: what tells one learning rate from another."""

    optimizer: str
    values: tuple  # of (name, float or bool)
    learning_rate: object
    rate_key: object


def settings_of(op, constants):
    """The Settings of an update op; None if it is an assignment, as the sparse update of Adam is.

    constants: facts.Constants. Raises MigrationError for an optimizer that Keras does not have, or for settings that
    change in training.
    """
    kind = kind_of(op)
    if "Apply" not in op.type:
        return None
    if kind not in _OPTIMIZERS:
        raise MigrationError(
            "%s is updated by %s (%s), and no optimizer of Keras is known to do the same: move that update by hand, "
            "and put tf1_wd.tf2.decay before or behind it" % (graph.holder(op.inputs[0]).name, kind, op.name)
        )
    optimizer = _OPTIMIZERS[kind]
    values = {}
    for definition, tensor in zip(op.op_def.input_arg, op.inputs):
        if definition.name in _INPUTS:
            values[_INPUTS[definition.name]] = _constant(op, definition.name, tensor, constants)
    if optimizer == "momentum":
        values["nesterov"] = op.get_attr("use_nesterov")
    elif optimizer == "adam" and op.type.endswith("ApplyAdam") and op.get_attr("use_nesterov"):
        raise MigrationError("%s is Adam with Nesterov's momentum, which Keras has in another form (Nadam)" % op.name)
    elif optimizer == "rmsprop":
        values["centered"] = kind == "CenteredRMSProp"
    if optimizer == "ftrl":
        values.setdefault("l2_shrinkage_regularization_strength", 0.0)
    if optimizer in _SLOTS:
        slot, name = _SLOTS[optimizer]
        values[name] = _first_value(op, graph.argument(op, (slot,)), constants)
    tensor = learning_rate_of(op)
    number = constants.number(tensor)
    if number is None:
        return Settings(optimizer, tuple(sorted(values.items())), RUN_TIME, _origin(tensor).name)
    return Settings(optimizer, tuple(sorted(values.items())), number, number)


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
    return _outside(graph.argument(op, _RATES))


def is_learning_rate(tensor, op):
    """True if `tensor` is what an update op takes as its learning rate, but for casts."""
    return _origin(tensor) is _origin(learning_rate_of(op))


def _origin(tensor):
    """The op of a learning rate, seen through casts and identities."""
    while tensor.op.type in ("Identity", "Cast", "Switch") and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor.op
