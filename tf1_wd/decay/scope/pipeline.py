"""What happens inside a scope to the calls of tf.gradients and apply_gradients.

tf.gradients      -> GradientCall: the penalties leave the gradient, and say which rates they gave
apply_gradients   -> loss_rates -> plan_update -> AppliedUpdate -> apply: the decay becomes part of the train_op
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Callable

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.coupled import couple
from tf1_wd.decay.ops import lazy_rows
from tf1_wd.decay.ops.ordering import apply_with
from tf1_wd.decay.ops.scale import scale_now
from tf1_wd.decay.ops.update import AppliedUpdate, Update, collection_now, plan_update
from tf1_wd.decay.refusals import (
    refuse_decoupled,
    refuse_eager,
    refuse_inputs,
    refuse_keras,
    refuse_rates_of_rows,
    refuse_strategy,
)
from tf1_wd.decay.scope.adasum import refuse_adasum, refuse_combined
from tf1_wd.decay.scope.closing import Record, check, plan_of
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.decay.scope.hooks import Listener
from tf1_wd.decay.scope.net_rate import calls_behind, loss_rates, refuse_gradient_of_gradient, refuse_unseen
from tf1_wd.decay.scope.own_terms import loss_terms
from tf1_wd.decay.scope.replicas import Replica, apply_in_replicas
from tf1_wd.errors import NothingUpdatedError, UnsupportedUpdateError
from tf1_wd.graph.gradients import Pairs, Scalar, as_list
from tf1_wd.graph.variables import checkpoint_name
from tf1_wd.penalties.added_by_hand import refuse_by_hand
from tf1_wd.penalties.gradient_call import GradientCall, Key
from tf1_wd.penalties.own_decay import refuse_own_decay
from tf1_wd.plan.decisions import DecayPlan
from tf1_wd.plan.options import COUPLED, DECOUPLE, LAZY, Rules, given_rate, selected


class ScopeListener(Listener):
    """Takes the penalties out of gradients, and ties the decay to updates. record: what happened so far.

    takes_keras: True if it ties the decay to the updates of Keras's optimizers too, in place of refusing them.
    """

    def __init__(self, rules: Rules, takes_keras: bool = False) -> None:
        self.rules = rules
        self.takes_keras = takes_keras
        self.record = Record(rules)

    @property
    def plan(self) -> DecayPlan:
        """Every decision taken so far, with its reason."""
        return plan_of(self.record)

    @property
    def gradient_keys(self) -> set[Key]:
        """The keys (graph.key) of what tf.gradients returned, of sparse gradients the values and indices."""
        return self.record.gradient_keys

    @property
    def raw_gradients(self) -> set[tf.Operation]:
        """The ops of gradients from which penalties were taken out."""
        return {t.op for call in self.record.calls for op in call.freed for t in call.derivatives.get(op, ())}

    @property
    def has_zero_coefficients(self) -> bool:
        """True if there are penalties, each with the constant coefficient 0, so that no gradient misses any."""
        return self.record.has_zero_coefficients

    @property
    def has_terms(self) -> bool:
        """True if a loss, or the loss collection of the default graph, has penalties, or what may be some."""
        calls = self.record.calls
        in_losses = any(c.freed or c.norms or c.terms or c.gated or c.functions_with_l2 for c in calls)
        return in_losses or bool(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))

    def check(self, may_be_empty: bool = False) -> None:
        """Raises, or warns, as leaving the scope does, of what was built so far."""
        check(self.record, may_be_empty)

    def gradients(self, compute: Callable[..., list], arguments: dict[str, Any]) -> list:
        """Takes the penalties out of one call of tf.gradients."""
        refuse_eager()
        refuse_strategy()
        call = GradientCall(arguments["ys"], arguments["xs"], arguments["grad_ys"], self.rules.others == DECOUPLE)
        refuse_gradient_of_gradient(call, self.record.calls)
        constants = as_list(arguments["stop_gradients"]) + call.constants
        results = call.keep(compute(**dict(arguments, ys=call.ys, stop_gradients=constants)))
        self.record.calls.append(call)
        return results

    def apply_gradients(
        self,
        original: Callable[..., Any],
        optimizer: tf.train.Optimizer,
        grads_and_vars: Any,
        global_step: Any = None,
        name: str | None = None,
        **options: Any,
    ) -> Any:
        """Makes the decay a part of one update."""
        refuse_eager()
        refuse_adasum(optimizer)
        refuse_strategy()
        pairs = [(None if g is None else tf.convert_to_tensor_or_indexed_slices(g), v) for g, v in grads_and_vars]
        call = UpdateCall(original, optimizer, pairs, global_step, name, options)
        upstream = Upstream(self.record.calls)
        behind = {id(v): calls_behind(g, v, upstream) for g, v in pairs}
        gradient_calls = list({id(c): c for found in behind.values() for c in found}.values())
        _refuse_decay_alone(gradient_calls)
        rates = loss_rates(pairs, behind, self.rules, upstream)
        if tf.distribute.has_strategy():
            return self._apply_in_replicas(call, gradient_calls, rates)
        own = loss_terms(pairs, behind, self.rules, upstream)
        update = plan_update(pairs, self.rules, gradient_calls, rates, collection_now(), own)
        self._refuse(call, update)
        applied = AppliedUpdate(update, _scale_of(update, self.rules, call), tf.get_default_graph())
        refuse_inputs(applied)
        if self.rules.order != COUPLED:
            refuse_rates_of_rows(applied)
        with lazy_rows.in_time(applied, gradient_calls) as timed:
            self.record.updates.append(timed)
            train_op = _apply(timed, self.rules, call)
        refuse_combined(train_op, timed.update, optimizer)
        return train_op

    def overridden_apply_gradients(
        self, original: Callable[..., Any], optimizer: tf.train.Optimizer, *args: Any, **kwargs: Any
    ) -> Any:
        """Sees to it that an optimizer's own apply_gradients hands over to that of tf.train.Optimizer."""
        refuse_decoupled(optimizer)
        refuse_adasum(optimizer)
        before = len(self.record.updates)
        train_op = original(optimizer, *args, **kwargs)
        handed_over = self.record.updates[before:]
        if not handed_over:
            _refuse_not_handed_over(optimizer)
        for applied in handed_over:
            refuse_combined(train_op, applied.update, optimizer)
        return train_op

    def keras_apply_gradients(
        self, original: Callable[..., Any], optimizer: Any, grads_and_vars: Any, name: str | None = None, **options: Any
    ) -> Any:
        """Makes the decay a part of one update of an optimizer of Keras."""
        refuse_eager()
        grads_and_vars = list(grads_and_vars)
        if not self.takes_keras:
            if any(self._has_rate(variable) for gradient, variable in grads_and_vars if gradient is not None):
                refuse_keras(optimizer)
            return original(optimizer, grads_and_vars, name, **options)

        def apply(optimizer: Any, pairs: Pairs, _: Any, name: str | None, **options: Any) -> Any:
            return original(optimizer, pairs, name, **options)

        return self.apply_gradients(apply, optimizer, grads_and_vars, optimizer.iterations, name, **options)

    def _has_rate(self, variable: tf.Variable) -> bool:
        op, name = graph.variable_op(variable), checkpoint_name(variable)
        is_selected = selected(self.rules, variable, name)
        given = given_rate(self.rules, variable, name)[0]
        return is_selected and (given is not None or any(op in call.freed for call in self.record.calls))

    def _apply_in_replicas(
        self, call: UpdateCall, gradient_calls: list[GradientCall], rates: dict[tf.Operation, Scalar]
    ) -> Any:
        """The part of one replica of a distribution strategy in the update of all."""
        if self.rules.order == COUPLED:
            raise UnsupportedUpdateError(
                "coupled_weight_decay does not know the replicas of a strategy: leave L2 in the loss, without it"
            )
        terms = [name for found in gradient_calls for name in found.terms]
        if self.rules.others == DECOUPLE and terms:
            raise UnsupportedUpdateError(
                "others='decouple' has no step of its own for the copies of a variable that the replicas of a strategy "
                "have, and the loss has %s: leave others= out, and the term stays in the loss; or train without the "
                "strategy" % terms[0]
            )
        replica = Replica([(g, v) for g, v in call.pairs if g is not None], gradient_calls, rates)
        refuse = functools.partial(self._refuse, call)
        train_op, applied = apply_in_replicas(replica, self.rules, call.optimizer, call.global_step, call.name, refuse)
        self.record.updates.append(applied)
        return train_op

    def _refuse(self, call: UpdateCall, update: Update) -> None:
        """Raises before anything is built, if the gradients or the optimizer of an update leave no room for a decay."""
        lazy = {graph.variable_op(d.variable): d.name for d in update.decays if d.rows == LAZY}
        for replay in update.replayed:
            moved = [lazy[op] for op in replay.factors if op in lazy]
            if moved:
                raise UnsupportedUpdateError(
                    "the term %s takes a step of its own on %s of %s, and under sparse='lazy' these may be overdue: "
                    "use another sparse="
                    % (replay.term.tensor.op.name, "rows" if replay.is_of_rows else "all rows", moved[0])
                )
        if update.is_empty:
            self.record.optimizers.append(call.optimizer)
        else:
            refuse_decoupled(call.optimizer)
            refuse_own_decay([d.variable for d in update.decays], self.record.gradient_keys)
        refuse_by_hand(call.pairs, update.decays, self.record.calls)
        refuse_unseen(call.pairs, update.decays, self.rules, self.record.calls)


@dataclass(frozen=True)
class UpdateCall:
    """One call of apply_gradients: the method of tf.train.Optimizer, and what it was given. pairs: grads_and_vars."""

    original: Callable[..., Any]
    optimizer: tf.train.Optimizer
    pairs: Pairs
    global_step: Any
    name: str | None
    options: dict[str, Any]

    def apply(self, pairs: Pairs) -> Any:
        """Calls the method with these pairs in place of its own."""
        return self.original(self.optimizer, pairs, self.global_step, self.name, **self.options)


def _scale_of(update: Update, rules: Rules, call: UpdateCall) -> Scalar:
    return 1.0 if update.is_empty else scale_now(rules.scale, _tf.learning_rate(call.optimizer), call.global_step)


def _apply(applied: AppliedUpdate, rules: Rules, call: UpdateCall) -> Any:
    """Calls apply_gradients with the decay in the gradients (L2), or as a part of the op that it returns."""
    if rules.order == COUPLED:
        return call.apply(couple(applied, call.pairs))
    apply = functools.partial(call.apply, call.pairs)
    return apply() if applied.update.is_empty else apply_with(applied, rules, call.optimizer, apply)


def _refuse_decay_alone(calls: list[GradientCall]) -> None:
    """Raises NothingUpdatedError if penalties alone are the loss of an update."""
    if calls and all(call.is_decay_alone for call in calls):
        raise NothingUpdatedError(
            "no variable has a gradient once the penalties are out of it: the loss of this update is weight decay "
            "alone. Pass the data loss to the optimizer too; if this is a pasted second step for the penalties, "
            "remove it"
        )


def _refuse_not_handed_over(optimizer: tf.train.Optimizer) -> None:
    if _tf.in_replica():
        raise UnsupportedUpdateError(
            "%s hands its update to other replicas of the strategy, where this scope does not reach: put the "
            "scope around the strategy's call (run, experimental_run_v2)" % type(optimizer).__name__
        )
    raise UnsupportedUpdateError(
        "%s overrides apply_gradients and does not hand over to tf.train.Optimizer, so it cannot be known when "
        "its update happens. Build its train_op outside of the scope, on a loss without L2, and put the decay behind "
        "it: tf1_wd.attach(train_op, rates=...)" % type(optimizer).__name__
    )
