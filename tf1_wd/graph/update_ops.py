"""Reads the update ops of optimizers: what is known of their optimizer, and what they are given."""

from __future__ import annotations

from tf1_wd._tf import tf
from tf1_wd.graph.op_types import PLAIN_UPDATES
from tf1_wd.graph.walk import argument
from tf1_wd.plan.optimizer_table import BY_CLASS, BY_KERNEL, LEARNING_RATES, OptimizerRow


def kind_of(op: tf.Operation) -> str:
    """What the optimizer of an update op is called: ResourceSparseApplyAdam -> Adam; of an assignment, its type."""
    return op.type.split("Apply")[-1] if "Apply" in op.type else op.type


def row_of(op: tf.Operation) -> OptimizerRow | None:
    """The row of an update op; None for an assignment, and for an optimizer that has no row."""
    return BY_KERNEL.get(kind_of(op)) if "Apply" in op.type else None


def step_ignores_weights(optimizer_class: type) -> bool:
    """True if the step of this class of optimizers is known to depend on gradients and slots alone, not on weights."""
    ignoring = [getattr(tf.train, name) for name, row in BY_CLASS.items() if not row.step_reads_weights]
    return optimizer_class in ignoring


def op_ignores_weights(op: tf.Operation) -> bool:
    """The same of an update op."""
    row = row_of(op)
    return row is not None and not row.step_reads_weights


def is_plain(name: str) -> bool:
    """True for an optimizer under which L2 in the loss is weight decay. name: its class, or the kind of its ops."""
    row = BY_CLASS.get(name) or BY_KERNEL.get(name)
    return name in PLAIN_UPDATES or (row is not None and row.is_plain)


def learning_rate_input(op: tf.Operation) -> tf.Tensor | None:
    """The tensor that an update op takes as its learning rate, or None."""
    return argument(op, LEARNING_RATES)
