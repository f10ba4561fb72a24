"""What the calls of tf.gradients behind an update say of the L2 in it: its rate, how often it counts, what has none."""

from __future__ import annotations

import collections
from typing import NamedTuple

from tf1_wd import graph
from tf1_wd.commands.audit.declared import known
from tf1_wd.commands.audit.facts import Doubled, Problem, by_variable
from tf1_wd.commands.audit.report import RUN_TIME, UNKNOWN
from tf1_wd.decay.scope.net_rate import calls_behind, net_rate
from tf1_wd.errors import Tf1WdError
from tf1_wd.graph import files
from tf1_wd.graph.variables import checkpoint_name
from tf1_wd.penalties.coefficients import coefficients
from tf1_wd.penalties.find import ANCHORED, LINEAR, ROWS, read_collection
from tf1_wd.plan.text_table import some

TAKE_OUT = "Take it out of the gradients; `tf1-wd run --rate PATTERN=RATE SCRIPT` trains"
MOVE_OUT = "Move it out of the branch or loop; `tf1-wd run SCRIPT` trains"


class Found(NamedTuple):
    """Of one variable in one update.

    calls: list of the GradientCalls behind its gradient. rate: of the L2 in its gradient: float, "run time", "unknown",
    or None. problem: a facts.Problem where that is "unknown". in_loss: as rate, but in the loss itself; None also where
    the gradient is not that of one loss. first: what to do before `tf1-wd run` takes it, and then; None if it
    does so right away.
    """

    calls: list
    rate: float | str | None = None
    problem: Problem | None = None
    in_loss: float | str | None = None
    first: str | None = None

    def plus(self, added):
        """With what the program adds to the gradient: a list of coefficients, None at run time only."""
        if not added or self.problem is not None:
            return self
        rate = RUN_TIME if None in added or self.rate == RUN_TIME else float(sum(added, self.rate or 0.0))
        return self._replace(rate=rate, in_loss=self.in_loss or 0.0, first=TAKE_OUT)


def find_rate(gradient, variable, upstream):
    """What is Found of a gradient that is applied. variable: tf.Variable. upstream: Upstream of all calls."""
    op, behind, in_loss, problem, first = graph.variable_op(variable), [], None, None, None
    try:
        behind = calls_behind(gradient, variable, upstream)
        if len(behind) == 1 and op in behind[0].rates and not behind[0].is_weighted:
            in_loss = known(behind[0].rates[op])
        rate = net_rate(gradient, variable, checkpoint_name(variable), behind, upstream)
        if any(op in call.gated for call in behind):
            problem, first = Problem("L2 of it is inside a branch or a loop of the loss"), MOVE_OUT
    except Tf1WdError as error:
        problem = Problem(str(error), error.reason)
    if problem is not None:
        return Found(behind, UNKNOWN, problem, in_loss, first)
    return Found(behind, None if rate is None else known(rate), None, in_loss)


def net(found):
    """What is Found of a sum of gradients, as of the replicas of a distribution strategy. found: list of Found."""
    if len(found) == 1:
        return found[0]
    first, rates = found[0], [f.rate for f in found if f.rate is not None]
    unclear = next((f for f in found if f.rate == UNKNOWN), None)
    rate = UNKNOWN if unclear else RUN_TIME if RUN_TIME in rates else float(sum(rates)) if rates else None
    calls = [call for f in found for call in f.calls]
    ways = [f.first for f in found if f.first is not None]
    return Found(calls, rate, unclear.problem if unclear else None, None if rates else first.in_loss, *ways[:1])


def is_decay_alone(calls):
    """True if nothing but penalties leads from the variables to what the calls differentiate."""
    return bool(calls) and all(map(_is_decay_alone, calls))


def _is_decay_alone(call):
    constants = {graph.key(t) for t in call.constants}
    return bool(call.rates) and all(graph.key(y) in constants for y in call.ys)


# what a term is, by the rest of its Term, which has no rate of a variable
_WITHOUT_RATE = {
    ROWS: "L2 of rows that are looked up, which no rate of the whole table tells",
    LINEAR: "L2, but no multiple of its variables, so that no rate tells it",
    ANCHORED: "L2 towards other weights than 0, which no rate tells",
}


def notes_on(calls):
    """Sentences on the L2 in the losses that no rate of the report tells."""
    notes = [
        "the function %s, which the loss calls, holds L2: it is not counted" % name
        for name in sorted({name for call in calls for name in call.functions_with_l2})
    ]
    terms: dict = {}
    for term in (own.term for call in calls for own in call.own):
        names = ", ".join(sorted(op.name for op in term.variables))
        terms.setdefault(term.rest, {})["%s (%s)" % (term.tensor.op.name, names)] = None
    return notes + [
        "%s: %s; `tf1-wd run` takes it out of the gradient too" % (some(list(found)), _WITHOUT_RATE[rest])
        for rest, found in terms.items()
    ]


def lines_of(call, penalty):
    """What tells penalties that were written apart from copies of one: the lines of code that led to them."""
    return tuple(frame[:2] for frame in files.traceback(penalty.tensor.op))


def strength_of(call, penalty):
    """The same where no lines are known: penalties of one strength, as those of the towers of one loss, are copies."""
    is_scalar = penalty.tensor.shape.num_elements() == 1  # else it is added up element by element
    (coefficient,) = coefficients(call.ys, [penalty.tensor]) if is_scalar else [None]
    times = float("%.6g" % coefficient) if isinstance(coefficient, float) else RUN_TIME
    return times, tuple(sorted((op.name, factor) for op, factor in penalty.factors.items()))


def doubled(calls, origin=lines_of):
    """{op of a variable: Doubled} of variables whose L2 one loss counts by more than one route. origin: as lines_of."""
    found = {}
    for call in calls:
        terms = _collected_more_than_once(call)
        for variable, penalties in by_variable(call.penalties).items():
            again = [p.tensor.op for p in penalties if p.tensor.op in terms]
            if again:
                text = "the loss adds %s %g times" % (again[0].name, terms[again[0]])
                found[variable] = Doubled(text, is_one_term=True)
            elif len(penalties) > 1 and len({origin(call, p) for p in penalties}) > 1:
                names = sorted({p.tensor.op.name for p in penalties})
                found[variable] = Doubled("the loss holds %s" % " and ".join(names[:3]))
    return found


def _collected_more_than_once(call):
    """{op of a penalty: how often the loss adds the collection's term of it}, of those that it adds more than once.

    So do get_total_loss() and get_regularization_loss() together. A term that is added and averaged, as over towers,
    counts once.
    """
    inside = set(call.ops)
    with call.ys[0].graph.as_default():
        terms = [term for term in read_collection() if term.tensor.op in inside]
    weights = coefficients(call.ys, [term.tensor for term in terms])
    heavy = [term for term, weight in zip(terms, weights) if isinstance(weight, float) and weight > 1.5]
    consumers = graph.consumers_among(call.ops) if heavy else {}
    ways = [(term, _ways(term.tensor.op, [y.op for y in call.ys], consumers)) for term in heavy]
    return {p.tensor.op: n for term, n in ways for p in term.penalties if n > 1}


def _ways(op, ends, consumers):
    """The number of ways that lead from an op to one of `ends`. consumers: {op: those that take its outputs}."""
    found, front = 0, collections.Counter([op])  # {op that the next step reaches: by how many ways}
    while front:
        found += sum(front[end] for end in ends)
        steps = [(consumer, n) for reached, n in front.items() for consumer in consumers.get(reached, ())]
        front = collections.Counter()
        for consumer, n in steps:
            front[consumer] += n
    return found
