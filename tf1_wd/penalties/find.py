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
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.penalties.coefficients import (
    Seeds,
    coefficients,
    constant_coefficients,
    depends,
    numbers_behind,
    numeric_inputs,
    undelayed,
)
from tf1_wd.penalties.forms import form_of
from tf1_wd.penalties.linear_map import IS_L2, Kind, Probed
from tf1_wd.penalties.probe import probe
from tf1_wd.penalties.summands import split


@dataclass(frozen=True)
class Penalty:
    """A scalar tensor and the factors of its gradient: d tensor / d variable = factor * variable."""

    tensor: tf.Tensor
    factors: dict[tf.Operation, float]  # by the op of the variable


@dataclass(frozen=True)
class Term:
    """An entry of the loss collection: its penalties, and what else it is.

    rest: None if variables go into it by penalties alone; VARIABLES if by other terms of variables too (L1,
    orthogonality); INPUTS if such terms also depend on what is fed or read (activities). LINEAR if all of the others
    are L2 whose gradient is no multiple of its variables; ANCHORED if some of it is a distance from other weights. ROWS
    of a RowTerm.
    """

    tensor: tf.Tensor
    penalties: tuple[Penalty, ...]
    rest: str | None
    variables: tuple[tf.Operation, ...]  # those that the rest reaches


VARIABLES, INPUTS, LINEAR, ANCHORED, ROWS = "variables", "inputs", "linear", "anchored", "rows"
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
                found[variable] = _sum(found[variable], rate) if variable in found else rate
    return found


def _sum(a: Scalar, b: Scalar) -> Scalar:
    """a + b; of two dtypes, in float64."""
    if not isinstance(a, float) and not isinstance(b, float) and a.dtype != b.dtype:
        return tf.cast(a, tf.float64) + tf.cast(b, tf.float64)
    return a + b


def read_collection(name: str = tf.GraphKeys.REGULARIZATION_LOSSES) -> list[Term]:
    """The terms of a loss collection of the default graph, in their order."""
    tensors = [_tf.collection_tensor(entry) for entry in tf.get_collection(name)]
    terms = [_term(tensor) for tensor in tensors]
    others = [(i, t) for i, term in enumerate(terms) if term.rest == VARIABLES for t in _others(term)]
    weights = {graph.variable_op(v) for v in trainable_variables(tf.get_default_graph())}
    known = {p.tensor.op for term in terms for p in term.penalties}
    read: dict[int, list[tuple[tf.Tensor, Probed]]] = {}
    for (i, tensor), probed in zip(others, probe([t for _, t in others], weights, known)):
        read.setdefault(i, []).append((tensor, probed))
    return [_reread(term, read[i]) if i in read else term for i, term in enumerate(terms)]


def _term(tensor: tf.Tensor) -> Term:
    """A term with the penalties that have a form."""
    ops = graph.ancestors([tensor])
    candidates = find_penalties(ops, [tensor])
    plain = {t.op for t in split(tensor, _moving(ops), {p.tensor.op for p in candidates})}
    penalties = [p for p in candidates if p.tensor.op in plain or _enters_linearly(p, tensor)]
    return _term_of(tensor, tuple(penalties))


def _enters_linearly(penalty: Penalty, tensor: tf.Tensor) -> bool:
    """True if the derivative of a term by a penalty in it does not change with the penalty's weights."""
    behind = numbers_behind([tensor], [penalty.tensor])
    if behind is None or behind[0] is None:
        return True
    return not set(penalty.factors).intersection(graph.ancestors(behind[0], inputs=numeric_inputs))


def _moving(ops: Sequence[tf.Operation]) -> set[tf.Operation]:
    return set(graph.between([op for op in ops if graph.is_variable(_tf.outer_op(op))], ops))


def _term_of(tensor: tf.Tensor, penalties: tuple[Penalty, ...], kind: str = VARIABLES) -> Term:
    """A term of known penalties. kind: of what else is in it, if that is no input."""
    rest = graph.ancestors([tensor], stop=frozenset(p.tensor.op for p in penalties))
    variables = variables_behind(tensor, penalties)
    if not variables:
        return Term(tensor, penalties, None, variables)
    return Term(tensor, penalties, INPUTS if any(graph.is_input(op) for op in rest) else kind, variables)


def variables_behind(tensor: tf.Tensor, penalties: Sequence[Penalty]) -> tuple[tf.Operation, ...]:
    """The ops of the variables that a scalar depends on by another way than through some penalties in it."""
    rest = graph.ancestors([tensor], stop=frozenset(p.tensor.op for p in penalties))
    return tuple(outer for outer in map(_tf.outer_op, rest) if graph.is_variable(outer))


def _others(term: Term) -> list[tf.Tensor]:
    """The summands of a term that are no known penalties."""
    known = {p.tensor.op for p in term.penalties}
    ops = graph.ancestors([term.tensor], stop=known)
    return list(split(term.tensor, _moving(ops) - known))


def _reread(term: Term, read: Sequence[tuple[tf.Tensor, Probed]]) -> Term:
    """The term with what its other summands turned out to be: penalties, or the kind of its rest."""
    l2 = [(t, p) for t, p in read if p.kind in IS_L2]
    signs = zip(l2, constant_coefficients([term.tensor], [t for t, _ in l2]))
    l2 = [pair for pair, c in signs if c is None or c * pair[1].sign >= 0.0]
    penalties = term.penalties + tuple(Penalty(t, p.factors) for t, p in l2 if p.kind is Kind.MULTIPLE)
    kinds = {p.kind for _, p in l2}
    kind = VARIABLES if len(l2) < len(read) else ANCHORED if Kind.ANCHORED in kinds else LINEAR
    return _term_of(term.tensor, penalties, kind)


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
