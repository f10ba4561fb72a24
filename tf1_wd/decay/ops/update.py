"""One update of an optimizer: what decays with it, and the ops that do it in the asked order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import AbstractSet, Mapping, Sequence

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops import sparse_rows
from tf1_wd.decay.ops.other_terms import Replay
from tf1_wd.graph.gradients import Gradient, Pairs, Scalar, tensors_of
from tf1_wd.graph.variables import checkpoint_name, dims_of, trainable_variables
from tf1_wd.penalties.coefficients import undelayed
from tf1_wd.penalties.find import ANCHORED, INPUTS, LINEAR, ROWS, VARIABLES, Term, rates, read_collection, weigh
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.plan.decisions import Decay, Trained, by_terms, decide
from tf1_wd.plan.options import ALL_ROWS, COUPLED, Rules, check_matches, given_rate, multiplier, selected
from tf1_wd.plan.rates import check_rate
from tf1_wd.plan.reasons import Fate


@dataclass(frozen=True)
class Collection:
    """What the loss collection of a graph says: its terms, and the rate of each variable by op."""

    terms: tuple[Term, ...]
    rates: dict[tf.Operation, Scalar]


@dataclass(frozen=True)
class Update:
    """What happens to the weights together with one update.

    decisions: a Decay for each variable of the update. replayed: what has a step of its own.
    variables: {op: tf.Variable}, all of the update. notes: (name of a term, its Fate).
    gradients: the tensors of all gradients. updated: ops of the variables with a gradient, one a pair, in their order.
    reads: {op of a variable: ops that read it for a penalty}; these must run before the variable is written.
    rows: {op of a variable that decays by rows: Rows}. tables: ops of the variables with a sparse gradient.
    """

    decisions: tuple[Decay, ...]
    replayed: tuple[Replay, ...]
    variables: dict[tf.Operation, tf.Variable]
    notes: tuple[tuple[str, Fate], ...]
    gradients: tuple[tf.Tensor, ...]
    updated: tuple[tf.Operation, ...]
    reads: dict[tf.Operation, list[tf.Operation]]
    rows: dict[tf.Operation, sparse_rows.Rows]
    tables: frozenset[tf.Operation]

    @property
    def decays(self) -> list[Decay]:
        """The decisions that decay."""
        return [d for d in self.decisions if d.rate is not None]

    @property
    def whole(self) -> list[Decay]:
        """The decisions that decay a variable as a whole."""
        return [d for d in self.decays if d.rows == ALL_ROWS]

    @property
    def by_rows(self) -> list[tuple[Decay, sparse_rows.Rows]]:
        """(decision, Rows) of those that decay rows."""
        return [(d, self.rows[graph.variable_op(d.variable)]) for d in self.decays if d.rows != ALL_ROWS]

    @property
    def is_empty(self) -> bool:
        """True if the update needs no further op."""
        return not self.decays and not self.replayed


@dataclass(frozen=True)
class AppliedUpdate:
    """An Update as it is applied, what multiplies its rates, and the graph that it is built in."""

    update: Update
    scale: Scalar
    graph: tf.Graph

    def __post_init__(self) -> None:
        """Raises InvalidRateError for a rate that makes no decay with this scale, once the learning rate is known."""
        for d in self.update.decays:
            if isinstance(d.rate, float):
                check_rate(d.rate, d.name, d.why, self.scale)


def collection_now() -> Collection:
    """The loss collection of the default graph, as it stands."""
    terms = read_collection()
    penalties = {p.tensor.op: p for term in terms for p in term.penalties}
    return Collection(tuple(terms), rates(weigh(list(penalties.values()), [term.tensor for term in terms])))


def plan_update(
    pairs: Pairs,
    rules: Rules,
    calls: Sequence[GradientCall],
    loss_rates: dict[tf.Operation, Scalar],
    collection: Collection,
    own: Sequence[Replay] = (),
) -> Update:
    """Decides what happens together with an update; adds nothing to the graph but the multiples of run-time rates.

    calls: those whose results are applied. loss_rates: {op of a variable: rate}. own: terms of the loss with a step of
    their own. Raises NoMatchError, InvalidRateError.
    """
    gradients: dict[tf.Operation, list[Gradient]] = {}
    for gradient, variable in pairs:
        gradients.setdefault(graph.variable_op(variable), []).extend([] if gradient is None else [gradient])
    # listed twice, it still decays once
    trained = {graph.variable_op(v): _trained(gradients[graph.variable_op(v)], v) for _, v in pairs}
    known = [(v, checkpoint_name(v)) for v in tf.trainable_variables()] + [
        (t.variable, t.name) for t in trained.values()
    ]
    check_matches(rules, known)
    movable = {t.key: t.variable for t in trained.values() if t.has_gradient and selected(rules, t.variable, t.name)}
    of_loss = [_allowed(replay, rules, movable) for replay in own]
    in_loss = frozenset() if rules.source == "collection" else _with_l2(loss_rates, own)
    of_collection = [
        _allowed(Replay(t, dict.fromkeys(t.variables, 1.0)), rules, movable, in_loss) for t in collection.terms
    ]
    names = [_name(replay) for replay in own] + [term.tensor.op.name for term in collection.terms]
    fates: list[tuple[Replay, Fate | None]] = [(r, _fate_in_loss(r, rules)) for r in of_loss]
    weights = {*trained, *map(graph.variable_op, trainable_variables(tf.get_default_graph()))}
    fates += [(r, _fate(r, rules, calls, movable, weights)) for r in of_collection]
    of_collection_alone = {op: rate for op, rate in collection.rates.items() if op not in in_loss}
    decisions = decide(list(trained.values()), rules, loss_rates, of_collection_alone, _times)
    moved = _fates_by_variable(fates)
    gives_way = in_loss.intersection(collection.rates)
    decisions = [by_terms(d, moved.get(t, ()), t in gives_way) for t, d in zip(trained, decisions)]
    by_rows = [graph.variable_op(d.variable) for d in decisions if d.rows != ALL_ROWS]
    # The loss is then not computed in the run of the update, and to read its penalties would be in vain.
    apart = graph.is_taken([tensor for gradient, _ in pairs for tensor in tensors_of(gradient)])
    return Update(
        decisions=tuple(decisions),
        replayed=tuple(replay for replay, fate in fates if fate is not None and fate.is_own_step),
        variables={t.key: t.variable for t in trained.values()},
        notes=tuple((name, _said(fate, rules)) for name, (_, fate) in zip(names, fates) if fate is not None),
        gradients=tuple(tensor for gradient, _ in pairs for tensor in tensors_of(gradient)),
        updated=tuple(graph.variable_op(v) for gradient, v in pairs if gradient is not None),
        reads={key: [] if apart else [op for c in calls for op in c.reads_of(key)] for key in trained},
        rows={key: sparse_rows.Rows(sparse_rows.indices_of(gradients[key])) for key in by_rows},
        tables=frozenset(t.key for t in trained.values() if t.is_sparse),
    )


def _fates_by_variable(fates: Sequence[tuple[Replay, Fate | None]]) -> dict[tf.Operation, list[Fate]]:
    """{op of a variable: the fates of the terms that move it, or would}."""
    found: dict[tf.Operation, list[Fate]] = {}
    for replay, fate in fates:
        if fate is not None:
            for op in replay.factors:
                found.setdefault(op, []).append(fate)
    return found


def _name(replay: Replay) -> str:
    """What a term is called: of L2 of rows with its tables and rates, which the plan has nowhere else."""
    rates = [op.name + ("" if r is None else ": %g a lookup" % r) for op, r in replay.rates_of_rows.items()]
    return replay.term.tensor.op.name + (" (rows of %s)" % ", ".join(rates) if rates else "")


def _times(rate: Scalar, factor: float) -> Scalar:
    if not tf.is_tensor(rate):
        return rate * factor
    with undelayed(rate):
        return tf.cast(rate, tf.float64) * factor


def _with_l2(loss_rates: Mapping[tf.Operation, Scalar], own: Sequence[Replay]) -> frozenset[tf.Operation]:
    """The variables (ops) with L2 in the loss, of whatever kind."""
    return frozenset(loss_rates).union(*(r.factors for r in own if r.term.rest in (LINEAR, ROWS)))


def _allowed(
    replay: Replay,
    rules: Rules,
    movable: dict[tf.Operation, tf.Variable],
    elsewhere: AbstractSet[tf.Operation] = frozenset(),
) -> Replay:
    """A term on the variables that the rules let it move: as penalties do, L2 gives way to rates= and is multiplied.

    elsewhere: variables (ops) whose L2 comes from elsewhere.
    """
    is_l2, factors = replay.term.rest in (LINEAR, ANCHORED, ROWS), {}
    for op, factor in replay.factors.items():
        if op not in movable:
            continue
        variable, name = movable[op], checkpoint_name(movable[op])
        is_plain = replay.term.rest in (LINEAR, ROWS)
        if is_plain and (op in elsewhere or given_rate(rules, variable, name)[0] is not None):
            continue
        factors[op] = _times(factor, multiplier(rules, variable, name)[0]) if is_l2 else factor
    return replay._replace(factors=factors)


def _fate_in_loss(replay: Replay, rules: Rules) -> Fate:
    if not replay.factors or (rules.source == "collection" and replay.term.rest != VARIABLES):
        return Fate.LEFT_OUT
    own = {ANCHORED: Fate.TOWARDS, LINEAR: Fate.OWN_L2, ROWS: Fate.OWN_ROWS}
    return own.get(replay.term.rest or "", Fate.DECOUPLED)


def _fate(
    replay: Replay,
    rules: Rules,
    calls: Sequence[GradientCall],
    movable: dict[tf.Operation, tf.Variable],
    weights: AbstractSet[tf.Operation],
) -> Fate | None:
    """What becomes of a term of the collection. weights: ops of the variables that train."""
    term = replay.term
    if term.rest is None or (term.penalties and weights.isdisjoint(term.variables)):  # a coefficient is no rest
        return None
    is_l2 = term.rest in (LINEAR, ANCHORED)
    holding = [call for call in calls if call.contains(term.tensor)]
    if holding:
        if any(_holds(call, term) for call in holding):
            return None
        return Fate.NAMED if any(_names_a_part(call, term) for call in holding) else Fate.IN_LOSS
    if not any(op in movable for op in term.variables):
        return None if term.penalties else Fate.NO_VARIABLE
    if term.rest == INPUTS:
        return Fate.NOT_APPLIED
    if is_l2 and (rules.source == "loss" or not replay.factors):
        return Fate.LEFT_OUT
    if rules.source == "loss":
        return Fate.OTHER_SOURCE
    return Fate.OWN_STEP if not is_l2 else Fate.TOWARDS if term.rest == ANCHORED else Fate.OWN_L2


def _holds(call: GradientCall, term: Term) -> bool:
    """True if a call took a part of a term out of the gradient that has no form: a penalty, or a step of its own."""
    known = {p.tensor.op for p in term.penalties}
    taken = [own.term.tensor for own in call.own] + [p.tensor for p in call.penalties if p.tensor.op not in known]
    behind = [op for op in graph.ancestors([term.tensor]) if op.outputs and op not in known] if taken else []
    return any(o.type == t.op.type and graph.same_structure(o.outputs[0], t) for o in behind for t in taken)


def _names_a_part(call: GradientCall, term: Term) -> bool:
    """True if a call has named, of a term, what is in it besides penalties; or the term as a whole."""
    names = {*call.terms, *call.norms}
    named = [op for op in call.ops if op.name in names] if names else []
    behind = [op for op in graph.ancestors([term.tensor]) if op.outputs] if named else []
    return any(
        o is op or (o.type == op.type and graph.same_structure(o.outputs[0], op.outputs[0]))
        for o in behind
        for op in named
    )


def _said(fate: Fate, rules: Rules) -> Fate:
    return Fate.IN_GRADIENT if fate.is_own_step and rules.order == COUPLED else fate


def _trained(gradients: list[Gradient], variable: tf.Variable) -> Trained:
    is_sparse = bool(sparse_rows.indices_of(gradients))
    key, dims = graph.variable_op(variable), dims_of(variable.shape)
    return Trained(key, variable, checkpoint_name(variable), dims, bool(gradients), is_sparse)
