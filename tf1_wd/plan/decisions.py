"""Decides which variables decay, at which rate and why; knows no TensorFlow.

What is printed is what runs: the training step is built from the same Decay values that the plan shows.
"""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Collection, Mapping, Optional, Sequence, Tuple

from tf1_wd.errors import NoMatchError
from tf1_wd.plan import options, text_table
from tf1_wd.plan.options import ALL_ROWS, COUPLED, LAZY, TOUCHED_ROWS, Rules
from tf1_wd.plan.rates import check_rate
from tf1_wd.plan.reasons import Fate, Reason

_ROWS = {ALL_ROWS: "", TOUCHED_ROWS: "; touched rows only", LAZY: "; lazy: rows decay when next touched"}
_STALE = ", and the loss counts the penalty of rows as last touched"
_LOOKED_UP = "no rate as a whole: rows decay as they are looked up, see the terms"
_BY_TERMS = "no rate as a whole: its L2 takes a step of its own, see the terms"
_GIVES_WAY = "; the penalty in the collection alone gives way to that of the loss"
_UNREACHED = ", but no gradient reaches it"
_FORMULAS = {"after": "w <- (1 - r) (w - step)", "before": "w <- w - step - r w", COUPLED: "gradient + r w"}

Shape = Tuple[Optional[int], ...]  # None for an unknown dimension
Times = Callable[[Any, float], Any]  # multiplies a rate


@dataclass(frozen=True)
class Trained:
    """A variable that an update trains. `key` identifies it among the rates that penalties give.

    is_sparse: True if all of its gradients are tf.IndexedSlices, which name the rows that they touch.
    """

    key: Any
    variable: Any
    name: str
    shape: Shape
    has_gradient: bool
    is_sparse: bool = False


@dataclass(frozen=True)
class Decay:
    """The decision on one variable.

    rate: float; None if the variable does not decay; any other value is known only at run time (a scalar tensor).
    why: where the rate comes from, or why there is none. scale: what multiplies the rate: a float, or the text that
    names what is known only at run time. rows: which rows decay, and when: a word of options.SPARSE. reason: what `why`
    says, as a value. scale_tensor: the scale that is known only at run time, once its ops are built.
    others: (rate, scale) of other updates of the variable that decay it differently.
    """

    variable: Any
    name: str
    shape: Shape
    rate: Any
    why: str
    scale: float | str = 1.0
    rows: str = ALL_ROWS
    reason: Reason | None = None
    scale_tensor: Any = field(default=None, repr=False, compare=False)
    others: tuple[tuple[Any, float | str], ...] = ()

    @property
    def size(self) -> int:
        """Number of elements; 0 where a dimension is unknown."""
        return functools.reduce(operator.mul, [d or 0 for d in self.shape], 1)


def in_two_updates(first: Decay, second: Decay) -> Decay:
    """The Decay of a variable that two updates train: the first that decays, and what the other does."""
    if first.rate is None and second.rate is None:
        return first
    if first.rate is None or second.rate is None:
        return _and(first if second.rate is None else second, "no decay with another update")
    if _alike(first.rate, second.rate) and _alike(first.scale, second.scale):
        return _and(first, "again with another update")
    words = "with another update at rate %s" % _number(second.rate)
    if not _alike(first.scale, second.scale):
        words += " times scale %s" % _number(second.scale)
    if any(_alike(rate, second.rate) and _alike(scale, second.scale) for rate, scale in first.others):
        return first
    return replace(_and(first, words), others=(*first.others, (second.rate, second.scale)))


def _and(decay: Decay, words: str) -> Decay:
    return replace(decay, why="%s; %s" % (decay.why, words))


def _alike(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, (float, str)) and isinstance(b, (float, str)) and a == b)


def _number(value: Any) -> str:
    """A rate or scale in a sentence."""
    if isinstance(value, float):
        return "%g" % value
    return value if isinstance(value, str) else "known at run time"


@dataclass(frozen=True)
class DecayPlan:
    """Every decision of a scope, with its reason; `print(plan)` shows it as a table.

    decays: one Decay a variable, those that decay and those that do not.
    terms: (name, Fate) of entries of the loss collection that are more than L2 penalties.
    order: "after", "before", or "coupled": the decay is part of the gradient.
    notes: (what, what is to be said of it) of other parts of the graph that the decay matters for.
    """

    decays: tuple[Decay, ...]
    terms: tuple[tuple[str, str], ...]
    order: str
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def decaying(self) -> tuple[Decay, ...]:
        """The variables that decay."""
        return tuple(d for d in self.decays if d.rate is not None)

    @property
    def left_alone(self) -> tuple[Decay, ...]:
        """The variables that do not decay."""
        return tuple(d for d in self.decays if d.rate is None)

    def __str__(self) -> str:
        rows = [(d.name, text_table.shape(d.shape), _rate(d.rate), self.half_life(d), d.why) for d in self.decays]
        lines = [text_table.table(rows, ("variable", "shape", "rate r", "half-life", "why"))]
        lines += ["term %s: %s" % term for term in self.terms]
        for text in dict.fromkeys(text for _, text in self.notes):
            about = [what for what, said in self.notes if said == text]
            lines.append("note: %s: %s" % (text_table.some(about), text))
        explained = "" if self.order == COUPLED else " Half-life: steps in which a weight that gets no gradient halves."
        return "\n".join([*lines, self.summary() + "." + explained])

    def half_life(self, decay: Decay) -> float | str | None:
        """Steps in which a weight that gets no gradient halves, "run time", or None where a decay does not tell."""
        if self.order == COUPLED:
            return None  # what is left of r w is up to the optimizer
        if decay.rate is None or decay.rows == TOUCHED_ROWS:
            return None  # a row without gradient keeps its weights
        known = isinstance(decay.rate, float) and isinstance(decay.scale, float)
        return half_life(decay.rate * decay.scale) if known else "run time"

    def summary(self) -> str:
        """How many variables decay, and by which formula, in a sentence without its full stop."""
        scales = sorted({"%g" % d.scale if isinstance(d.scale, float) else d.scale for d in self.decaying})
        unknown = sum(None in d.shape for d in self.decays)
        lookups = sum(fate is Fate.OWN_ROWS for _, fate in self.terms)
        others = sum(fate is Fate.OWN_L2 for _, fate in self.terms)
        return "%d of %d variables decay, %s of %s weights%s%s%s: %s, r times scale %s" % (
            len(self.decaying),
            len(self.decays),
            f"{sum(d.size for d in self.decaying):,}",
            f"{sum(d.size for d in self.decays):,}",
            " (not counting %d of unknown shape)" % unknown if unknown else "",
            ", and the rows that %s up" % _count(lookups, "term looks", "terms look") if lookups else "",
            ", and what %s by a step of its own" % _count(others, "term of L2 takes", "terms of L2 take")
            if others
            else "",
            _FORMULAS[self.order],
            " or ".join(scales) or "1",
        )

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON can hold it; a rate that is known at run time alone is the text "run time"."""
        return {
            "order": self.order,
            "variables": [
                {
                    "name": d.name,
                    "shape": list(d.shape),
                    "rate": _rate(d.rate),
                    "scale": d.scale,
                    "half_life": self.half_life(d),
                    "rows": d.rows,
                    "others": [[_rate(rate), scale] for rate, scale in d.others],
                    "why": d.why,
                    "reason": None if d.reason is None else d.reason.value,
                }
                for d in self.decays
            ],
            "terms": {name: str(fate) for name, fate in self.terms},
            "fates": {name: fate.name.lower() for name, fate in self.terms if isinstance(fate, Fate)},
            "notes": [[what, str(said)] for what, said in self.notes],
        }


def half_life(rate: float) -> float | None:
    """Steps in which a weight without gradient halves: log(1/2) / log(1 - rate); None if it never does.

    rate: the fraction of the weight that a step takes away, in [0, 1).
    """
    return math.log(0.5) / math.log1p(-rate) if rate > 0.0 else None


def decide(
    trained: Sequence[Trained],
    rules: Rules,
    loss_rates: Mapping[Any, Any],
    collection_rates: Mapping[Any, Any],
    times: Times = operator.mul,
) -> list[Decay]:
    """The Decay of every trained variable; each takes its rate from one place.

    A rate given as rates= wins, then the penalties in the loss, then those in the collection alone; a penalty of the
    loss counts also where the data gradient is None, the others only for variables with a gradient (two optimizers
    without var_list would otherwise both decay everything).

    loss_rates, collection_rates: {key: rate}; the latter without variables whose L2 in the loss is no rate.
    Raises InvalidRateError.
    """
    return [_decide(t, rules, times, loss_rates.get(t.key), collection_rates.get(t.key)) for t in trained]


def _decide(trained: Trained, rules: Rules, times: Times, loss_rate: Any, collection_rate: Any) -> Decay:
    kept_out = options.left_out(rules, trained.variable, trained.name)
    if kept_out is not None:
        return _no(trained, kept_out[1], kept_out[0])
    stale = _STALE if loss_rate is not None and _rows(trained, rules) == LAZY else ""
    given, text = options.given_rate(rules, trained.variable, trained.name)
    if given is not None:
        if not trained.has_gradient and loss_rate is None:
            return _no(trained, text + _UNREACHED, Reason.NO_GRADIENT)
        return _yes(trained, given, text, Reason.GIVEN, rules, times, stale)
    if loss_rate is not None and rules.source != "collection":
        return _yes(trained, loss_rate, "penalty in the loss", Reason.LOSS, rules, times, stale)
    if collection_rate is not None and rules.source != "loss":
        if not trained.has_gradient:
            return _no(trained, "penalty in the collection" + _UNREACHED, Reason.NO_GRADIENT)
        return _yes(trained, collection_rate, "penalty in the collection", Reason.COLLECTION, rules, times)
    if loss_rate is not None or collection_rate is not None:
        where = "collection" if loss_rate is None else "loss"
        words = "penalty in the %s only, and source=%r" % (where, rules.source)
        return _no(trained, words, Reason.OTHER_SOURCE)
    return _no(trained, "no penalty, no rate given", Reason.NO_RATE)


def _yes(trained: Trained, rate: Any, why: str, reason: Reason, rules: Rules, times: Times, stale: str = "") -> Decay:
    factor, text = options.multiplier(rules, trained.variable, trained.name)
    if text:
        rate, why = times(rate, factor), "%s, %s" % (why, text)
    if isinstance(rate, float):
        check_rate(rate, trained.name, why, rules.scale, has_convention=rules.order != COUPLED)
        if rate == 0.0:
            return _no(trained, why + ", with rate 0", Reason.ZERO_RATE)
    rows = _rows(trained, rules)
    why += _ROWS[rows] + stale
    return Decay(trained.variable, trained.name, trained.shape, rate, why, rows=rows, reason=reason)


def _rows(trained: Trained, rules: Rules) -> str:
    return rules.sparse if trained.is_sparse else ALL_ROWS


def by_terms(decay: Decay, fates: Collection[Fate], gives_way: bool) -> Decay:
    """The decision on a variable that terms with these fates move: `why` must not deny that they do.

    gives_way: True if it has a penalty in the collection alone, which L2 of the loss takes the place of.
    """
    texts = {Fate.OWN_ROWS: _LOOKED_UP, Fate.OWN_L2: _BY_TERMS}
    why = next((text for fate, text in texts.items() if fate in fates), None)
    if decay.reason is not Reason.NO_RATE or why is None:
        return decay
    return replace(decay, why=why + (_GIVES_WAY if gives_way else ""))


def check_rows(rules: Rules, plan: DecayPlan) -> None:
    """Raises NoMatchError if the rules say which rows decay, and no variable that decays has a sparse gradient."""
    if rules.sparse != ALL_ROWS and not any(d.rows == rules.sparse for d in plan.decays):
        raise NoMatchError(
            "sparse=%r applies to no variable: none of the %d that decay has a sparse gradient (tf.IndexedSlices, as "
            "lookups of rows by tf.gather and tf.nn.embedding_lookup make it; a table that is also read as a whole has "
            "a dense one). Leave sparse= out. Per variable:\n%s" % (rules.sparse, len(plan.decaying), plan)
        )


def _no(trained: Trained, why: str, reason: Reason) -> Decay:
    return Decay(trained.variable, trained.name, trained.shape, None, why, reason=reason)


def _count(n: int, one: str, many: str) -> str:
    return "%d %s" % (n, one if n == 1 else many)


def _rate(rate: Any) -> float | str | None:
    return rate if rate is None or isinstance(rate, float) else "run time"
