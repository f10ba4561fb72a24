"""Finds L2 penalties in a loss or a loss collection, by structure, and what each says of its variables.

A penalty is a scalar whose gradient with respect to a variable is a multiple of that variable:

    tf.nn.l2_loss(w)             gradient w
    reduce_sum(square(w))        gradient 2 w      (also w * w, w ** 2, and a constant factor inside the sum)
    reduce_mean(square(w))       gradient 2 w / n

with w reached through reads, casts, reshapes and concatenations. Names and object identity play no part. All forms are
rows of forms.FORMS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, List, Sequence, Tuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.gradients import Scalar
from tf1_wd.penalties.coefficients import Seeds, coefficients, depends, undelayed
from tf1_wd.penalties.forms import form_of


@dataclass(frozen=True)
class Penalty:
    """A scalar tensor and the factors of its gradient: d tensor / d variable = factor * variable."""

    tensor: tf.Tensor
    factors: dict[tf.Operation, float]  # by the op of the variable


@dataclass(frozen=True)
class Term:
    """An entry of the loss collection: its penalties, and what else it is.

    rest: None if variables go into it by penalties alone; "variables" if by other terms of variables too (L1,
    orthogonality); "inputs" if such terms also depend on what is fed or read (activities).
    """

    tensor: tf.Tensor
    penalties: tuple[Penalty, ...]
    rest: str | None
    variables: tuple[tf.Operation, ...]  # those that the rest reaches


Weighed = List[Tuple[Penalty, Scalar]]  # penalties, each with its coefficient in the loss


def find_penalties(ops: Iterable[tf.Operation], ys: Sequence[tf.Tensor]) -> list[Penalty]:
    """The penalties among `ops`, the ancestors of ys, each at its outermost tensor.

    A penalty in another branch or loop than ys is none: it comes and goes, see `gated_variables`.
    """
    found = [p for p in (_penalty(op) for op in ops if _is_beside(op, ys)) if p is not None]
    inner: set[tf.Operation] = set()
    for penalty in found:
        inner.update(op for op in graph.ancestors([penalty.tensor]) if op is not penalty.tensor.op)
    return [p for p in found if p.tensor.op not in inner]


def weigh(penalties: Sequence[Penalty], ys: Sequence[tf.Tensor], grad_ys: Seeds = None) -> Weighed:
    """[(penalty, coefficient)] of those that are penalties of ys indeed.

    A coefficient is a float, or a scalar tf.Tensor where it is known only at run time. Left out are penalties that no
    gradient reaches, and those whose coefficient depends on the very weights, such as the norm in w / norm(w): their
    gradient is no decay.
    """
    found: Weighed = []
    for penalty, coefficient in zip(penalties, coefficients(ys, [p.tensor for p in penalties], grad_ys)):
        if coefficient is None:
            continue
        if not isinstance(coefficient, float) and _changes_with_weights(coefficient, penalty):
            continue
        found.append((penalty, coefficient))
    return found


def _changes_with_weights(coefficient: tf.Tensor, penalty: Penalty) -> bool:
    """True if the coefficient has a gradient by the penalty's weights; a guard, `where(is_nan(loss))`, has none."""
    behind = set(graph.ancestors([coefficient]))
    weights = [op.outputs[0] for op in penalty.factors if op in behind]
    if penalty.tensor.op not in behind and not weights:
        return False
    return depends(coefficient, [penalty.tensor, *weights])


def rates(weighed: Weighed) -> dict[tf.Operation, Scalar]:
    """The rate of each variable (its op): the sum over its penalties of coefficient * factor."""
    found: dict[tf.Operation, Scalar] = {}
    for penalty, coefficient in weighed:
        for variable, factor in penalty.factors.items():
            with undelayed(penalty.tensor):
                rate = coefficient if factor == 1.0 else factor * coefficient
                found[variable] = found[variable] + rate if variable in found else rate
    return found


def read_collection(name: str = tf.GraphKeys.REGULARIZATION_LOSSES) -> list[Term]:
    """The terms of a loss collection of the default graph, in their order."""
    return [_term(_tf.collection_tensor(entry)) for entry in tf.get_collection(name)]


def _term(tensor: tf.Tensor) -> Term:
    penalties = tuple(find_penalties(graph.ancestors([tensor]), [tensor]))
    rest = graph.ancestors([tensor], stop=frozenset(p.tensor.op for p in penalties))
    variables = tuple(outer for outer in map(_tf.outer_op, rest) if graph.is_variable(outer))
    kind = None
    if variables:
        kind = "inputs" if any(graph.is_input(op) for op in rest) else "variables"
    return Term(tensor, penalties, kind, variables)


def _penalty(op: tf.Operation) -> Penalty | None:
    form = form_of(op)
    found = None if form is None else form.read(op)
    if found is None:
        return None
    variables, factor = found
    factors: dict[tf.Operation, float] = {}
    for variable in variables:
        factors[variable] = factors.get(variable, 0.0) + factor
    return Penalty(op.outputs[0], factors)


def _is_beside(op: tf.Operation, ys: Sequence[tf.Tensor]) -> bool:
    context = _tf.control_flow_context(op)
    return context is None or any(context is _tf.control_flow_context(y.op) for y in ys)


def gated_variables(ops: Iterable[tf.Operation], ys: Sequence[tf.Tensor]) -> set[tf.Operation]:
    """The variables (ops) with L2 inside another branch or loop than ys, whose ancestors are `ops`."""
    found: set[tf.Operation] = set()
    for op in ops:
        form = form_of(op)
        if form is None or _is_beside(op, ys):
            continue
        weights = form.in_branch(op)
        is_norm = any(c.type in ("Sqrt", "Rsqrt", "Maximum") for c in op.outputs[0].consumers())
        if weights is not None and not is_norm:
            found.update(graph.variables_behind(weights) or ())
    return found
