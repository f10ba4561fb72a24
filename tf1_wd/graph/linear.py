"""Reads what one op computes as a sum of multiples of its inputs; readers walk from op to op with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Mapping, NamedTuple

from tf1_wd.graph.op_types import SIGNS, TIMES

if TYPE_CHECKING:
    from tf1_wd._tf import tf


class Part(NamedTuple):
    """A summand: `tensor` times `number`, and times `scalar`, or divided by it, where there is one."""

    tensor: tf.Tensor
    number: float = 1.0
    scalar: tf.Tensor | None = None
    divides: bool = False


class Reading(NamedTuple):
    """What a reader takes as linear: two readers differ on purpose in these values alone.

    scalar_at: function from a product to the place of the scalar among its inputs; None if no input is one.
    same: ops that hand on their first input. sums: ops that add up their inputs. signs: {ops that add up their inputs:
    with these signs}. divisions: ops whose second input, if it is the scalar, divides the first.
    """

    scalar_at: Callable[[tf.Operation], int | None]
    same: frozenset[str] = frozenset()
    sums: frozenset[str] = frozenset()
    signs: Mapping[str, tuple[float, ...]] = SIGNS
    divisions: frozenset[str] = frozenset(["RealDiv"])

    def parts(self, op: tf.Operation) -> list[Part] | None:
        """The summands of what an op computes; None if it is no sum of multiples of its inputs."""
        if op.type in self.same and op.inputs:
            return [Part(op.inputs[0])]
        if op.type in self.sums:
            return [Part(tensor) for tensor in op.inputs]
        if op.type in self.signs:
            return [Part(tensor, sign) for tensor, sign in zip(op.inputs, self.signs[op.type])]
        divides = op.type in self.divisions
        place = self.scalar_at(op) if divides or op.type in TIMES else None
        if place is None or (divides and place != 1):
            return None
        return [Part(op.inputs[1 - place], 1.0, op.inputs[place], divides)]
