"""Which tf.gradients calls an applied gradient comes from, and what the program multiplied it by on the way."""

from __future__ import annotations

from typing import Callable, Mapping, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.scope.gradient_factors import factors_of
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.errors import AmbiguousRateError, CoupledPenaltyError, UnsupportedUpdateError
from tf1_wd.graph.assignments import origin
from tf1_wd.graph.gradients import Gradient, Pairs, Scalar, tensors_of
from tf1_wd.graph.op_types import JOINS, PRODUCTS, REDUCTIONS, RESHAPES, SUMS
from tf1_wd.graph.variables import checkpoint_name, size_of
from tf1_wd.penalties.added_by_hand import marked_in
from tf1_wd.penalties.coefficients import undelayed
from tf1_wd.penalties.gradient_call import GradientCall, Key
from tf1_wd.penalties.in_gradients import holds_l2, l2_in
from tf1_wd.plan.decisions import Decay
from tf1_wd.plan.options import Rules, given_rate, selected


def calls_behind(gradient: Gradient, variable: tf.Variable, upstream: Upstream) -> list[GradientCall]:
    """The calls of tf.gradients whose derivative by `variable` goes into `gradient`.

    gradient: None stands for all that differentiated by the variable. upstream: of all calls of the scope.
    """
    op = graph.variable_op(variable)
    if gradient is None:
        return [call for call in upstream.calls if op in call.derivatives]
    raw = upstream.behind(tensors_of(gradient)).raw
    reached = [(call, graph.key(t)) for call in upstream.calls for t in call.derivatives.get(op, ())]
    found = {id(call): call for call, key in reached if key in raw and _call_of(key, upstream.calls) is call}
    return list(found.values())


def _call_of(key: Key, calls: Sequence[GradientCall]) -> GradientCall:
    """The last of the calls that returned the tensor with this key."""
    return next(call for call in reversed(calls) if key in call.raw)


def loss_rates(
    pairs: Pairs, behind: dict[int, list[GradientCall]], rules: Rules, upstream: Upstream
) -> dict[tf.Operation, Scalar]:
    """{op of a variable: the rate that the loss gives it} in one update.

    behind: {id of a variable: what `calls_behind` found}. upstream: of all calls of the scope. Makes a gradient wait
    for a rate that is known at run time only.
    Raises AmbiguousRateError, CoupledPenaltyError, UnsupportedUpdateError.
    """
    found = {}
    raw = {t.op for call in upstream.calls for tensors in call.derivatives.values() for t in tensors}
    for gradient, variable in pairs:
        op, name = graph.variable_op(variable), checkpoint_name(variable)
        if not selected(rules, variable, name):
            continue
        if any(op in call.gated for call in behind[id(variable)]):
            raise UnsupportedUpdateError(
                "L2 of %s is computed inside a cond or a loop, where it cannot be told when it counts: move the "
                "penalty outside, or exclude the variable" % name
            )
        if gradient is not None and behind[id(variable)]:
            refuse_l2_of_program(gradient, op, name, raw)
        if given_rate(rules, variable, name)[0] is None and rules.source != "collection":
            rate = net_rate(gradient, variable, name, behind[id(variable)], upstream)
            read_in_time(rate, gradient)
        else:
            if gradient is not None and not behind[id(variable)]:
                refuse_l2_from_outside(gradient, op, name)
            rate = next((call.rates[op] for call in behind[id(variable)] if op in call.rates), None)
        if rate is not None:
            found[op] = rate
    return found


def net_rate(
    gradient: Gradient, variable: tf.Variable, name: str, behind: list[GradientCall], upstream: Upstream
) -> Scalar | None:
    """The rate that the loss gives a variable in an update, or None.

    It is the sum over the calls behind the gradient of their rates, each times the scalars by which the program
    multiplied that call's result: a loss scale, a learning-rate multiplier, the average over towers; see multipliers.

    behind: what `calls_behind` found. Raises AmbiguousRateError, CoupledPenaltyError, UnsupportedUpdateError.
    """
    return net_coefficient(gradient, variable, name, behind, upstream, lambda call: call.rates)


def net_coefficient(
    gradient: Gradient,
    variable: tf.Variable,
    name: str,
    behind: list[GradientCall],
    upstream: Upstream,
    rates_of: Callable[[GradientCall], Mapping[tf.Operation, Scalar]],
) -> Scalar | None:
    """As `net_rate`. rates_of: function from a call to {op of a variable: what is to be summed up}."""
    op = graph.variable_op(variable)
    if gradient is not None:
        _refuse_other_copies(gradient, op, upstream.calls, has_own=bool(behind))
        _refuse_accumulated(gradient, upstream.of(behind or upstream.calls), op, name)
    if gradient is not None and not behind:
        behind = _foreign(gradient, op, name, upstream.calls)
    if not any(op in rates_of(call) for call in behind):
        return None
    if gradient is None and not all(call.derivatives[op] for call in behind):
        return None  # it is None because another loss, of another optimizer say, does not reach the variable
    if gradient is None or not any(op in rates_of(call) and call.derivatives[op] for call in behind):
        if len(behind) > 1:
            raise AmbiguousRateError(
                "%d tf.gradients calls of the scope may give %s its rate, and no gradient in the update tells which. "
                "Pass the net rate of an update as rates=" % (len(behind), name),
                variable=name,
            )
        return rates_of(behind[0])[op]
    reached = [call for call in behind if call.derivatives[op]]
    factors = factors_of(
        tensors_of(gradient)[0],
        [call.derivatives[op][0] for call in reached],
        op,
        upstream,
        is_sparse=isinstance(gradient, tf.IndexedSlices),
    )
    return _combined([(rates_of(call)[op], factor) for call, factor in zip(reached, factors) if op in rates_of(call)])


def read_in_time(rate: Scalar | None, gradient: Gradient) -> None:
    """Makes the gradient wait for a rate known at run time: the update may overwrite what the rate is computed from.

    A loss scale in a reference variable, say, is doubled when all gradients are finite.
    """
    if gradient is None or not tf.is_tensor(rate):
        return
    tensor_of_rate: tf.Tensor = rate
    behind = set(graph.ancestors([tensor_of_rate], inputs=graph.sources))
    for op in {tensor.op for tensor in tensors_of(gradient)} - behind:
        maker = tensor_of_rate.op
        if op.graph is maker.graph and _tf.control_flow_context(op) is _tf.control_flow_context(maker):
            _tf.add_control_inputs(op, [maker])


def _combined(parts: list[tuple[Scalar, Scalar]]) -> Scalar:
    """The sum of rate * factor; each a float or a scalar tensor."""
    tensors: list[tf.Tensor] = [x for part in parts for x in part if tf.is_tensor(x)]
    if not tensors:
        return sum(rate * factor for rate, factor in parts)
    with undelayed(tensors[0]):
        return tf.add_n([tf.cast(rate, tensors[0].dtype) * tf.cast(factor, tensors[0].dtype) for rate, factor in parts])


def _foreign(gradient: Gradient, op: tf.Operation, name: str, calls: Sequence[GradientCall]) -> list[GradientCall]:
    """The calls that tell the rate of a variable whose gradient comes from none of them directly."""
    found = [call for call in calls if op in call.derivatives]
    refuse_l2_from_outside(gradient, op, name)
    if any(op in call.freed and call.derivatives[op] for call in found):
        raise UnsupportedUpdateError.of_gradient(
            name,
            "was not computed by tf.gradients inside the scope%s, though the loss has L2 of it: move compute_gradients "
            "or tf.gradients inside, or pass rates= if the gradient holds none" % origin(tensors_of(gradient), op),
        )
    return found  # zeros in place of None, or a gradient made by hand


def refuse_l2_from_outside(gradient: Gradient, op: tf.Operation, name: str) -> None:
    """Raises CoupledPenaltyError for a gradient that no call of the scope computed, if it holds L2 of the variable."""
    if holds_l2(tensors_of(gradient)[0], op):
        raise CoupledPenaltyError.of_gradient(
            name,
            "was computed outside of the scope and holds L2, so a decay would come on top of it: move "
            "compute_gradients or tf.gradients inside",
        )


def refuse_l2_of_program(gradient: Gradient, op: tf.Operation, name: str, raw: set[tf.Operation]) -> None:
    """Raises CoupledPenaltyError if L2 of the variable was added to what calls of the scope returned for it.

    What tf1_wd itself added is another matter: see added_by_hand. raw: the ops of what the calls returned.
    """
    if tensors_of(gradient)[0].op in raw:
        return
    marks = marked_in(op)
    known = raw.union(*marks) if any(marks) else raw
    added = next((o for o in l2_in(tensors_of(gradient)[0], op, known) if o not in known), None)
    if added is not None:
        raise CoupledPenaltyError.of_gradient(
            name,
            "holds L2 that the program adds to it by itself (%s), so a decay would come on top of it: leave that out "
            "and pass rates= in its place, or exclude the variable" % added.name,
        )


def refuse_unseen(pairs: Pairs, decays: list[Decay], rules: Rules, calls: Sequence[GradientCall]) -> None:
    """Raises UnsupportedUpdateError for a decay by the loss's rate whose gradient no call of the scope computed."""
    gradients = {id(v): tensors_of(g) for g, v in pairs}
    seen = {op for call in calls for op in call.derivatives}
    for d in decays:
        op = graph.variable_op(d.variable)
        if op not in seen and given_rate(rules, d.variable, d.name)[0] is None:
            raise UnsupportedUpdateError.of_gradient(
                d.name,
                "was not computed by tf.gradients inside the scope%s, so it is not known whether it holds L2: move "
                "compute_gradients or tf.gradients inside, or pass rates= if it holds none"
                % origin(gradients.get(id(d.variable), []), op),
            )


def refuse_gradient_of_gradient(call: GradientCall, earlier_calls: Sequence[GradientCall]) -> None:
    """Raises UnsupportedUpdateError if a gradient without its penalties goes into what `call` differentiates."""
    inside = set(call.ops)
    for earlier in earlier_calls:
        for op, tensors in earlier.derivatives.items():
            if op in earlier.freed and any(t.op in inside for t in tensors):
                raise UnsupportedUpdateError(
                    "a gradient by %s, from which the penalties were taken out, goes into another loss of this "
                    "scope (as in MAML): compute that gradient before the scope" % op.name
                )


# ops that combine gradients of one shape
_COMBINE = SUMS.union(REDUCTIONS, PRODUCTS, JOINS, RESHAPES) | {"Identity", "Cast"}


def _refuse_other_copies(
    gradient: Gradient, variable: tf.Operation, calls: Sequence[GradientCall], has_own: bool
) -> None:
    """Raises AmbiguousRateError if gradients by other variables, with L2 of these, are parts of the gradient.

    So it is where every tower has variables of its own: how far their L2 was one of this variable is not known.
    """
    seen, pending = set(), tensors_of(gradient)[:1]
    while pending and any(call.freed for call in calls):
        tensor = pending.pop()
        other = _other_copy(tensor, variable, calls)
        if other is not None:
            raise AmbiguousRateError.of_gradient(
                variable.name,
                "is made of gradients of %s%s, with L2 of that (a worker's or tower's own copy, say), so its net rate "
                "is not known. Pass it as rates={%r: ...}" % (other.name, " too" if has_own else "", variable.name),
            )
        if tensor.op not in seen and tensor.op.type in _COMBINE:
            seen.add(tensor.op)
            pending.extend(t for t in tensor.op.inputs if t.shape.num_elements() != 1)


def _other_copy(tensor: tf.Tensor, variable: tf.Operation, calls: Sequence[GradientCall]) -> tf.Operation | None:
    """The variable of the same shape that `tensor` is the gradient by, if it has L2; else None."""
    key, shape = graph.key(tensor), variable.get_attr("shape")
    for call in calls:
        others = call.raw.get(key, ())
        if variable in others:
            continue
        for op in others:
            if op in call.freed and graph.key(call.derivatives[op][0]) == key and op.get_attr("shape") == shape:
                return op
    return None


def _refuse_accumulated(gradient: Gradient, upstream: Upstream, variable: tf.Operation, name: str) -> None:
    """Raises AmbiguousRateError if the gradient reads variables to which a gradient with L2 is assigned."""
    with_rate = [call for call in upstream.calls if variable in call.freed and call.derivatives.get(variable)]
    raw = {tensor.op: call for call in with_rate for tensor in call.derivatives[variable]}
    holders = upstream.behind(tensors_of(gradient)).variables
    assigned = [
        tensor
        for holder in holders
        if size_of(holder) != 1 or size_of(variable) == 1  # not a loss scale
        for consumer in holder.outputs[0].consumers()
        if "Assign" in consumer.type
        for tensor in list(consumer.inputs)[1:]
    ]
    behind = graph.ancestors(assigned, inputs=lambda op: [t for t in op.inputs if t.dtype.base_dtype.is_floating])
    rates = [raw[op].rates.get(variable) for op in behind if op in raw]
    if rates:
        raise AmbiguousRateError.of_gradient(
            name,
            "goes through variables (accumulation), so its net rate depends on how many gradients go into an update. "
            "Pass it as rates=: where they are averaged, the rate that each of them has%s; where they are added up, as "
            "many times that" % (" (%g)" % rates[0] if isinstance(rates[0], float) else ""),
        )
