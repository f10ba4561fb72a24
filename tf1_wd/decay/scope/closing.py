"""What a scope says of what was built in it: the plan, and the errors and warnings of its end."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import Any, Collection, Iterator

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops import lazy_rows
from tf1_wd.decay.ops.scale import with_scale
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.decay.refusals import refuse_decoupled, refuse_eager
from tf1_wd.decay.scope.moving_averages import notes_on_averages
from tf1_wd.decay.scope.step_counter import warn_of_uncounted
from tf1_wd.errors import NothingToDecayError, NothingUpdatedError, UndecayedWarning
from tf1_wd.graph.assignments import destinations, written_variable
from tf1_wd.graph.gradients import is_zero
from tf1_wd.graph.variables import checkpoint_name, dims_of
from tf1_wd.penalties.find import read_collection
from tf1_wd.penalties.gradient_call import GradientCall, Key
from tf1_wd.penalties.own_decay import Scalars, refuse_own_decay, rests
from tf1_wd.plan.decisions import Decay, DecayPlan, check_rows, in_two_updates
from tf1_wd.plan.options import AFTER, COUPLED, Rules, given_rate, selected
from tf1_wd.plan.reasons import Fate, Note, Reason, over_updates

ALL_ZERO = "the coefficient of every penalty in the loss is the constant 0: nothing decays, and it trains as it is"


@dataclass(frozen=True)
class Record:
    """What happened in a scope so far: its calls of tf.gradients, and the update of each apply_gradients."""

    rules: Rules
    calls: list[GradientCall] = field(default_factory=list)
    updates: list[AppliedUpdate] = field(default_factory=list)
    optimizers: list[Any] = field(default_factory=list)  # of updates without a decay

    @property
    def gradient_keys(self) -> set[Key]:
        """The keys (graph.key) of what tf.gradients returned, of sparse gradients the values and indices."""
        return {graph.key(t) for call in self.calls for found in call.derivatives.values() for t in found}

    @property
    def has_zero_coefficients(self) -> bool:
        """True if there are penalties, each with the constant coefficient 0, so that no gradient misses any."""
        rates = [rate for call in self.calls for rate in call.rates.values()]
        return bool(rates) and all(map(is_zero, rates)) and not any(call.own for call in self.calls)


def plan_of(record: Record) -> DecayPlan:
    """Every decision taken, with its reason: a DecayPlan."""
    decisions: dict[tuple[int, str], tuple[Decay, bool]] = {}
    notes: list[tuple[str, Fate]] = []
    for applied in record.updates:
        for d in applied.update.decisions:
            op, key, decay = graph.variable_op(d.variable), (id(applied.graph), d.name), with_scale(d, applied.scale)
            trains = d.rate is not None or op in applied.update.updated
            before, trained = decisions.get(key, (None, False))
            if before is None or (trains and not trained):
                decisions[key] = decay, trains
            elif trains and graph.variable_op(before.variable) is op:  # and no other replica's copy of it
                decisions[key] = in_two_updates(before, decay), True
        notes += applied.update.notes
    in_loss = {name: Fate.STAYS for call in record.calls for name in call.terms}
    in_loss.update((name, Fate.COEFFICIENT) for call in record.calls for name in call.trained_coefficients)
    in_loss.update((name, Fate.NORM) for call in record.calls for name in call.norms)
    notes = [(name, in_loss.get(name, fate) if fate is Fate.IN_LOSS else fate) for name, fate in notes]
    notes += in_loss.items()
    plain = [*(decay for decay, _ in decisions.values()), *_not_updated(record)]
    said = (*notes_on_averages(record.updates), *((name, Note.UNUSED) for name in _unused_gradients(record)))
    return DecayPlan(tuple(plain), tuple(over_updates(notes)), record.rules.order, said)


def check(record: Record, may_be_empty: bool) -> None:
    """Raises if nothing was updated or nothing decays; warns of what looks like weight decay and is not applied.

    may_be_empty: True if no update had to be built.
    """
    if not record.updates and not may_be_empty:
        refuse_eager()
        _refuse_nothing_updated(record)
    refuse_own_decay([d.variable for applied in record.updates for d in applied.update.decays], record.gradient_keys)
    _refuse_lost_penalties(record)
    _refuse_other_optimizers(record)
    plan = plan_of(record)
    if record.updates and all(applied.update.is_empty for applied in record.updates):
        _refuse_own_decay_instead(record)
        if record.has_zero_coefficients:  # as one turn of a sweep may have them
            warnings.warn(ALL_ZERO, UndecayedWarning, stacklevel=4)
            return
        raise NothingToDecayError(
            "none of %d variables decays. Looked at the loss (%d penalties), the collection REGULARIZATION_LOSSES "
            "(%d entries) and rates=%s.%s Declare penalties, or pass rates=. Per variable:\n%s"
            % (
                len(plan.decays),
                sum(len(call.penalties) for call in record.calls),
                len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)),
                "given" if record.rules.rates else "None",
                _cause(record),
                plan,
            )
        )
    if record.updates:
        check_rows(record.rules, plan)
    lazy_rows.refuse_lookups_elsewhere(record.updates, record.calls)
    for warning in _undecayed(record, plan):
        warnings.warn(warning, UndecayedWarning, stacklevel=4)
    warn_of_uncounted(record.rules, record.updates, stacklevel=4)


def _refuse_own_decay_instead(record: Record) -> None:
    """Raises AlreadyDecoupledError where no variable decays, and the program decays one: rates= would not help."""
    for optimizer in record.optimizers:
        refuse_decoupled(optimizer)
    all_of_them = [d for applied in record.updates for d in applied.update.decisions]
    rateless = (Reason.NO_RATE, Reason.ZERO_RATE)
    refuse_own_decay([d.variable for d in all_of_them if d.reason in rateless], record.gradient_keys)


def _cause(record: Record) -> str:
    functions = sorted({name for call in record.calls for name in call.functions_with_l2})
    if functions:
        return " L2 in, or through, functions is not counted: %s." % ", ".join(functions)
    return ""


def _trainable() -> list[tf.Variable]:
    """The trainable variables of the default graph, but for those of a distribution strategy, which are several."""
    return [v for v in tf.trainable_variables() if not hasattr(v, "values")]


def _updated(record: Record) -> set[tf.Operation]:
    return {graph.variable_op(d.variable) for applied in record.updates for d in applied.update.decisions}


def _unused_gradients(record: Record) -> list[str]:
    """Names of gradients without their L2 that go into no variable: the program may log them, or compute with them."""
    updated = _updated(record)
    freed = [(call, op) for call in record.calls for op in call.derivatives if op in updated.intersection(call.freed)]
    tensors = [t for call, op in freed if not is_zero(call.rates.get(op, 1.0)) for t in call.derivatives[op][:1]]
    seen = {graph.key(t): t for t in tensors if t.graph is _tf.outermost(t.graph)}  # of no function's body
    return [t.op.name for t in seen.values() if not any(True for _ in destinations(t, updated))]


def _trained_elsewhere(record: Record) -> set[tf.Operation]:
    """Variables that no update trains, but whose gradients train others that have a decay, as A3C's workers do."""
    updated = _updated(record)
    decided = {
        graph.variable_op(d.variable)
        for applied in record.updates
        for d in applied.update.decisions
        if d.rate is not None or (d.reason is not None and d.reason.is_a_choice)
    }
    found = set()
    for call in record.calls:
        for op in set(call.freed).intersection(call.derivatives) - updated:
            if any(to in decided for tensor in call.derivatives[op][:1] for to in destinations(tensor, updated)):
                found.add(op)
    return found


def _not_updated(record: Record) -> Iterator[Decay]:
    """Decisions on variables that have penalties, and that no update of the scope trains."""
    penalised = {op: "the loss" for call in record.calls for op in call.rates}
    for g in {id(a.graph): a.graph for a in record.updates}.values():
        with g.as_default():
            for term in read_collection():
                for penalty in term.penalties:
                    penalised.update((op, "the collection") for op in penalty.factors if op not in penalised)
    updated = _updated(record)
    for op, where in penalised.items():
        if op not in updated:
            dims = dims_of(op.get_attr("shape"))
            why = "penalty in %s, but no update of this scope trains it" % where
            yield Decay(None, op.name, dims, None, why, reason=Reason.NO_UPDATE)


def _refuse_nothing_updated(record: Record) -> None:
    refuse_own_decay(_trainable())
    movers = _movers(record)
    text = ""
    if movers:
        text = " %s: %s" % (_words(movers), _by_other_means(record, movers))
    elif record.calls:
        text = (
            " Gradients that are fetched and applied in NumPy cannot be followed: decay there (w -= r * w), or feed "
            "them to placeholders that apply_gradients takes inside the scope, with rates="
        )
    raise NothingUpdatedError(
        "no apply_gradients of a tf.train optimizer ran in the scope, so nothing decays: put the scope around the code "
        "that calls minimize or apply_gradients%s.%s"
        % (" (gradients were computed in it)" if record.calls else "", text)
    )


def _refuse_other_optimizers(record: Record) -> None:
    """Raises if a variable that has a rate is updated in the scope by something else than a tf.train optimizer."""
    movers = _movers(record)
    penalised = {op for call in record.calls for op in call.freed}
    for variable in _trainable() if movers else ():
        op, name = graph.variable_op(variable), checkpoint_name(variable)
        has_rate = op in penalised or given_rate(record.rules, variable, name)[0] is not None
        if op in movers and has_rate and selected(record.rules, variable, name):
            raise NothingUpdatedError(
                "%s and would not decay with it: %s. Or exclude the variable"
                % (_words({op: movers[op]}), _by_other_means(record, [op]))
            )


def _by_other_means(record: Record, moved: Collection[tf.Operation]) -> str:
    """What to do about variables (ops) that are updated by something else than optimizers of tf.train, in words."""
    known: dict[str, float] = {}
    for call in record.calls:
        for op in moved:
            rate = call.rates.get(op)
            if isinstance(rate, float) and rate > 0.0:
                known["^%s$" % re.escape(op.name)] = rate
    means = (
        "an update by other means (Keras, own assignments, tf.raw_ops, an imported graph) has to be built outside of "
    )
    if record.rules.order == COUPLED:
        return means + (
            "the scope, where L2 of the loss acts as it is, and other gradients are given it by "
            "tf1_wd.add_decay_to_gradients"
        )
    rates = "{%s}" % ", ".join("%r: %g" % pair for pair in known.items()) if 0 < len(known) <= 3 else "..."
    if isinstance(record.rules.scale, str):  # LEARNING_RATE is the only word
        rates += ", scale=%r" % record.rules.scale
    if record.rules.order != AFTER:
        rates += ", order=%r" % record.rules.order
    return means + (
        "the scope, on a loss without L2, and then tf1_wd.attach(train_op, rates=%s). A graph whose loss has L2 is "
        "exported anew, with the scope in the program that builds it" % rates
    )


def _words(movers: dict[tf.Operation, tf.Operation]) -> str:
    return ", ".join("%s is updated by %s (%s)" % (v.name, op.name, op.type) for v, op in movers.items())


def _movers(record: Record) -> dict[tf.Operation, tf.Operation]:
    """{variable: op}: what moves variables that no apply_gradients of the scope trains, after their gradients."""
    updated, scalars = _updated(record), Scalars()
    found: dict[tf.Operation, tf.Operation] = {}
    starts: dict[tf.Operation, list[tf.Operation]] = {}
    for call in record.calls:
        for variable in set(call.derivatives) - updated:
            for tensor in call.derivatives[variable]:
                starts.setdefault(tensor.op, []).append(variable)
    begun = set() if record.calls or record.updates else set(map(graph.variable_op, _trainable()))
    for g in {id(op.graph): op.graph for op in [*starts, *begun]}.values():
        for op in g.get_operations():
            begun.update(starts.get(op, ()))
            variable = written_variable(op)
            if variable in begun and variable not in found and rests(op, variable, scalars):
                found[variable] = op
    return found


def _refuse_lost_penalties(record: Record) -> None:
    updated = _updated(record) | _trained_elsewhere(record)
    for call in record.calls:
        penalised = set(call.derivatives).intersection(call.freed)
        if penalised and not penalised & updated:
            words = _words(_movers(record))
            raise NothingUpdatedError(
                "the penalties of %s left the gradient, but no apply_gradients of a tf.train optimizer in the "
                "scope updates them%s. Put the optimizer's call inside; %s"
                % (
                    ", ".join(sorted(op.name for op in penalised)),
                    "; " + words if words else "",
                    _by_other_means(record, penalised),
                )
            )


def _undecayed(record: Record, plan: DecayPlan) -> Iterator[str]:
    """What looks like weight decay and is not applied, a sentence each."""
    for name, fate in plan.terms:
        if fate is Fate.NOT_APPLIED:
            yield "%s of the loss collection %s" % (name, fate)
    lost = {op for call in record.calls for op in call.derivatives if op in call.freed}
    lost -= _updated(record) | _trained_elsewhere(record)
    if lost:
        yield "the penalties of %s left the gradient, but no update of the scope trains them: they do not decay" % (
            ", ".join(sorted(op.name for op in lost))
        )
    for name in sorted({name for call in record.calls for name in call.functions_with_l2}):
        yield "the function %s, which the loss calls, holds L2 or is given it: it stays in the gradient" % name
