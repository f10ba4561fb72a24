"""What a program multiplied a gradient by on its way to the optimizer, clipping left out: decay is never clipped."""

from __future__ import annotations

import math

from tf1_wd import _tf, graph
from tf1_wd.errors import AmbiguousRateError

_SAME = frozenset(
    ["Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "CheckNumerics", "Switch", "UnsortedSegmentSum"]
)
_CLIPS = frozenset(["Maximum", "Minimum", "ClipByValue", "Select", "SelectV2"])


def multiplier(applied, raw, name):
    """d applied / d raw along scalar multiplications and sums: a float, or a scalar tensor known only at run time.

    A factor that depends on the gradient itself is a clip, and counts as 1, with the threshold it is made of. Scalars
    outside of a non-linear op, as in 0.1 * sign(g), are step sizes and count as 1 too.

    applied, raw: tf.Tensor. name: of the variable. Raises AmbiguousRateError if the gradient goes through a variable.
    """
    ops = graph.ancestors([applied], stop=frozenset([raw.op]))
    dependent = {raw.op} | set(graph.between([raw.op], ops))
    if applied.op not in dependent:
        return 1.0  # through a gradient accumulator, which averages
    thresholds = [
        t
        for op in dependent
        if op.type in ("Mul", "RealDiv") and op is not raw.op
        for scale in op.inputs
        if scale.op in dependent and _is_scalar(scale) and not all(map(_is_scalar, op.inputs))
        for inner in graph.ancestors([scale], stop=frozenset([raw.op]))
        if inner.type in ("Maximum", "Minimum")
        for t in inner.inputs
        if t.op not in dependent
    ]
    return _multiplier(applied, raw, dependent, thresholds, name)[0]


def _multiplier(tensor, raw, dependent, thresholds, name):
    """(multiplier, True if a non-linear op was crossed)."""
    op = tensor.op
    if op is raw.op:
        return 1.0, False
    if "Assign" in op.type:
        raise AmbiguousRateError(
            "the gradient of %s goes through a variable (%s); what its penalty's coefficient becomes on the way is not "
            "known. Pass the net rate of an update as rates=" % (name, op.name)
        )

    def inner(t):
        return _multiplier(t, raw, dependent, thresholds, name)

    inputs = [t for t in op.inputs if t.op in dependent and t.dtype.is_floating]
    if op.type in ("Add", "AddV2", "AddN"):
        parts = [inner(t) for t in inputs]
        return sum(factor for factor, _ in parts), any(crossed for _, crossed in parts)
    main = next((t for t in inputs if not _is_scalar(t)), inputs[0])
    factor, crossed = inner(main)
    if op.type in ("Neg", "Sub"):
        negative = op.type == "Neg" or main is op.inputs[1]
        return (-factor if negative and not crossed else factor), crossed
    if op.type in ("Mul", "RealDiv"):
        other = op.inputs[1] if main is op.inputs[0] else op.inputs[0]
        divides = op.type == "RealDiv"
        if divides and other is op.inputs[0]:
            return factor, True
        if crossed or other.op in dependent or not _is_scalar(other) or _is_threshold(other, thresholds):
            return factor, crossed
        value = _value(other)
        return (factor / value if divides else factor * value), False
    return factor, crossed or op.type not in (_SAME | _CLIPS)


def _is_threshold(scalar, thresholds):
    return any(_match(_value(scalar), _value(threshold)) for threshold in thresholds)


def _match(value, limit):
    """True for the same number or its inverse, as tf.clip_by_average_norm has it, or the same tensor."""
    if not isinstance(value, float) or not isinstance(limit, float):
        return value is limit
    return math.isclose(limit, value, rel_tol=1e-5) or math.isclose(limit * value, 1.0, rel_tol=1e-5)


def _value(scalar):
    value = _tf.constant_value(scalar)
    return scalar if value is None else float(value.reshape(-1)[0])


def _is_scalar(tensor):
    return tensor.shape.num_elements() == 1
