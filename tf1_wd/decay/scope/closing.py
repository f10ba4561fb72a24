"""What a scope says of what was built in it: the plan, and the errors and warnings of its end."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Iterator

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops import lazy_rows
from tf1_wd.decay.ops.scale import with_scale
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.decay.refusals import refuse_eager
from tf1_wd.decay.scope.moving_averages import notes_on_averages
from tf1_wd.decay.scope.step_counter import warn_of_uncounted
from tf1_wd.errors import NothingToDecayError, NothingUpdatedError, UndecayedWarning
from tf1_wd.graph.assignments import written_variable
from tf1_wd.graph.variables import checkpoint_name, dims_of
from tf1_wd.penalties.find import read_collection
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.penalties.own_decay import Scalars, refuse_own_decay, rests
from tf1_wd.plan.decisions import Decay, DecayPlan, check_rows
from tf1_wd.plan.options import Rules, given_rate, selected
from tf1_wd.plan.reasons import Fate, Reason


@dataclass(frozen=True)
class Record:
    """What happened in a scope so far: its calls of tf.gradients, and the update of each apply_gradients."""

    rules: Rules
    calls: list[GradientCall] = field(default_factory=list)
    updates: list[AppliedUpdate] = field(default_factory=list)


def plan_of(record: Record) -> DecayPlan:
    """Every decision taken, with its reason: a DecayPlan."""
    decisions: dict[tuple[int, str], Decay] = {}
    notes: dict[str, Fate] = {}
    for applied in record.updates:
        for d in applied.update.decisions:
            key = (id(applied.graph), d.name)
            before = decisions.get(key)
            if before is not None and before.rate is not None and d.rate is not None:
                if graph.variable_op(before.variable) is not graph.variable_op(d.variable):
                    continue  # another replica's copy of it
                decisions[key] = replace(before, why=before.why + "; again with another update")
            elif before is None or d.rate is not None:
                decisions[key] = with_scale(d, applied.scale)
        notes.update(applied.update.notes)
    notes.update((name, Fate.STAYS) for call in record.calls for name in call.terms)
    notes.update((name, Fate.NORM) for call in record.calls for name in call.norms)
    plain = [*decisions.values(), *_not_updated(record)]
    return DecayPlan(tuple(plain), tuple(notes.items()), record.rules.order, notes_on_averages(record.updates))


def check(record: Record, may_be_empty: bool) -> None:
    """Raises if nothing was updated or nothing decays; warns of what looks like weight decay and is not applied.

    may_be_empty: True if no update had to be built.
    """
    if not record.updates and not may_be_empty:
        refuse_eager()
        _refuse_nothing_updated(record)
    refuse_own_decay([d.variable for applied in record.updates for d in applied.update.decays])
    _refuse_lost_penalties(record)
    _refuse_other_optimizers(record)
    plan = plan_of(record)
    if record.updates and all(applied.update.is_empty for applied in record.updates):
        raise NothingToDecayError(
            "none of %d variables decays. Looked at the loss (%d penalties), the collection REGULARIZATION_LOSSES "
            "(%d entries) and rates=%s.%s Declare penalties, or pass rates=. Per variable:\n%s"
            % (
                len(plan.decays),
                sum(len(call.penalties) for call in record.calls),
                len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)),
                "given" if record.rules.rates else "None",
                _cause(record, plan),
                plan,
            )
        )
    if record.updates:
        check_rows(record.rules, plan)
    lazy_rows.refuse_lookups_elsewhere(record.updates, record.calls)
    for warning in _undecayed(record, plan):
        warnings.warn(warning, UndecayedWarning, stacklevel=4)
    warn_of_uncounted(record.rules, record.updates, stacklevel=4)


def _cause(record: Record, plan: DecayPlan) -> str:
    functions = sorted({name for call in record.calls for name in call.functions_with_l2})
    if functions:
        return " L2 in, or through, functions is not counted: %s." % ", ".join(functions)
    if any(d.reason is Reason.ZERO_RATE for d in plan.decays):
        return " The penalties have the coefficient 0: set it, as the program's flags may do."
    return ""


def _trainable() -> list[tf.Variable]:
    """The trainable variables of the default graph, but for those of a distribution strategy, which are several."""
    return [v for v in tf.trainable_variables() if not hasattr(v, "values")]


def _updated(record: Record) -> set[tf.Operation]:
    return {graph.variable_op(d.variable) for applied in record.updates for d in applied.update.decisions}


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
        text = " %s: %s" % (_words(movers), _OTHERS)
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
                "%s and would not decay with it: %s. Or exclude the variable" % (_words({op: movers[op]}), _OTHERS)
            )


_OTHERS = (
    "an optimizer that is none of tf.train (Keras, own assignments) needs its train_op built outside of the scope, and "
    "tf1_wd.attach(train_op, rates=...)"
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
    updated = _updated(record)
    for call in record.calls:
        penalised = set(call.derivatives).intersection(call.freed)
        if penalised and not penalised & updated:
            words = _words(_movers(record))
            raise NothingUpdatedError(
                "the penalties of %s left the gradient, but no apply_gradients of a tf.train optimizer in the "
                "scope updates them%s. Put the optimizer's call inside; %s"
                % (", ".join(sorted(op.name for op in penalised)), "; " + words if words else "", _OTHERS)
            )


def _undecayed(record: Record, plan: DecayPlan) -> Iterator[str]:
    """What looks like weight decay and is not applied, a sentence each."""
    for name, fate in plan.terms:
        if fate is Fate.NOT_APPLIED:
            yield "%s of the loss collection %s" % (name, fate)
    lost = {op for call in record.calls for op in call.derivatives if op in call.freed} - _updated(record)
    if lost:
        yield "the penalties of %s left the gradient, but no update of the scope trains them: they do not decay" % (
            ", ".join(sorted(op.name for op in lost))
        )
    for name in sorted({name for call in record.calls for name in call.functions_with_l2}):
        yield "the function %s, which the loss calls, holds L2 or is given it: it stays in the gradient" % name
