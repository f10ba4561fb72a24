"""Watches a program build its updates, as a listener of decay.scope.hooks; then reads off what it decays.

The calls of tf.gradients and apply_gradients are kept as they come, and analysed when the graph is complete, by what
the training step of a scope is built from: GradientCall, net_rate. Nothing of the program is changed.
"""

from __future__ import annotations

import collections
import contextlib
from typing import NamedTuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.declared import by_layers, known
from tf1_wd.commands.audit.facts import Doubled, OptimizerStep, Problem, by_variable, facts_of
from tf1_wd.commands.audit.from_graph import learning_rate_of, structural_steps, update_ops
from tf1_wd.commands.audit.report import RUN_TIME, UNKNOWN
from tf1_wd.decay.refusals import own_decay_of
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.decay.scope.hooks import Listener
from tf1_wd.decay.scope.net_rate import calls_behind, net_rate
from tf1_wd.errors import Tf1WdError
from tf1_wd.graph import files
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.gradients import as_list, tensors_of
from tf1_wd.graph.variables import checkpoint_name
from tf1_wd.penalties.coefficients import coefficients
from tf1_wd.penalties.find import ANCHORED, LINEAR, ROWS, read_collection
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.plan.text_table import some


class _Update(NamedTuple):
    """One apply_gradients: the optimizer, its pairs, and which ops of the graph were made by it."""

    graph: object
    optimizer: object
    pairs: tuple
    before: int
    after: int


class Observer(Listener):
    """A listener that lets everything pass and remembers it."""

    def __init__(self):
        self._calls = []  # (tf.Graph, ys, xs, grad_ys, results)
        self._updates = []

    def gradients(self, compute, arguments):
        """Lets one call of tf.gradients pass."""
        if tf.executing_eagerly():
            return compute(**arguments)
        # as compute does first
        arguments["ys"] = [tf.convert_to_tensor(y) for y in as_list(arguments["ys"])]
        ys, xs, grad_ys = arguments["ys"], as_list(arguments["xs"]), arguments["grad_ys"]
        results = compute(**arguments)
        self._calls.append((_tf.outermost(tf.get_default_graph()), ys, xs, grad_ys, list(results)))
        return results

    def apply_gradients(self, original, optimizer, *args, **kwargs):
        """Lets one update pass, and notes it, unless an update was noted inside of it: that of the base class."""
        given, *others = args or [kwargs.pop("grads_and_vars")]
        pairs, earlier = list(given), len(self._updates)
        tf_graph = _tf.outermost(tf.get_default_graph())
        before = _size(tf_graph)
        train_op = original(optimizer, pairs, *others, **kwargs)
        if len(self._updates) == earlier and not tf.executing_eagerly():
            self._updates.append(_Update(tf_graph, optimizer, tuple(pairs), before, _size(tf_graph)))
        return train_op

    overridden_apply_gradients = keras_apply_gradients = apply_gradients

    @property
    def graphs(self):
        """The graphs in which an optimizer was given gradients, each once, in their order."""
        return list({id(update.graph): update.graph for update in self._updates}.values())

    @property
    def raw_gradients(self):
        """The ops of gradients by variables: a program that fetches them may train by itself."""
        return {
            t.op
            for _, _, xs, _, results in self._calls
            for x, gradient in zip(xs, results)
            if graph.variable_op(x) is not None
            for t in tensors_of(gradient)
        }

    def results(self, tf_graph):
        """The keys (graph.key) of what tf.gradients returned in a graph, of sparse gradients the values."""
        found = [result for g, *_, results in self._calls if g is tf_graph for result in results if result is not None]
        return {graph.key(tensor) for result in found for tensor in tensors_of(result)}

    def facts(self, tf_graph):
        """The Facts of a graph that is complete."""
        open_again = _tf.unfinalized(tf_graph) if tf_graph.finalized else contextlib.nullcontext()
        with tf_graph.as_default(), open_again:
            calls = []
            for g, ys, xs, grad_ys, results in self._calls:
                if g is tf_graph:
                    call = GradientCall(ys, xs, grad_ys)
                    call.keep(results)
                    calls.append(call)
            constants, ops = Constants(), update_ops(tf_graph)
            updates = [u for u in self._updates if u.graph is tf_graph]
            made = tf_graph.get_operations()
            order = {op: i for i, op in enumerate(made)}
            upstream = Upstream(calls)
            steps = [_step(update, upstream, ops, order, constants) for update in updates]
            seen = {op for step in steps for op in step.updates}
            unseen = {variable: made for variable, made in ops.items() if variable not in seen}
            steps += structural_steps(tf_graph, unseen)
            notes = [
                "the function %s, which the loss calls, holds L2: it is not counted" % name
                for name in sorted({name for call in calls for name in call.functions_with_l2})
            ]
            notes += _without_rates(calls)
            return facts_of(tf_graph, steps, by_layers(tf_graph), notes, self.results(tf_graph))


# what a term is, by the rest of its Term, which has no rate of a variable
_WITHOUT_RATE = {
    ROWS: "L2 of rows that are looked up, which no rate of the whole table tells",
    LINEAR: "L2, but no multiple of its variables, so that no rate tells it",
    ANCHORED: "L2 towards other weights than 0, which no rate tells",
}


def _without_rates(calls):
    """A sentence for each kind of L2 in the losses that no rate of the report tells."""
    terms: dict = {}
    for term in (own.term for call in calls for own in call.own):
        names = ", ".join(sorted(op.name for op in term.variables))
        terms.setdefault(term.rest, {})["%s (%s)" % (term.tensor.op.name, names)] = None
    return [
        "%s: %s; `tf1-wd run` takes it out of the gradient too" % (some(list(found)), _WITHOUT_RATE[rest])
        for rest, found in terms.items()
    ]


def _size(tf_graph):
    return len(tf_graph.get_operations())


def _step(update, upstream, ops, order, constants):
    rates: dict = {}
    problems: dict[tf.Operation, Problem] = {}
    behind_any: dict[int, GradientCall] = {}
    updated: dict[tf.Operation, list] = {}
    given: dict[tf.Operation, tf.Tensor] = {}
    loss_rates: dict = {}
    for gradient, variable in update.pairs:
        op = graph.variable_op(variable)
        if gradient is None or op is None:
            continue
        updated[op] = [o for o in ops.get(op, ()) if update.before <= order[o] < update.after]
        gradient = tf.convert_to_tensor_or_indexed_slices(gradient)
        given[op] = getattr(gradient, "values", gradient)
        try:
            behind = calls_behind(gradient, variable, upstream)
            if len(behind) == 1 and op in behind[0].rates and not behind[0].is_weighted:
                loss_rates[op] = known(behind[0].rates[op])
            behind_any.update((id(call), call) for call in behind)
            rate = net_rate(gradient, variable, checkpoint_name(variable), behind, upstream)
            if any(op in call.gated for call in behind):
                rate, problems[op] = None, Problem("L2 of it is inside a branch or a loop of the loss")
        except Tf1WdError as error:
            rate, problems[op] = None, Problem(str(error), error.reason)
        if op in problems:
            rates[op] = UNKNOWN
        elif rate is not None:
            rates[op] = known(rate)
    behind = list(behind_any.values())
    alone = bool(behind) and all(_is_decay_alone(call) for call in behind)
    return OptimizerStep(
        optimizer=type(update.optimizer).__name__,
        learning_rate=_learning_rate(update.optimizer, updated, constants),
        updates=updated,
        decays_only=alone,
        rates=rates,
        problems=problems,
        own_decay=own_decay_of(update.optimizer) or "",
        own_rate=_own_rate(update.optimizer),
        penalties=tuple(penalty for call in behind for penalty in call.penalties),
        doubled=_doubled(behind),
        gradients=given,
        loss_rates=loss_rates,
        loss_ops=tuple(dict.fromkeys(op for call in behind for op in call.ops)) if behind else None,
        untrained={op: known(r) for call in behind for op, r in call.rates.items() if op not in updated},
    )


def _is_decay_alone(call):
    """True if nothing but penalties leads from the variables to what is differentiated."""
    constants = {graph.key(t) for t in call.constants}
    return bool(call.rates) and all(graph.key(y) in constants for y in call.ys)


def _learning_rate(optimizer, updated, constants):
    rate = _tf.learning_rate(optimizer)
    if rate is not None and graph.variable_op(rate) is not None:
        return RUN_TIME
    if rate is None:
        own = [op for ops in updated.values() for op in ops]
        return learning_rate_of(own[0], constants) if own else None
    if tf.is_tensor(rate):
        rate = constants.number(rate)
    return float(rate) if isinstance(rate, (int, float)) else RUN_TIME


def _own_rate(optimizer):
    """The rate of an optimizer that decays as those of tf.contrib.opt do, a float or "run time"; None for others."""
    if "DecoupledWeightDecayExtension" not in (c.__name__ for c in type(optimizer).__mro__):
        return None
    return known(getattr(optimizer, "_weight_decay", None))  # private: tf.contrib.opt (1.15.5); and our own


def _doubled(calls):
    """{op of a variable: Doubled} of variables whose L2 one loss counts by more than one route."""
    found = {}
    for call in calls:
        terms = _collected_more_than_once(call)
        for variable, penalties in by_variable(call.penalties).items():
            again = [p.tensor.op for p in penalties if p.tensor.op in terms]
            if again:
                text = "the loss adds %s %g times" % (again[0].name, terms[again[0]])
                found[variable] = Doubled(text, is_one_term=True)
            elif len({_origin(p) for p in penalties}) > 1:
                names = sorted({p.tensor.op.name for p in penalties})
                found[variable] = Doubled("the loss holds %s" % " and ".join(names[:3]))
    return found


def _origin(penalty):
    """What tells penalties that were written apart from copies of one: the lines of code that led to them."""
    return tuple(frame[:2] for frame in files.traceback(penalty.tensor.op))


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
