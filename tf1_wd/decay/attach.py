"""True weight decay for a train_op that exists already."""

from __future__ import annotations

import functools
from typing import Any, Callable, List, NamedTuple, Tuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.ordering import build_after, build_before
from tf1_wd.decay.ops.scale import scale_now, with_scale
from tf1_wd.decay.ops.summaries import add_summaries
from tf1_wd.decay.ops.update import AppliedUpdate, Collection, collection_now, plan_update
from tf1_wd.decay.refusals import refuse_eager
from tf1_wd.decay.scope import hooks
from tf1_wd.decay.scope.step_counter import warn_of_uncounted
from tf1_wd.errors import (
    CoupledPenaltyError,
    InvalidOptionError,
    NestedScopeError,
    NothingToDecayError,
    UnsupportedUpdateError,
)
from tf1_wd.graph.assignments import gradient_of, updates_among
from tf1_wd.graph.gradients import Gradient
from tf1_wd.graph.marks import is_decay, made_by_optimizers
from tf1_wd.graph.update_ops import learning_rate_input, op_ignores_weights
from tf1_wd.penalties.found_calls import FoundCalls
from tf1_wd.penalties.in_gradients import holds_l2
from tf1_wd.penalties.own_decay import Scalars, refuse_own_decay, rests
from tf1_wd.plan.decisions import DecayPlan, check_rows
from tf1_wd.plan.options import DECOUPLE, LAZY, Rules, make_rules
from tf1_wd.plan.reasons import Reason, over_updates
from tf1_wd.plan.same_variable import copies_of

Updates = List[Tuple[tf.Variable, List[tf.Operation]]]
Edges = List[Tuple[tf.Operation, List[tf.Operation]]]  # (op, what it must wait for)


class Attached(NamedTuple):
    """What attach decided, as hooks.Listener.give_way takes it."""

    plan: DecayPlan
    rules: Rules
    gradient_keys: None = None  # attach hears no call of tf.gradients


class Group(NamedTuple):
    """Updates that are given one learning rate. members: the variables, each with the ops that update it."""

    applied: AppliedUpdate
    members: Updates


def attach(train_op: Any, report: Callable[[DecayPlan], Any] | None = None, **options: Any) -> Any:
    """Ties a decay to the updates behind a train_op that was built elsewhere; the gradient is taken as it is.

        order="after":   w <- (1 - r) (w - step)      order="before":  w <- w - step - r w

    Rates come from rates=, or from penalties in the collection REGULARIZATION_LOSSES that are not part of the gradient
    already. Where code can be edited, decoupled_weight_decay is the better choice: it also takes L2 out of a loss.

    Args:
      train_op: tf.Operation, tf.Tensor (a loss-valued train_op), or an object with a field train_op and a method
        _replace, such as tf.estimator.EstimatorSpec.
      report: function that is called with the DecayPlan; `report=print` shows it.
      options: as for decoupled_weight_decay. scale="learning_rate" takes the rate that each update op is given.

    Returns: what it was given: an Operation, a Tensor of the same value, or an object of the same kind.

    Raises: the errors of decoupled_weight_decay; CoupledPenaltyError if the gradient holds L2 already;
      AlreadyDecoupledError if an op of the graph, behind train_op or not, takes a fraction of a variable off it;
      UnsupportedUpdateError if no variable is updated behind train_op (SyncReplicasOptimizer), if the update is inside
      a cond or a loop (it might be skipped), or if it has a decay already.

    Example:
      >>> train_op = tf1_wd.attach(train_op, rates={"weights": 5e-4}, report=print)

    Source: the pasted workaround that this replaces (a second SGD step behind train_op).
    """
    rules = make_rules(**options)
    if hasattr(train_op, "train_op"):
        if not hasattr(train_op, "_replace"):
            raise InvalidOptionError("%r has a train_op, but no _replace: attach to its train_op" % (train_op,))
        return train_op._replace(train_op=attach(train_op.train_op, report, **options))
    refuse_eager()
    listener = hooks.current()
    if listener is not None and not listener.lets_attach:
        raise NestedScopeError("attach() inside a weight decay scope would decay twice: use one of the two")
    if _tf.is_resource(train_op):  # what assign_add on a resource variable returns
        train_op = tf.convert_to_tensor(train_op)
    if not isinstance(train_op, (tf.Operation, tf.Tensor)):
        raise InvalidOptionError(
            "attach takes an Operation, a Tensor or an object with a train_op, such as an EstimatorSpec; got %r"
            % (train_op,)
        )
    if rules.others == DECOUPLE:
        raise InvalidOptionError(
            "others='decouple' takes terms out of the gradient, and attach leaves the gradient as it is: put "
            "tf1_wd.decoupled_weight_decay around the code that builds the train_op, or leave others= out"
        )
    if rules.sparse == LAZY:
        raise UnsupportedUpdateError(
            "sparse='lazy' must know the lookups of the loss, and attach sees the updates alone: put "
            "tf1_wd.decoupled_weight_decay around the code that builds the train_op, or use another sparse="
        )
    op = train_op if isinstance(train_op, tf.Operation) else train_op.op
    with op.graph.as_default():
        return _attach(train_op, op, rules, report)


def _attach(
    train_op: Any, op: tf.Operation, rules: Rules, report: Callable[[DecayPlan], Any] | None
) -> tf.Operation | tf.Tensor:
    _refuse_copies()
    behind = list(graph.predecessors([op]))
    others = set(made_by_optimizers(op.graph))  # refuse_own_decay has more to say of these
    if any(is_decay(o) for o in behind if o not in others):
        raise UnsupportedUpdateError("%s has a decay already: a second one would decay every weight twice" % op.name)
    updates = updates_among(behind, op)
    collection = collection_now()
    groups = _groups(updates, rules, collection)
    plan = _plan_of(groups, rules)
    groups = [group for group in groups if not group.applied.update.is_empty]
    if not groups:
        _refuse_coupled(updates, {d.name for d in plan.decays if d.reason is Reason.NO_RATE})
        raise NothingToDecayError(
            "none of the %d variables behind %s has a rate. Pass rates=, or declare penalties in the collection "
            "REGULARIZATION_LOSSES (%d entries). Per variable:\n%s"
            % (len(updates), op.name, len(collection.terms), plan)
        )
    check_rows(rules, plan)
    refuse_own_decay([d.variable for d in plan.decaying])
    _refuse_coupled(updates, {d.name for d in plan.decaying})
    edges = _steps_before_increment(groups, behind)
    _refuse_sessions(op, rules, edges)
    warn_of_uncounted(rules, [group.applied for group in groups], stacklevel=3)
    if report is not None:
        report(plan)
    moment = _moment_before(updates, op) if rules.order == "before" else []
    followers, more_edges = _build(groups, rules, op, moment)
    for target, sources in edges + more_edges:  # last, so that nothing is half-applied
        _tf.add_control_inputs(target, sources)
    if rules.summary:
        add_summaries([group.applied for group in groups])
    listener = hooks.current()
    if listener is not None:
        listener.give_way(Attached(plan, rules))
    return _behind(train_op, followers)


def _groups(updates: Updates, rules: Rules, collection: Collection) -> list[Group]:
    """What is applied to the variables of each learning rate."""
    groups = []
    for learning_rate, members in _by_learning_rate(updates, rules):
        pairs = [(gradient, variable) for variable, ops in members for gradient in _gradients(ops)]
        update = plan_update(pairs, rules, [], {}, collection)
        scale = 1.0 if update.is_empty else scale_now(rules.scale, learning_rate, None)
        groups.append(Group(AppliedUpdate(update, scale, tf.get_default_graph()), members))
    return groups


def _plan_of(groups: list[Group], rules: Rules) -> DecayPlan:
    decisions = [with_scale(d, applied.scale) for applied, _ in groups for d in applied.update.decisions]
    notes = over_updates(note for applied, _ in groups for note in applied.update.notes)
    return DecayPlan(tuple(decisions), tuple(notes), rules.order)


def _behind(train_op: tf.Operation | tf.Tensor, followers: list[tf.Operation]) -> tf.Operation | tf.Tensor:
    """The train_op, of the kind it was, behind the ops that follow it."""
    if not followers:
        return train_op
    with tf.control_dependencies(followers):
        if isinstance(train_op, tf.Tensor):
            return tf.identity(train_op, name="train_op_and_decay")
        return tf.group(train_op, name="train_op_and_decay")


def _refuse_sessions(op: tf.Operation, rules: Rules, edges: Edges) -> None:
    """Raises UnsupportedUpdateError if edges are to be added between ops that a tf.Session may hold already."""
    if (edges or rules.order == "before") and graph.has_session(op.graph):
        raise UnsupportedUpdateError(
            "a tf.Session on this graph exists already, and new control edges between its ops might be ignored. Attach "
            "before the session is made, or use order='after'%s" % (" and a scale that is no callable" if edges else "")
        )


def _refuse_copies() -> None:
    for variable in tf.trainable_variables():
        copies = copies_of(variable)
        if len(copies) > 1:
            raise UnsupportedUpdateError(
                "%s has %d copies on the replicas of a distribution strategy: put tf1_wd.decoupled_weight_decay around "
                "the function that the strategy runs" % (variable.name, len(copies))
            )


def _gradients(ops: list[tf.Operation]) -> list[Gradient]:
    """What the updates of one variable take as its gradient: tf.IndexedSlices if each of them names rows."""
    indices = [graph.argument(op, ("indices",)) for op in ops]
    if any(i is None for i in indices):
        return [gradient_of(ops[0])]
    return [tf.IndexedSlices(gradient_of(op), i) for op, i in zip(ops, indices)]


def _build(
    groups: list[Group], rules: Rules, train_op: tf.Operation, moment: list[tf.Tensor]
) -> tuple[list[tf.Operation], Edges]:
    """(ops that follow the train_op, edges by which the updates wait for a decay).

    moment: of order "before", the tensors after which all gradients are computed and nothing is updated yet.
    """
    followers: list[tf.Operation] = []
    edges: Edges = []
    for applied, members in groups:
        ops = [o for _, found in members for o in found]
        first: list[tf.Operation] = []
        build_rest: Callable[[], list[tf.Operation]] = functools.partial(build_after, applied, rules)
        if rules.order == "before":
            in_place = all(map(op_ignores_weights, ops))
            with tf.control_dependencies(moment if in_place else []):
                first, build_rest = build_before(applied, rules, in_place)
        edges += [(o, first) for o in ops if first]
        with tf.control_dependencies([train_op]):
            followers += build_rest()
    return followers, edges


def _steps_before_increment(groups: list[Group], behind: list[tf.Operation]) -> Edges:
    """Edges that let a callable scale see the global step before the train_op increments it."""
    global_step = tf.train.get_global_step()
    scales = [group.applied.scale.op for group in groups if not isinstance(group.applied.scale, float)]
    if global_step is None or not scales:
        return []
    holder = graph.variable_op(global_step)
    reads = [op for op in scales if holder in graph.ancestors(op.outputs)]
    increments = [op for op in behind if op.inputs and op.inputs[0].op is holder and "Assign" in op.type]
    earlier = set(graph.predecessors(reads))
    return [(op, reads) for op in increments if reads and op not in earlier]


def _moment_before(updates: Updates, train_op: tf.Operation) -> list[tf.Tensor]:
    """The tensors to wait for so that all gradients are computed and nothing is updated yet."""
    ops = [o for _, found in updates for o in found]
    inputs = [t for o in ops for t in o.inputs if t.dtype == t.dtype.base_dtype != tf.resource]
    if set(ops) & set(graph.predecessors([t.op for t in inputs])):
        raise UnsupportedUpdateError(
            "updates behind %s wait for one another, so there is no moment before all of them: use order='after'"
            % train_op.name
        )
    return inputs


def _by_learning_rate(updates: Updates, rules: Rules) -> list[tuple[tf.Tensor | None, Updates]]:
    """[(learning rate or None, updates that use it)]; one group unless the scale is the learning rate."""
    if not isinstance(rules.scale, str):  # LEARNING_RATE is the only word
        return [(None, updates)]
    groups: dict[str | None, tuple[tf.Tensor | None, Updates]] = {}
    for variable, ops in updates:
        rate = learning_rate_input(ops[0])
        groups.setdefault(None if rate is None else rate.name, (rate, []))[1].append((variable, ops))
    return list(groups.values())


def _refuse_coupled(updates: Updates, decaying: set[str]) -> None:
    scalars = Scalars()
    holders = {graph.variable_op(variable): ops for variable, ops in updates}
    behind = [
        (holder, tensor)
        for holder, ops in holders.items()
        if holder.name in decaying
        for op in ops
        for tensor in rests(op, holder, scalars)
    ]
    coupled = [holder.name for holder, tensor in behind if holds_l2(tensor, holder)]
    if behind and not coupled:  # in other words, which the loss tells
        found = FoundCalls(behind[0][1].graph, behind, through_scatters=True)
        coupled = [holder.name for holder, tensor in behind if found.l2_behind(holder, tensor)]
    if coupled:
        raise CoupledPenaltyError(
            "the gradient behind this train_op holds L2 of %s, and a decay would come on top of it. Where minimize or "
            "apply_gradients of tf.train makes the update, put tf1_wd.decoupled_weight_decay around the code that "
            "computes the gradients and calls it, which takes L2 out; of an imported graph that is the program that "
            "wrote it. Elsewhere leave the L2 out of the loss, and pass rates= to attach; or exclude the variable"
            % ", ".join(dict.fromkeys(coupled)),
            variable=coupled[0],
        )
