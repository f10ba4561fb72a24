"""Finds L2 penalties in a loss or a loss collection, by structure, and what each says of its variables.

A penalty is a scalar whose gradient with respect to a variable is a multiple of that variable:

    tf.nn.l2_loss(w)             gradient w
    reduce_sum(square(w))        gradient 2 w      (also w * w, w ** 2, and a constant factor inside the sum)
    reduce_mean(square(w))       gradient 2 w / n

with w reached through reads, casts, reshapes and concatenations. Names and object identity play no part.
"""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.penalties.coefficients import coefficients, depends, undelayed


@dataclass(frozen=True)
class Penalty:
    """A scalar tensor and the factors of its gradient: d tensor / d variable = factor * variable."""

    tensor: object
    factors: dict  # op of the variable -> float


@dataclass(frozen=True)
class Term:
    """An entry of the loss collection: its penalties, and what else it is.

    rest: None if variables go into it by penalties alone; "variables" if by other terms of variables too (L1,
    orthogonality); "inputs" if such terms also depend on what is fed or read (activities).
    """

    tensor: object
    penalties: tuple
    rest: object
    variables: tuple  # ops of the variables that the rest reaches


def find_penalties(ops, ys):
    """The penalties among `ops`, each at its outermost tensor.

    A penalty in another branch or loop than ys is none: it comes and goes, see `gated_variables`.

    ops: list of tf.Operation, the ancestors of ys (list of tf.Tensor).
    """
    found = [p for p in (_penalty(op) for op in ops if _is_beside(op, ys)) if p is not None]
    inner = set()
    for penalty in found:
        inner.update(op for op in graph.ancestors([penalty.tensor]) if op is not penalty.tensor.op)
    return [p for p in found if p.tensor.op not in inner]


def weigh(penalties, ys, grad_ys=None):
    """[(penalty, coefficient)] of those that are penalties of ys indeed.

    A coefficient is a float, or a scalar tf.Tensor where it is known only at run time. Left out are penalties that no
    gradient reaches, and those whose coefficient depends on the very weights, such as the norm in w / norm(w): their
    gradient is no decay.

    penalties: what find_penalties found among the ancestors of ys.
    """
    found = []
    for penalty, coefficient in zip(penalties, coefficients(ys, [p.tensor for p in penalties], grad_ys)):
        if coefficient is None:
            continue
        if not isinstance(coefficient, float) and _changes_with_weights(coefficient, penalty):
            continue
        found.append((penalty, coefficient))
    return found


def _changes_with_weights(coefficient, penalty):
    """True if the coefficient has a gradient by the penalty's weights; a guard, `where(is_nan(loss))`, has none."""
    behind = set(graph.ancestors([coefficient]))
    weights = [op.outputs[0] for op in penalty.factors if op in behind]
    if penalty.tensor.op not in behind and not weights:
        return False
    return depends(coefficient, [penalty.tensor, *weights])


def rates(weighed):
    """The rate of each variable: the sum over its penalties of coefficient * factor.

    weighed: what `weigh` returns. Returns {op of the variable: float, or scalar tf.Tensor}.
    """
    found = {}
    for penalty, coefficient in weighed:
        for variable, factor in penalty.factors.items():
            with undelayed(penalty.tensor):
                rate = coefficient if factor == 1.0 else factor * coefficient
                found[variable] = found[variable] + rate if variable in found else rate
    return found


def read_collection(name=tf.GraphKeys.REGULARIZATION_LOSSES):
    """The terms of a loss collection of the default graph, in their order."""
    return [_term(_tf.collection_tensor(entry)) for entry in tf.get_collection(name)]


def _term(tensor):
    penalties = tuple(find_penalties(graph.ancestors([tensor]), [tensor]))
    rest = graph.ancestors([tensor], stop=frozenset(p.tensor.op for p in penalties))
    variables = tuple(outer for outer in map(_tf.outer_op, rest) if graph.is_variable(outer))
    kind = None
    if variables:
        kind = "inputs" if any(graph.is_input(op) for op in rest) else "variables"
    return Term(tensor, penalties, kind, variables)


def _penalty(op):
    if op.type not in ("L2Loss", "Sum", "Mean", "Square", "Pow", "Mul") or op.outputs[0].shape.num_elements() != 1:
        return None
    tensor = op.outputs[0]
    if op.type in ("Square", "Pow", "Mul"):
        inner = _squared(op)
        square = None if inner is None else _square_root(inner)
        return None if square is None else _of(tensor, *square)
    if op.type == "L2Loss":
        return _of(tensor, graph.variables_behind(op.inputs[0]), 1.0)
    square = _square(tensor)
    return None if square is None else _of(tensor, *square)


def _of(tensor, variables, factor):
    if not variables:
        return None
    factors = {}
    for variable in variables:
        factors[variable] = factors.get(variable, 0.0) + factor
    return Penalty(tensor, factors)


def _square(tensor):
    """(variables, m) if the sum of `tensor` is m/2 * the sum of the variables' squares, else None."""
    factor = 2.0
    while True:
        op = tensor.op
        if op.type in ("Sum", "Identity", "Cast", "Reshape"):
            tensor = op.inputs[0]
        elif op.type == "Mean":
            n, m = op.inputs[0].shape.num_elements(), tensor.shape.num_elements()
            if not n or not m:
                return None
            factor *= m / n
            tensor = op.inputs[0]
        elif op.type in ("Square", "Pow"):
            inner = _squared(op)
            variables = None if inner is None else graph.variables_behind(inner)
            return variables and (variables, factor)
        elif op.type in ("Mul", "RealDiv"):
            a, b = op.inputs
            variable = graph.read_source(a)
            if op.type == "Mul" and variable is not None and graph.read_source(b) is variable:
                return [variable], factor
            if op.type == "Mul" and _constant_scalar(a) is not None:
                a, b = b, a
            constant = _constant_scalar(b)
            if constant is None:
                return None
            factor = factor * constant if op.type == "Mul" else factor / constant
            tensor = a
        else:
            return None


def _squared(op):
    """The tensor that `op` squares, or None if it does something else."""
    if op.type == "Square" or (op.type == "Pow" and _constant_scalar(op.inputs[1]) == 2.0):
        return op.inputs[0]
    return op.inputs[0] if op.type == "Mul" and op.inputs[0] is op.inputs[1] else None


def _square_root(tensor):
    """As `_square`, of the tensor whose square root `tensor` is, such as tf.norm; else None."""
    while tensor.op.type in ("Identity", "Squeeze", "Reshape", "Cast"):
        tensor = tensor.op.inputs[0]
    return _square(tensor.op.inputs[0]) if tensor.op.type == "Sqrt" else None


def _is_beside(op, ys):
    context = _tf.control_flow_context(op)
    return context is None or any(context is _tf.control_flow_context(y.op) for y in ys)


def gated_variables(ops, ys):
    """The variables (ops) with L2 inside another branch or loop than ys, where it comes and goes.

    ops: list of tf.Operation, the ancestors of ys (list of tf.Tensor).
    """
    found = set()
    for op in ops:
        if op.type in ("L2Loss", "Sum", "Mean") and op.outputs[0].shape.num_elements() == 1 and not _is_beside(op, ys):
            inner = op if op.type == "L2Loss" else op.inputs[0].op
            is_norm = any(c.type in ("Sqrt", "Rsqrt", "Maximum") for c in op.outputs[0].consumers())
            if inner.type in ("L2Loss", "Square") and not is_norm:
                found.update(graph.variables_behind(inner.inputs[0]) or ())
    return found


def _constant_scalar(tensor):
    if tensor.shape.num_elements() != 1:
        return None
    value = _tf.constant_value(tensor)
    return None if value is None else float(value.reshape(()))
