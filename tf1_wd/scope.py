"""True weight decay around the code that builds a train_op: decorator and context manager."""

from __future__ import annotations

import contextlib
import functools
import warnings
from dataclasses import replace

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.attachment import apply_with, refuse_decoupled, refuse_eager, refuse_strategy
from tf1_wd.differentiation import GradientCall, as_list, calls_behind
from tf1_wd.errors import (
    AmbiguousRateError,
    NestedScopeError,
    NothingToDecayError,
    NothingUpdatedError,
    UndecayedWarning,
    UnsupportedUpdateError,
)
from tf1_wd.penalties import read_collection
from tf1_wd.plan import Decay, DecayPlan
from tf1_wd.rules import given_rate, make_rules, selected
from tf1_wd.step import describe, scale_now
from tf1_wd.update import NOT_APPLIED, collection_now, name_of, plan_update


def decoupled_weight_decay(build=None, **options):
    """Makes L2 penalties true weight decay, for every update whose train_op is built in the scope.

        order="after":   w <- (1 - r) (w - step)        (convention "snippet", the default)
        order="before":  w <- w - step - r w            (conventions "adamw", "contrib", "paper")

    with r = rate * scale, and step what the optimizer makes of the gradient of the data loss alone: the penalties in
    the loss leave the gradient, and stay in the loss's value. A variable's rate is the sum, over its penalties, of
    coefficient * factor (`0.01 * tf.nn.l2_loss(w)`: 0.01; `0.01 * tf.reduce_sum(w ** 2)`: 0.02), each variable once.

    Args:
      build: the function to decorate; without it, the result is decorator and context manager.
      source: "auto" (the loss; for variables that have no penalty there, the collection REGULARIZATION_LOSSES), "loss"
        or "collection".
      rates: a rate for all trained variables, or {pattern: rate}; wins over penalties.
      include, exclude: regular expression (searched in the variable's name), callable of a variable, variable, or a
        list of these. Excluded means: no decay at all.
      scale: multiplies every rate: a float, a scalar Tensor, a callable of the global step (called once, when the graph
        is built, with the step's number as a tensor), or "learning_rate" (the optimizer's own, schedules included).
      order: "after" or "before". convention: "snippet", "adamw" (scale="learning_rate"), "contrib" or "paper".
      backend: "auto", "native" (the compiled op or an error) or "tensorflow" (its twin in public ops).

    Returns: the decorated function (its attribute `decay` is the scope of the last call), or the scope. `scope.plan` is
    the DecayPlan.

    Raises: InvalidOptionError, InvalidRateError, NoMatchError for options; NothingToDecayError, NothingUpdatedError,
      EagerModeError, UnsupportedUpdateError, AlreadyDecoupledError, AmbiguousRateError, NestedScopeError for what was
      built. Each says what to do.

    Example:
      >>> with tf1_wd.decoupled_weight_decay(exclude=r"bias|BatchNorm") as decay:
      ...     train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
      >>> print(decay.plan)

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
    """
    rules = make_rules(**options)
    if build is None:
        return Scope(rules)
    return Scope(rules)(build)


class Scope:
    """What decoupled_weight_decay returns: a context manager that can decorate functions too."""

    _open = None

    def __init__(self, rules):
        self._rules = rules
        self._reset()

    @staticmethod
    def is_open():
        """True inside the block of a scope."""
        return Scope._open is not None

    def _reset(self):
        self._calls = []  # of _GradientCall, those of the scope in their order
        self._updates = []  # of (Update, scale)
        self._graphs = []  # of tf.Graph in which something was updated
        self._stack = contextlib.ExitStack()

    def __call__(self, build):
        @functools.wraps(build)
        def decorated(*args, **kwargs):
            scope = Scope(self._rules)
            decorated.decay = scope
            with scope:
                return build(*args, **kwargs)

        return decorated

    def __enter__(self):
        if Scope._open is not None:
            raise NestedScopeError(
                "a weight decay scope is open already: every weight would decay twice. Keep the one that is nearest "
                "to the optimizer"
            )
        self._reset()
        self._stack.enter_context(_tf.patched_gradients(self._gradients))
        self._stack.enter_context(_tf.patched_apply_gradients(self._apply_gradients, self._overridden_apply_gradients))
        Scope._open = self
        return self

    def __exit__(self, kind, error, traceback):
        Scope._open = None
        self._stack.close()
        if kind is None:
            self._check()
        elif isinstance(error, ValueError) and self._calls and self._calls[-1].is_decay_alone:
            raise NothingUpdatedError(
                "no variable has a gradient once the penalties are out of it: the loss of this update is weight decay "
                "alone. Pass the data loss to the optimizer too"
            ) from error

    @property
    def plan(self):
        """Every decision taken so far, with its reason: a DecayPlan."""
        decisions, notes = {}, {}
        for update, scale in self._updates:
            for d in update.decisions:
                if d.rate is not None or d.name not in decisions:
                    decisions[d.name] = replace(d, scale=describe(scale))
            notes.update(update.notes)
        for d in self._not_updated():
            decisions.setdefault(d.name, d)
        return DecayPlan(tuple(decisions.values()), tuple(notes.items()), self._rules.order)

    # --- what happens inside the scope

    def _gradients(self, compute, arguments):
        if tf.executing_eagerly():
            return compute(**arguments)
        call = GradientCall(arguments["ys"], arguments["xs"], arguments["grad_ys"])
        arguments["ys"] = call.ys
        arguments["stop_gradients"] = as_list(arguments["stop_gradients"]) + call.constants
        results = compute(**arguments)
        call.keep(results)
        self._calls.append(call)
        return results

    def _overridden_apply_gradients(self, original, optimizer, *args, **kwargs):
        refuse_decoupled(optimizer)
        before = len(self._updates)
        result = original(optimizer, *args, **kwargs)
        if len(self._updates) == before:
            raise UnsupportedUpdateError(
                "%s overrides apply_gradients and does not hand over to tf.train.Optimizer, so it cannot be known when "
                "its update happens. Build its train_op outside of the scope and put the decay behind it: "
                "tf1_wd.attach(train_op, rates=...)" % type(optimizer).__name__
            )
        return result

    def _apply_gradients(self, original, optimizer, grads_and_vars, global_step, name, **kwargs):
        refuse_eager()
        refuse_decoupled(optimizer)
        refuse_strategy()
        pairs = list(grads_and_vars)
        calls = {id(v): calls_behind(g, v, self._calls) for g, v in pairs}
        loss_rates = self._loss_rates(pairs, calls)
        involved = list({id(c): c for found in calls.values() for c in found}.values())
        update = plan_update(pairs, self._rules, involved, loss_rates, collection_now())
        scale = 1.0
        if not update.is_empty:
            scale = scale_now(self._rules.scale, _tf.learning_rate(optimizer), global_step)
        self._updates.append((update, scale))
        self._graphs.append(tf.get_default_graph())

        def apply():
            return original(optimizer, pairs, global_step, name, **kwargs)

        return apply() if update.is_empty else apply_with(update, self._rules, scale, optimizer, apply)

    # --- which rate belongs to which update

    def _loss_rates(self, pairs, calls):
        found = {}
        for gradient, variable in pairs:
            op, name = graph.variable_op(variable), name_of(variable)
            given, _ = given_rate(self._rules, variable, name)
            if not selected(self._rules, variable, name)[0]:
                continue
            behind = calls[id(variable)]
            if not behind and gradient is not None and given is None:
                raise UnsupportedUpdateError(
                    "the gradient of %s was not computed inside the scope, so it is not known whether it holds L2: "
                    "move compute_gradients or tf.gradients inside, or pass rates= if it holds none" % name
                )
            with_rate = [c for c in behind if op in c.rates]
            if len(behind) > 1 and with_rate and given is None:
                raise AmbiguousRateError(
                    "%d tf.gradients calls with penalties on %s go into one update; how their rates add up depends on "
                    "how the gradients are combined. Pass the net rate of a step as rates=" % (len(behind), name)
                )
            if with_rate:
                found[op] = with_rate[0].rates[op]
        return found

    # --- what the plan and the end of the scope say of the rest

    def _not_updated(self):
        """Decisions on variables that have penalties, and that no update of the scope trains."""
        updated = {graph.variable_op(d.variable) for update, _ in self._updates for d in update.decisions}
        penalised = {op: "the loss" for call in self._calls for op in call.rates}
        for g in {id(g): g for g in self._graphs}.values():
            with g.as_default():
                for term in read_collection():
                    for penalty in term.penalties:
                        penalised.update((op, "the collection") for op in penalty.factors if op not in penalised)
        for op, where in penalised.items():
            if op not in updated:
                shape = tf.TensorShape(op.get_attr("shape"))
                dims = tuple(shape.as_list()) if shape.rank is not None else (None,)
                yield Decay(None, op.name, dims, None, "penalty in %s, but no update of this scope trains it" % where)

    def _check(self):
        if not self._updates:
            refuse_eager()
            raise NothingUpdatedError(
                "no apply_gradients of a tf.train optimizer ran in the scope, so nothing decays: put the scope around "
                "the code that calls minimize or apply_gradients%s"
                % (" (gradients were computed in it)" if self._calls else "")
            )
        plan = self.plan
        if not plan.decaying and not any(update.replayed for update, _ in self._updates):
            raise NothingToDecayError(
                "none of %d variables decays. Looked at the loss (%d penalties), the collection REGULARIZATION_LOSSES "
                "(%d entries) and rates=%s. Declare penalties, or pass rates=. Per variable:\n%s"
                % (
                    len(plan.decays),
                    sum(len(call.penalties) for call in self._calls),
                    len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)),
                    "given" if self._rules.rates else "None",
                    plan,
                )
            )
        self._warn(plan)

    def _warn(self, plan):
        for name, fate in plan.terms:
            if fate == NOT_APPLIED:
                warnings.warn("%s of the loss collection %s" % (name, fate), UndecayedWarning, stacklevel=4)
        updated = {graph.variable_op(d.variable) for update, _ in self._updates for d in update.decisions}
        lost = sorted(
            {op.name for call in self._calls for op in call.derivatives if op in call.rates} - {o.name for o in updated}
        )
        if lost:
            warnings.warn(
                "the penalties of %s left the gradient, but no update of the scope trains them: they do not decay"
                % ", ".join(lost),
                UndecayedWarning,
                stacklevel=4,
            )
