"""What the reader of a program knows of one update."""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd._tf import tf
from tf1_wd.commands.audit.facts import OptimizerStep
from tf1_wd.commands.migrate.reading.optimizer_settings import Settings


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
