"""The forms in which programs write L2: one row of FORMS each."""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional, Tuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.linear import Reading

# (variables, factor): the gradient by each of these variables (ops) is factor times the variable
Weights = Optional[Tuple[List[tf.Operation], float]]


class Form(NamedTuple):
    """A way to write L2 of variables as a scalar.

    name: as it stands in programs. ops: the op types that such a scalar comes from. read: function from the op to its
    Weights; None if it is no L2. in_branch: function from the op of such a scalar in another branch than the loss to
    the tensor that is penalized there; None if it is no L2, or if that is not looked for.
    """

    name: str
    ops: tuple[str, ...]
    read: Callable[[tf.Operation], Weights]
    in_branch: Callable[[tf.Operation], tf.Tensor | None] = lambda op: None


def form_of(op: tf.Operation) -> Form | None:
    """The row of FORMS that an op may be of: one that gives a scalar; else None."""
    form = _FORM_OF.get(op.type)
    return form if form is not None and op.outputs[0].shape.num_elements() == 1 else None


def _weights(tensor: tf.Tensor, factor: float) -> Weights:
    variables = graph.variables_behind(tensor)
    return (variables, factor) if variables else None


def _sum_of_squares(tensor: tf.Tensor) -> Weights:
    """(variables, m) if the sum of `tensor` is m/2 * the sum of the variables' squares, else None."""
    factor = 2.0
    while True:
        op = tensor.op
        inner = _squared(op)
        if inner is not None or op.type in ("Square", "Pow"):
            return None if inner is None else _weights(inner, factor)
        variable = graph.read_source(op.inputs[0]) if op.type == "Mul" else None
        if variable is not None and graph.read_source(op.inputs[1]) is variable:
            return [variable], factor
        if op.type == "Mean":
            n, m = op.inputs[0].shape.num_elements(), tensor.shape.num_elements()
            if not n or not m:
                return None
            factor *= m / n
        parts = _CONSTANT_MULTIPLES.parts(op)
        if parts is None:
            return None
        tensor, _, scalar, divides = parts[0]
        constant = None if scalar is None else _constant_scalar(scalar)
        if constant is not None:
            factor = factor / constant if divides else factor * constant


def _squared(op: tf.Operation) -> tf.Tensor | None:
    """The tensor that `op` squares, or None if it does something else."""
    if op.type == "Square" or (op.type == "Pow" and _constant_scalar(op.inputs[1]) == 2.0):
        return op.inputs[0]
    return op.inputs[0] if op.type == "Mul" and op.inputs[0] is op.inputs[1] else None


def _square_of_norm(op: tf.Operation) -> Weights:
    norm = _squared(op)
    root = None if norm is None else graph.through(norm, {"Identity", "Cast", "Squeeze", "Reshape"}).op
    return None if root is None or root.type != "Sqrt" else _sum_of_squares(root.inputs[0])


def _plain_square(op: tf.Operation) -> tf.Tensor | None:
    inner = op.inputs[0].op
    return inner.inputs[0] if inner.type in ("L2Loss", "Square") else None


def _constant_scalar(tensor: tf.Tensor) -> float | None:
    if tensor.shape.num_elements() != 1:
        return None
    value = _tf.constant_value(tensor)
    return None if value is None else float(value.reshape(()))


def _constant_at(op: tf.Operation) -> int | None:
    return next((i for i, tensor in enumerate(op.inputs) if _constant_scalar(tensor) is not None), None)


_CONSTANT_MULTIPLES = Reading(_constant_at, same=frozenset(["Sum", "Mean", "Identity", "Cast", "Reshape"]), signs={})
FORMS = (
    Form("tf.nn.l2_loss(w)", ("L2Loss",), lambda op: _weights(op.inputs[0], 1.0), lambda op: op.inputs[0]),
    Form("tf.reduce_sum(w ** 2)", ("Sum", "Mean"), lambda op: _sum_of_squares(op.outputs[0]), _plain_square),
    Form("tf.norm(w) ** 2", ("Square", "Pow", "Mul"), _square_of_norm),
)
_FORM_OF = {op_type: form for form in FORMS for op_type in form.ops}
