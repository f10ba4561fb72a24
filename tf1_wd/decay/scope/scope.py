"""True weight decay around the code that builds a train_op: decorator and context manager."""

from __future__ import annotations

import contextlib
import functools
import inspect

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.coupled import couple, coupled_rules
from tf1_wd.decay.ops import lazy_rows
from tf1_wd.decay.ops.ordering import apply_with
from tf1_wd.decay.ops.scale import scale_now
from tf1_wd.decay.ops.summaries import add_summaries
from tf1_wd.decay.ops.update import collection_now, plan_update
from tf1_wd.decay.refusals import refuse_decoupled, refuse_eager, refuse_inputs, refuse_no_function, refuse_strategy
from tf1_wd.decay.scope import hooks
from tf1_wd.decay.scope.adasum import refuse_adasum, refuse_combined
from tf1_wd.decay.scope.closing import Record, check, plan_of
from tf1_wd.decay.scope.gradient_call import GradientCall
from tf1_wd.decay.scope.net_rate import (
    calls_behind,
    loss_rate,
    refuse_gradient_of_gradient,
    refuse_l2_from_outside,
    refuse_unseen,
)
from tf1_wd.decay.scope.replicas import Replica, apply_in_replicas
from tf1_wd.errors import InvalidOptionError, NothingUpdatedError, UnsupportedUpdateError
from tf1_wd.graph.gradients import as_list
from tf1_wd.graph.variables import name_of
from tf1_wd.penalties.added_by_hand import refuse_by_hand
from tf1_wd.penalties.own_decay import refuse_own_decay
from tf1_wd.plan.options import COUPLED, given_rate, make_rules, selected


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
      multipliers: {pattern: factor}; multiplies the rate of each variable, wherever it comes from.
      include, exclude: regular expression (searched in the variable's name), callable of a variable, variable, or a
        list of these. Excluded means: no decay at all.
      scale: multiplies every rate: a float, a scalar Tensor, a callable of the global step (called once, when the graph
        is built, with the step's number as a tensor; returns one), or "learning_rate" (the optimizer's own, schedules
        included). At run time a rate * scale outside of [0, 1) is an InvalidArgumentError that names the variables.
      order: "after" or "before". convention: "snippet", "adamw" (scale="learning_rate"), "contrib" or "paper".
      sparse: which rows decay of a table whose gradient is sparse (tf.IndexedSlices, of tf.nn.embedding_lookup):
        "all_rows", "touched_rows" (those in the gradient, each once), or "lazy" (all, but each when it is next touched,
        to the same weights; see `Scope.catch_up`).
      backend: "auto", "native" (the compiled op or an error) or "tensorflow" (its twin in public ops).
      summary: True adds scalar summaries, weight_decay/scale and weight_decay/largest_rate (rate * scale).

    Returns: the decorated function (its attribute `decay` is the scope of the last call), or the scope. `scope.plan` is
    the DecayPlan.

    Raises: InvalidOptionError, InvalidRateError, NoMatchError for options; NothingToDecayError, NothingUpdatedError,
      EagerModeError, UnsupportedUpdateError, AlreadyDecoupledError, AmbiguousRateError, CoupledPenaltyError,
      NestedScopeError for what was built. Each says what to do. Warns of a global step that nothing counts.

    Example:
      >>> with tf1_wd.decoupled_weight_decay(exclude=r"bias|BatchNorm") as decay:
      ...     train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
      >>> print(decay.plan)

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
    """
    return _scope(build, make_rules(**options), "decoupled_weight_decay")


def coupled_weight_decay(build=None, **options):
    """L2 as decoupled_weight_decay with the same options would decay, to compare the two with one word changed.

        gradient <- gradient + (rate * scale) * w

    The decay goes into the gradient when it is applied, so it is never clipped. convention, order and
    scale="learning_rate" change nothing here: the optimizer multiplies the gradient by its learning rate.

    Args, Returns, Raises: as for decoupled_weight_decay; UnsupportedUpdateError under a distribution strategy, and
      InvalidOptionError for sparse="lazy".

    Example:
      >>> with tf1_wd.coupled_weight_decay(rates=1e-4, exclude=tf1_wd.bias_and_norm):
      ...     train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)

    Source: Loshchilov and Hutter (ICLR 2019), Algorithm 2, line 6.
    """
    return _scope(build, coupled_rules(**options), "coupled_weight_decay")


def _scope(build, rules, name):
    if build is not None and not (callable(build) or hasattr(build, "__get__")):
        raise InvalidOptionError(
            "%s decorates a function, and got %r: pass options by name, such as rates= or exclude=" % (name, build)
        )
    return Scope(rules) if build is None else Scope(rules)(build)


class Scope:
    """What decoupled_weight_decay returns: a context manager that can decorate functions too."""

    def __init__(self, rules):
        self.rules = rules
        self._reset()

    def _reset(self):
        self.record = Record(self.rules)
        self._catch_up = None
        self.may_be_empty = False

    def __call__(self, build):
        refuse_no_function(build)

        @functools.wraps(build)
        def decorated(*args, **kwargs):
            scope = decorated.decay = Scope(self.rules)
            with scope:
                result = build(*args, **kwargs)
                # What an Estimator's model_fn returns for evaluation has no train_op, and nothing was to be updated.
                scope.may_be_empty = getattr(result, "train_op", self) is None
            return result

        with contextlib.suppress(TypeError, ValueError):  # a function of C need not have one
            decorated.__signature__ = inspect.signature(build)  # Estimators look at it
        return decorated

    def __enter__(self):
        hooks.listen(self)
        self._reset()
        return self

    def __exit__(self, kind, error, traceback):
        hooks.forget()
        if kind is None:
            self.check()
            if self.rules.summary:
                add_summaries(self.record.updates)

    @property
    def plan(self):
        """Every decision taken so far, with its reason: a DecayPlan."""
        return plan_of(self.record)

    @property
    def raw_gradients(self):
        """The ops of gradients from which penalties were taken out."""
        return {t.op for call in self.record.calls for op in call.rates for t in call.derivatives.get(op, ())}

    def check(self):
        """Raises, or warns, as leaving the scope does, of what was built so far."""
        check(self.record, self.may_be_empty)

    def catch_up(self):
        """The op that brings all rows up to date whose decay is due under sparse="lazy"; without any, it does nothing.

            w_row <- w_row * (product of 1 - r over the updates since the row was touched)

        Rows that the loss does not look up keep their weights until then. So run it on its own, before anything else
        reads the table: before a checkpoint is saved for a program without tf1_wd, before export, and before an
        evaluation by other lookups than those of the loss. Build it before the graph is finalized.

        Returns: a tf.Operation; later calls return the same one.

        Example:
          >>> catch_up = decay.catch_up()
          >>> session.run(catch_up)
          >>> saver.save(session, path)
        """
        if self._catch_up is None:
            self._catch_up = lazy_rows.catch_up([update for update, _, _ in self.record.updates])
        return self._catch_up

    # --- what happens inside the scope; called by hooks

    def gradients(self, compute, arguments):
        """Takes the penalties out of one call of tf.gradients."""
        refuse_eager()
        refuse_strategy()
        call = GradientCall(arguments["ys"], arguments["xs"], arguments["grad_ys"])
        refuse_gradient_of_gradient(call, self.record.calls)
        arguments["ys"] = call.ys
        arguments["stop_gradients"] = as_list(arguments["stop_gradients"]) + call.constants
        results = call.keep(compute(**arguments))
        self.record.calls.append(call)
        return results

    def overridden_apply_gradients(self, original, optimizer, *args, **kwargs):
        """Sees to it that an optimizer's own apply_gradients hands over to that of tf.train.Optimizer."""
        refuse_decoupled(optimizer)
        refuse_adasum(optimizer)
        before = len(self.record.updates)
        result = original(optimizer, *args, **kwargs)
        updates = self.record.updates[before:]
        if not updates:
            if _tf.in_replica():
                raise UnsupportedUpdateError(
                    "%s hands its update to other replicas of the strategy, where this scope does not reach: put the "
                    "scope around the strategy's call (run, experimental_run_v2)" % type(optimizer).__name__
                )
            raise UnsupportedUpdateError(
                "%s overrides apply_gradients and does not hand over to tf.train.Optimizer, so it cannot be known when "
                "its update happens. Build its train_op outside of the scope and put the decay behind it: "
                "tf1_wd.attach(train_op, rates=...)" % type(optimizer).__name__
            )
        for update, _, _ in updates:
            refuse_combined(result, update, optimizer)
        return result

    def apply_gradients(self, original, optimizer, grads_and_vars, global_step=None, name=None, **kwargs):
        """Ties the decay to one update."""
        refuse_eager()
        refuse_adasum(optimizer)
        refuse_strategy()
        pairs = [(None if g is None else tf.convert_to_tensor_or_indexed_slices(g), v) for g, v in grads_and_vars]
        behind = {id(v): calls_behind(g, v, self.record.calls) for g, v in pairs}
        calls = list({id(c): c for found in behind.values() for c in found}.values())
        if calls and all(call.is_decay_alone for call in calls):
            raise NothingUpdatedError(
                "no variable has a gradient once the penalties are out of it: the loss of this update is weight decay "
                "alone. Pass the data loss to the optimizer too; if this is a pasted second step for the penalties, "
                "remove it"
            )
        loss_rates = self._loss_rates(pairs, behind)
        if tf.distribute.has_strategy():
            if self.rules.order == COUPLED:
                raise UnsupportedUpdateError(
                    "coupled_weight_decay does not know the replicas of a strategy: leave L2 in the loss, without it"
                )
            replica = Replica(pairs, calls, loss_rates)

            def check_update(update):
                self._refuse(optimizer, pairs, update)

            train_op = apply_in_replicas(replica, self.rules, optimizer, global_step, name, check_update)
            self.record.updates.append((replica.update, replica.scale, tf.get_default_graph()))
            return train_op
        update = plan_update(pairs, self.rules, calls, loss_rates, collection_now())
        self._refuse(optimizer, pairs, update)
        scale = 1.0
        if not update.is_empty:
            scale = scale_now(self.rules.scale, _tf.learning_rate(optimizer), global_step)
            refuse_inputs(update, scale)

        def apply():
            return original(optimizer, pairs, global_step, name, **kwargs)

        with lazy_rows.in_time(update, calls) as update:
            self.record.updates.append((update, scale, tf.get_default_graph()))
            if self.rules.order == COUPLED:
                pairs = couple(update, pairs, scale)  # `apply` takes these
            plain = update.is_empty or self.rules.order == COUPLED
            result = apply() if plain else apply_with(update, self.rules, scale, optimizer, apply)
        refuse_combined(result, update, optimizer)
        return result

    # --- which rate belongs to which update

    def _loss_rates(self, pairs, behind):
        found = {}
        for gradient, variable in pairs:
            op, name = graph.variable_op(variable), name_of(variable)
            if not selected(self.rules, variable, name)[0]:
                continue
            if any(op in call.gated for call in behind[id(variable)]):
                raise UnsupportedUpdateError(
                    "L2 of %s is computed inside a cond or a loop, where it cannot be told when it counts: move the "
                    "penalty outside, or exclude the variable" % name
                )
            if given_rate(self.rules, variable, name)[0] is None and self.rules.source != "collection":
                rate = loss_rate(gradient, variable, name, behind[id(variable)], self.record.calls)
            else:
                if gradient is not None and not behind[id(variable)]:
                    refuse_l2_from_outside(gradient, op, name)
                rate = next((call.rates[op] for call in behind[id(variable)] if op in call.rates), None)
            if rate is not None:
                found[op] = rate
        return found

    def _refuse(self, optimizer, pairs, update):
        """Raises before anything is built, if the gradients or the optimizer of an update leave no room for a decay."""
        if not update.is_empty:
            refuse_decoupled(optimizer)
            refuse_own_decay([d.variable for d in update.decays])
        refuse_by_hand(pairs, update.decays, self.record.calls)
        refuse_unseen(pairs, update.decays, self.rules, self.record.calls)
