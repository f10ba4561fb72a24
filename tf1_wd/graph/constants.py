"""Scalars whose value constants alone give."""

from __future__ import annotations

from tf1_wd import _tf
from tf1_wd.graph.op_types import READS
from tf1_wd.graph.variables import is_variable
from tf1_wd.graph.walk import key


class Constants:
    """The values of scalars that constants alone give, each looked at once; deep chains do not recurse."""

    def __init__(self):
        self._known = {}

    def number(self, tensor):
        """A float, or None if the value is known only at run time or is not the same everywhere."""
        pending = [tensor]
        while pending:
            last = key(pending[-1])
            if last in self._known:
                pending.pop()
                continue
            op = last[0]
            needed = self._needed(op)
            missing = [t for t in needed if key(t) not in self._known]
            if missing:
                pending += missing
                continue
            self._known[last] = self._value(pending.pop(), needed)
        return self._known[key(tensor)]

    def _needed(self, op):
        if op.type in _ONE:
            return [op.inputs[_ONE[op.type]]]
        return list(op.inputs) if op.type in _ARITHMETIC else []

    def _value(self, tensor, needed):
        op = tensor.op
        numbers = [self._known[key(t)] for t in needed]
        if any(number is None for number in numbers):
            return None
        if op.type in _ARITHMETIC:
            return _ARITHMETIC[op.type](numbers)
        if op.type == "Sum":
            n, m = op.inputs[0].shape.num_elements(), tensor.shape.num_elements()
            return numbers[0] * n / m if n and m else None
        if op.type in _ONE:
            return numbers[0]
        if is_variable(op) or op.type in READS or op.type == "Placeholder":
            return None
        value = _tf.constant_value(tensor)
        if value is None or not value.size or value.dtype.kind not in "fiu" or value.min() != value.max():
            return None
        return float(value.reshape(-1)[0])


def _product(numbers):
    return numbers[0] * numbers[1]


# op type -> the input whose number its output has everywhere
_ONE = {
    **dict.fromkeys(("Identity", "Reshape", "Cast", "Tile", "BroadcastTo", "ExpandDims", "Squeeze", "Snapshot"), 0),
    **dict.fromkeys(("Sum", "Mean", "StopGradient", "PreventGradient", "CheckNumerics"), 0),
    "Fill": 1,
}
_ARITHMETIC = {
    "Mul": _product,
    "Add": sum,
    "AddV2": sum,
    "AddN": sum,
    "Neg": lambda numbers: -numbers[0],
    "Sub": lambda numbers: numbers[0] - numbers[1],
    "RealDiv": lambda numbers: numbers[0] / numbers[1] if numbers[1] else None,
}
