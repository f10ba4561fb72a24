"""Watches a program build its updates, as a listener of decay.scope.hooks; then reads off what it decays.

The calls of tf.gradients and apply_gradients are kept as they come, and analysed when the graph is complete, by what
the training step of a scope is built from: GradientCall, net_rate. Nothing of the program is changed.
"""

from __future__ import annotations

import contextlib
import threading
from typing import NamedTuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.declared import by_layers, known
from tf1_wd.commands.audit.facts import OptimizerStep, facts_of
from tf1_wd.commands.audit.from_graph import added_by_hand, learning_rate_of, structural_steps, update_ops
from tf1_wd.commands.audit.net_rates import Found, doubled, find_rate, is_decay_alone, net, notes_on
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.decay.refusals import own_decay_of
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.decay.scope.hooks import Listener
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.gradients import as_list, tensors_of
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.plan.same_variable import copies_of


class _Update(NamedTuple):
    """One apply_gradients: the optimizer, its pairs, and which ops of the graph were made by it.

    copies: of each variable, on all replicas of a distribution strategy. replicas: the pairs of the other replicas,
    whose gradients are added to these.
    """

    graph: object
    optimizer: object
    pairs: tuple
    before: int
    after: int
    copies: tuple
    in_replica: bool = False
    replicas: tuple = ()

    def takes_in(self, other):
        """True for the update of another replica in the same step."""
        is_same = self.in_replica and other.in_replica and self.optimizer is other.optimizer
        mine, others = ([list(map(id, row)) for row in update.copies] for update in (self, other))
        return is_same and mine == others and 1 + len(self.replicas) < len(self.copies[0])

    def with_replica(self, other):
        """This update, with that of another replica."""
        ends = {"before": min(self.before, other.before), "after": max(self.after, other.after)}
        return self._replace(replicas=(*self.replicas, other.pairs), **ends)


class Observer(Listener):
    """A listener that lets everything pass and remembers it."""

    def __init__(self):
        self._calls = []  # (tf.Graph, ys, xs, grad_ys, results)
        self._updates = []
        self._noted = threading.local()  # .count: how many updates were noted in a thread; each replica has one

    def gradients(self, compute, arguments):
        """Lets one call of tf.gradients pass."""
        if tf.executing_eagerly():
            return compute(**arguments)
        # as compute does first
        arguments["ys"] = [tf.convert_to_tensor(y) for y in as_list(arguments["ys"])]
        ys, xs, grad_ys = arguments["ys"], as_list(arguments["xs"]), arguments["grad_ys"]
        results = compute(**arguments)
        if _tf.in_replica():
            xs = [_copy_here(x) for x in xs]
        self._calls.append((_tf.outermost(tf.get_default_graph()), ys, xs, grad_ys, list(results)))
        return results

    def apply_gradients(self, original, optimizer, *args, **kwargs):
        """Lets one update pass, and notes it, unless an update was noted inside of it: that of the base class."""
        given, *others = args or [kwargs.pop("grads_and_vars")]
        pairs, earlier = list(given), getattr(self._noted, "count", 0)
        tf_graph = _tf.outermost(tf.get_default_graph())
        before = _size(tf_graph)
        train_op = original(optimizer, pairs, *others, **kwargs)
        if getattr(self._noted, "count", 0) == earlier and not tf.executing_eagerly():
            copies = tuple(_copies(variable) for _, variable in pairs)
            self._note(_Update(tf_graph, optimizer, tuple(pairs), before, _size(tf_graph), copies, _tf.in_replica()))
        return train_op

    def _note(self, update):
        self._noted.count = getattr(self._noted, "count", 0) + 1
        if self._updates and self._updates[-1].takes_in(update):
            self._updates[-1] = self._updates[-1].with_replica(update)
        else:
            self._updates.append(update)

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
            results = self.results(tf_graph)
            steps = [_step(update, upstream, ops, order, constants, results) for update in updates]
            seen = {op for step in steps for op in step.updates}
            unseen = {variable: made for variable, made in ops.items() if variable not in seen}
            steps += structural_steps(tf_graph, unseen)
            return facts_of(tf_graph, steps, by_layers(tf_graph), notes_on(calls), results)


def _size(tf_graph):
    return len(tf_graph.get_operations())


def _step(update, upstream, ops, order, constants, results):
    found: dict[tf.Operation, Found] = {}
    behind_any: dict[int, GradientCall] = {}
    updated: dict[tf.Operation, list] = {}
    given: dict[tf.Operation, tf.Tensor] = {}
    for (gradient, variable), copies, *others in zip(update.pairs, update.copies, *update.replicas):
        op = graph.variable_op(variable)
        if gradient is None or op is None:
            continue
        gradients = [tf.convert_to_tensor_or_indexed_slices(g) for g, _ in [(gradient, None), *others] if g is not None]
        given[op] = getattr(gradients[0], "values", gradients[0])
        rate = net([_of_replica(g, copies, upstream, constants, results) for g in gradients])
        for copy in map(graph.variable_op, copies):
            updated[copy] = [o for o in ops.get(copy, ()) if update.before <= order[o] < update.after]
            found[copy] = rate
        behind_any.update((id(call), call) for call in rate.calls)
    behind = list(behind_any.values())
    return OptimizerStep(
        optimizer=type(update.optimizer).__name__,
        learning_rate=_learning_rate(update.optimizer, updated, constants),
        updates=updated,
        decays_only=is_decay_alone(behind),
        rates={op: f.rate for op, f in found.items() if f.rate is not None},
        problems={op: f.problem for op, f in found.items() if f.problem is not None},
        first={op: f.first for op, f in found.items() if f.first is not None},
        own_decay=own_decay_of(update.optimizer) or "",
        own_rate=_own_rate(update.optimizer),
        penalties=tuple(penalty for call in behind for penalty in call.penalties),
        doubled=doubled(behind),
        gradients=given,
        loss_rates={op: f.in_loss for op, f in found.items() if f.in_loss is not None},
        loss_ops=tuple(dict.fromkeys(op for call in behind for op in call.ops)) if behind else None,
        untrained={op: known(r) for call in behind for op, r in call.rates.items() if op not in updated},
    )


def _copies(variable):
    """The copies of a variable on the replicas of a distribution strategy; any other variable alone."""
    found = copies_of(variable)
    return tuple(found if len(found) > 1 else _tf.copies(variable))


def _copy_here(x):
    """Of a variable the copy that the replica reads which is being built; of anything else itself."""
    op = graph.variable_op(x)
    return x if op is None else next((copy for copy in _tf.copies(x) if graph.variable_op(copy) is op), x)


def _of_replica(gradient, copies, upstream, constants, results):
    """What is Found of a gradient by one of the copies of a variable."""
    each = [(copy, find_rate(gradient, copy, upstream)) for copy in copies]
    copy, found = next((pair for pair in each if pair[1].calls), each[0])
    if not found.calls:
        return found
    return found.plus(added_by_hand(tensors_of(gradient)[0], graph.variable_op(copy), constants, results))


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
