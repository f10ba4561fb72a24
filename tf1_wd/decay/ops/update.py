"""One update of an optimizer: what decays with it, and the ops that do it in the asked order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops import sparse_rows
from tf1_wd.graph.gradients import Gradient, Pairs, Scalar, tensors_of
from tf1_wd.graph.variables import checkpoint_name, dims_of
from tf1_wd.penalties.coefficients import undelayed
from tf1_wd.penalties.find import Term, find_penalties, rates, read_collection, weigh
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.plan.decisions import Decay, Trained, decide
from tf1_wd.plan.options import ALL_ROWS, Rules, check_matches, check_rate, selected
from tf1_wd.plan.reasons import Fate


@dataclass(frozen=True)
class Collection:
    """What the loss collection of a graph says: its terms, and the rate of each variable by op."""

    terms: tuple[Term, ...]
    rates: dict[tf.Operation, Scalar]


@dataclass(frozen=True)
class Update:
    """What happens to the weights together with one update.

    decisions: a Decay for each variable of the update. replayed: the Terms with a step of their own.
    movable: {op: tf.Variable} that they may move. notes: (name of a term, its Fate).
    gradients: the tensors of all gradients. updated: ops of the variables with a gradient, one a pair, in their order.
    reads: {op of a variable: ops that read it for a penalty}; these must run before the variable is written.
    rows: {op of a variable that decays by rows: Rows}. tables: ops of the variables with a sparse gradient.
    """

    decisions: tuple[Decay, ...]
    replayed: tuple[Term, ...]
    movable: dict[tf.Operation, tf.Variable]
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
    ys = [term.tensor for term in terms]
    return Collection(tuple(terms), rates(weigh(find_penalties(graph.ancestors(ys), ys), ys)) if ys else {})


def plan_update(
    pairs: Pairs,
    rules: Rules,
    calls: Sequence[GradientCall],
    loss_rates: dict[tf.Operation, Scalar],
    collection: Collection,
) -> Update:
    """Decides what happens together with an update; adds nothing to the graph but the multiples of run-time rates.

    calls: those whose results are applied. loss_rates: {op of a variable: rate}. Raises NoMatchError, InvalidRateError.
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
    fates = [(term, _fate(term, rules, calls, movable)) for term in collection.terms]
    decisions = decide(list(trained.values()), rules, loss_rates, collection.rates, _times)
    by_rows = [graph.variable_op(d.variable) for d in decisions if d.rows != ALL_ROWS]
    # The loss is then not computed in the run of the update, and to read its penalties would be in vain.
    apart = graph.is_taken([tensor for gradient, _ in pairs for tensor in tensors_of(gradient)])
    return Update(
        decisions=tuple(decisions),
        replayed=tuple(term for term, fate in fates if fate is Fate.OWN_STEP),
        movable=movable,
        notes=tuple((term.tensor.op.name, fate) for term, fate in fates if fate is not None),
        gradients=tuple(tensor for gradient, _ in pairs for tensor in tensors_of(gradient)),
        updated=tuple(graph.variable_op(v) for gradient, v in pairs if gradient is not None),
        reads={key: [] if apart else [op for c in calls for op in c.reads_of(key)] for key in trained},
        rows={key: sparse_rows.Rows(sparse_rows.indices_of(gradients[key])) for key in by_rows},
        tables=frozenset(t.key for t in trained.values() if t.is_sparse),
    )


def _times(rate: Scalar, factor: float) -> Scalar:
    if not tf.is_tensor(rate):
        return rate * factor
    with undelayed(rate):
        return tf.cast(rate, tf.float64) * factor


def _fate(
    term: Term, rules: Rules, calls: Sequence[GradientCall], movable: dict[tf.Operation, tf.Variable]
) -> Fate | None:
    if term.rest is None:
        return None
    if any(call.contains(term.tensor) for call in calls):
        return Fate.IN_LOSS
    if not any(op in movable for op in term.variables):
        return None if term.penalties else Fate.NO_VARIABLE
    if term.rest == "inputs":
        return Fate.NOT_APPLIED
    if rules.source == "loss":
        return Fate.OTHER_SOURCE
    return Fate.OWN_STEP


def _trained(gradients: list[Gradient], variable: tf.Variable) -> Trained:
    is_sparse = bool(sparse_rows.indices_of(gradients))
    key, dims = graph.variable_op(variable), dims_of(variable.shape)
    return Trained(key, variable, checkpoint_name(variable), dims, bool(gradients), is_sparse)
