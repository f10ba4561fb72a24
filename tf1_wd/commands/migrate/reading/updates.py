"""What the reader of a program knows of one update."""

from __future__ import annotations


class Update:
    """One update op: of which variable (its op), by which facts.Step, with which update_settings.Settings."""

    def __init__(self, variable, op, of, settings):
        self.variable, self.op, self.of, self.settings = variable, op, of, settings

    @property
    def optimizer(self):
        """What the ops of one optimizer have in common: the scope of their names."""
        return self.op.name.rsplit("update_" + self.variable.name, 1)[0]
