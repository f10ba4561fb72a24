"""What the findings of an audit look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scene:
    """What findings look at.

    facts: facts.Facts. variables: {op of a trainable variable: report.AuditedVariable}. frames: function from an op to
    the user's lines that made it, the innermost first.
    """

    facts: object
    variables: dict
    frames: object

    def names(self, ops):
        """The names of variables in the order of the report, each once."""
        wanted = set(ops)
        return tuple(v.name for op, v in self.variables.items() if op in wanted)
