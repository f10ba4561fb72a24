"""Scalars whose value constants alone give."""

from __future__ import annotations

import operator
from typing import Callable, ClassVar

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import BROADCASTS, COPIES, READS, REDUCTIONS, RESHAPES, STOPS
from tf1_wd.graph.variables import is_variable
from tf1_wd.graph.walk import key


class Constants:
    """The values of scalars that constants alone give, each looked at once; deep chains do not recurse.

    Another reader of scalars is a subclass. It says which ops it looks through, and what stands for an unknown value.
    """

    # op type -> the input whose number its output has everywhere
    same: ClassVar[dict[str, int]] = {
        **dict.fromkeys(COPIES.union(RESHAPES, BROADCASTS, REDUCTIONS, STOPS) | {"Snapshot"}, 0),
        "Fill": 1,
    }
    arithmetic: ClassVar[dict[str, Callable[..., float | None]]] = {
        "Mul": operator.mul,
        "Add": operator.add,
        "AddV2": operator.add,
        "AddN": lambda *numbers: sum(numbers),
        "Neg": operator.neg,
        "Sub": operator.sub,
        "RealDiv": lambda a, b: a / b if b else None,
    }

    def __init__(self) -> None:
        self._known: dict[tuple[tf.Operation, int], float | None] = {}

    def number(self, tensor: tf.Tensor) -> float | None:
        """A float, or None if the value is known only at run time or is not the same everywhere."""
        pending = [tensor]
        while pending:
            last = key(pending[-1])
            if last in self._known:
                pending.pop()
                continue
            needed = self.needed(pending[-1])
            missing = [t for t in needed if key(t) not in self._known]
            if missing:
                pending += reversed(missing)
                continue
            self._known[last] = self._value(pending.pop(), needed)
        return self._known[key(tensor)]

    def needed(self, tensor: tf.Tensor) -> list[tf.Tensor]:
        """The tensors whose numbers give the number of `tensor`; [] if it is looked at itself."""
        op = tensor.op
        if op.type in self.same:
            return [op.inputs[self.same[op.type]]]
        return list(op.inputs) if op.type in self.arithmetic else []

    def _value(self, tensor: tf.Tensor, needed: list[tf.Tensor]) -> float | None:
        op = tensor.op
        if not needed:
            return self.leaf(tensor)
        numbers = [number for number in (self._known[key(t)] for t in needed) if number is not None]
        if len(numbers) < len(needed):
            return None
        if op.type in self.arithmetic:
            return self.arithmetic[op.type](*numbers)
        if op.type == "Sum":
            n, m = op.inputs[0].shape.num_elements(), tensor.shape.num_elements()
            return numbers[0] * n / m if n and m else None
        return numbers[0]

    def leaf(self, tensor: tf.Tensor) -> float | None:
        """The number of a tensor that no arithmetic gives."""
        op = tensor.op
        if is_variable(op) or op.type in READS or op.type == "Placeholder":
            return None
        value = _tf.constant_value(tensor)
        if value is None or not value.size or value.dtype.kind not in "fiu" or value.min() != value.max():
            return None
        return float(value.reshape(-1)[0])
