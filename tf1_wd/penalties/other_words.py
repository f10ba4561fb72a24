"""L2 in words that have no row among the forms: terms of a loss whose gradient is linear in the weights.

A term counts only beside a loss that depends on something else than weights. Without that, a term and the loss cannot
be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import AbstractSet, Sequence, Tuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.subgraph import can_be_copied
from tf1_wd.penalties.coefficients import Seeds, coefficients
from tf1_wd.penalties.elements import Element, elements_of, even_coefficients
from tf1_wd.penalties.find import ANCHORED, LINEAR, VARIABLES, Penalty, Term, Weighed, variables_behind
from tf1_wd.penalties.linear_map import IS_L2, Kind, Probed
from tf1_wd.penalties.probe import probe
from tf1_wd.penalties.summands import Entry, Summand, fed_among, summands_of, weights_of

Read = Tuple[tf.Tensor, Probed]  # a term, and what its gradient is


@dataclass(frozen=True)
class OwnTerm:
    """A term whose gradient is no multiple of its variables, with its coefficient in the loss."""

    term: Term
    coefficient: Scalar


@dataclass(frozen=True)
class OtherWords:
    """What the terms of a loss are that no form knows.

    weighed: penalties with their coefficients. own: terms with a step of their own. coupled: names of the others.
    """

    weighed: Weighed = field(default_factory=list)
    own: list[OwnTerm] = field(default_factory=list)
    coupled: list[str] = field(default_factory=list)

    @property
    def tensors(self) -> list[tf.Tensor]:
        """The terms that are L2."""
        return [p.tensor for p, _ in self.weighed] + [own.term.tensor for own in self.own]


def read_other_words(
    ys: Sequence[tf.Tensor],
    ops: Sequence[tf.Operation],
    begin: Sequence[tf.Operation],
    moving: AbstractSet[tf.Operation],
    penalties: Sequence[Penalty],
    grad_ys: Seeds = None,
    decouples_others: bool = False,
) -> OtherWords:
    """Reads the terms of variables alone in ys that are no known penalties.

    ops: the ancestors of ys. begin: those of them that are differentiated by. moving: those that depend on these by
    another way than through the known penalties. penalties: the known ones, which are left out. decouples_others: True
    to give terms that are not L2 a step of their own too. Adds the coefficients that are known only at run time.
    """
    known, weights = {p.tensor.op for p in penalties}, weights_of(ys, begin)
    fed = fed_among(ops)
    summands = summands_of(ys, ops, begin, moving, fed, grad_ys)
    scalars, coupled = _decoupled_scalars(ops, begin, fed, summands, known, weights, decouples_others)
    elements, others = _decoupled_elements(elements_of(ys, moving, fed), weights, decouples_others)
    found = OtherWords(coupled=coupled + others)
    for (tensor, read), coefficient in zip(scalars, coefficients(ys, [t for t, _ in scalars], grad_ys)):
        _sort(tensor, read, coefficient, penalties, found)
    for (tensor, read), coefficient in zip(elements, even_coefficients(ys, [t for t, _ in elements], grad_ys)):
        _sort(tensor, read, coefficient, penalties, found)
    return found


def _decoupled_scalars(
    ops: Sequence[tf.Operation],
    begin: Sequence[tf.Operation],
    fed: AbstractSet[tf.Operation],
    summands: Sequence[Summand],
    known: AbstractSet[tf.Operation],
    weights: AbstractSet[tf.Operation],
    decouples_others: bool,
) -> tuple[list[Read], list[str]]:
    """The scalars that leave the loss, and the names of those that stay in it."""
    if not summands:
        return [], []
    terms = [s for s in summands if s.entry in (Entry.CONSTANT, Entry.RUN_TIME)]
    of_terms = probe([s.tensor for s in terms], weights, known)
    beside = graph.between(begin, ops, known | {s.tensor.op for s in summands})
    if fed.isdisjoint(beside) and not any(map(_is_data, terms, of_terms)):
        return [], [s.tensor.op.name for s in summands if s.entry is not Entry.CONSTANT]
    data = {s.tensor.op for s, p in zip(terms, of_terms) if _is_data(s, p)}
    apart = [
        (s.tensor, p)
        for s, p in zip(terms, of_terms)
        if p.kind in IS_L2 or (decouples_others and s.tensor.op not in data and _can_be_replayed(s.tensor))
    ]
    kept = data | {tensor.op for tensor, _ in apart}
    return apart, [s.tensor.op.name for s in summands if s.tensor.op not in kept]


def _decoupled_elements(
    elements: Sequence[Element], weights: AbstractSet[tf.Operation], decouples_others: bool
) -> tuple[list[Read], list[str]]:
    """As _decoupled_scalars, of terms that are added element by element. What is linear in weights is a model."""
    read = [
        (e, p) for e, p in zip(elements, probe([e.tensor for e in elements], weights)) if p.kind is not Kind.CONSTANT
    ]
    apart = [
        (e.tensor, p)
        for e, p in read
        if e.is_even and (p.kind in IS_L2 or (decouples_others and _can_be_replayed(e.tensor)))
    ]
    kept = {tensor.op for tensor, _ in apart}
    return apart, [e.tensor.op.name for e, _ in read if e.tensor.op not in kept]


def _can_be_replayed(tensor: tf.Tensor) -> bool:
    """True if a copy of the scalar can be differentiated on other weights."""
    behind = graph.ancestors([tensor])
    variables = [op for op in behind if graph.is_variable(_tf.outer_op(op))]
    return all(can_be_copied(op) for op in graph.between(variables, behind))


def _is_data(summand: Summand, read: Probed) -> bool:
    """True for a sum of weights times what is fed: a model of one weight, say, and no penalty."""
    return summand.entry is Entry.RUN_TIME and read.kind is Kind.CONSTANT


def _sort(
    tensor: tf.Tensor, read: Probed, coefficient: Scalar | None, penalties: Sequence[Penalty], found: OtherWords
) -> None:
    """Adds a scalar whose gradient is linear to what was found."""
    if coefficient is None:
        return
    grows = isinstance(coefficient, float) and coefficient * read.sign < 0.0
    if grows or (read.kind is not Kind.MULTIPLE and tf.distribute.has_strategy()):
        found.coupled.append(tensor.op.name)
    elif read.kind is Kind.MULTIPLE:
        found.weighed.append((Penalty(tensor, read.factors), coefficient))
    elif not isinstance(coefficient, float) or coefficient:
        behind = set(graph.ancestors([tensor]))
        inner = tuple(p for p in penalties if p.tensor.op in behind)
        rest = {Kind.LINEAR: LINEAR, Kind.ANCHORED: ANCHORED}.get(read.kind, VARIABLES)
        found.own.append(OwnTerm(Term(tensor, inner, rest, variables_behind(tensor, inner)), coefficient))
