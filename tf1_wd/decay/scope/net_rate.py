"""Which tf.gradients calls an applied gradient comes from, and what the program multiplied it by on the way."""

from __future__ import annotations

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.scope.gradient_factors import multipliers
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.errors import AmbiguousRateError, CoupledPenaltyError, UnsupportedUpdateError
from tf1_wd.graph.assignments import origin
from tf1_wd.graph.gradients import tensors_of
from tf1_wd.graph.op_types import JOINS, PRODUCTS, REDUCTIONS, RESHAPES, SUMS
from tf1_wd.penalties.coefficients import undelayed
from tf1_wd.penalties.in_gradients import holds_l2
from tf1_wd.plan.options import given_rate


def calls_behind(gradient, variable, calls):
    """The members of `calls` (GradientCall) whose derivative by `variable` goes into `gradient`.

    gradient: tf.Tensor or tf.IndexedSlices; None stands for all that differentiated by the variable.
    """
    op = graph.variable_op(variable)
    if gradient is None:
        return [call for call in calls if op in call.derivatives]
    raw = _upstream(calls).behind(tensors_of(gradient)).raw
    reached = [(call, graph.key(t)) for call in calls for t in call.derivatives.get(op, ())]
    found = {id(call): call for call, key in reached if key in raw and _call_of(key, calls) is call}
    return list(found.values())


def _call_of(key, calls):
    """The last of the calls that returned the tensor with this key."""
    return next(call for call in reversed(calls) if key in call.raw)


def _upstream(calls):
    """The Upstream of some GradientCalls, which keep it."""
    if not calls:
        return Upstream(lambda key: False)
    key = tuple(map(id, calls))
    if key not in calls[-1].upstream:
        members = list(calls)
        calls[-1].upstream[key] = Upstream(lambda key: any(key in call.raw for call in members))
    return calls[-1].upstream[key]


def loss_rate(gradient, variable, name, behind, calls):
    """As `net_rate`; and lets the gradient wait for a rate that is known at run time only."""
    rate = net_rate(gradient, variable, name, behind, calls)
    if gradient is not None:
        _read_in_time(rate, gradient)
    return rate


def net_rate(gradient, variable, name, behind, calls):
    """The rate that the loss gives a variable in an update, or None.

    It is the sum over the calls behind the gradient of their rates, each times the scalars by which the program
    multiplied that call's result: a loss scale, a learning-rate multiplier, the average over towers; see multipliers.

    behind: what `calls_behind` found. calls: all GradientCalls of the scope.
    Raises AmbiguousRateError, CoupledPenaltyError, UnsupportedUpdateError.
    """
    op = graph.variable_op(variable)
    if gradient is not None:
        _refuse_other_copies(gradient, op, calls)
        _refuse_accumulated(gradient, behind or calls, op, name)
    if gradient is not None and not behind:
        behind = _foreign(gradient, op, name, calls)
    if not any(op in call.rates for call in behind):
        return None
    if gradient is None and not all(call.derivatives[op] for call in behind):
        return None  # it is None because another loss, of another optimizer say, does not reach the variable
    if gradient is None or not any(op in call.rates and call.derivatives[op] for call in behind):
        if len(behind) > 1:
            raise AmbiguousRateError(
                "%d tf.gradients calls of the scope may give %s its rate, and no gradient in the update tells which. "
                "Pass the net rate of an update as rates=" % (len(behind), name)
            )
        return behind[0].rates[op]
    reached = [call for call in behind if call.derivatives[op]]
    factors = multipliers(
        tensors_of(gradient)[0],
        [call.derivatives[op][0] for call in reached],
        op,
        _upstream(calls),
        is_sparse=isinstance(gradient, tf.IndexedSlices),
    )
    return _combined([(call.rates[op], factor) for call, factor in zip(reached, factors) if op in call.rates])


def _read_in_time(rate, gradient):
    """Lets the gradient wait for a rate known at run time; what depends on the gradient may change where it comes from.

    A loss scale in a reference variable, say, that is doubled when all gradients are finite.
    """
    if not tf.is_tensor(rate):
        return
    behind = set(graph.ancestors([rate], inputs=graph.sources))
    for op in {tensor.op for tensor in tensors_of(gradient)} - behind:
        if op.graph is rate.graph and _tf.control_flow_context(op) is _tf.control_flow_context(rate.op):
            _tf.add_control_inputs(op, [rate.op])


def _combined(parts):
    """The sum of rate * factor; each a float or a scalar tensor."""
    tensors = [x for part in parts for x in part if tf.is_tensor(x)]
    if not tensors:
        return sum(rate * factor for rate, factor in parts)
    with undelayed(tensors[0]):
        return tf.add_n([tf.cast(rate, tensors[0].dtype) * tf.cast(factor, tensors[0].dtype) for rate, factor in parts])


def _foreign(gradient, op, name, calls):
    """The calls that tell the rate of a variable whose gradient comes from none of them directly."""
    calls = [call for call in calls if op in call.derivatives]
    refuse_l2_from_outside(gradient, op, name)
    if any(op in call.rates and call.derivatives[op] for call in calls):
        raise UnsupportedUpdateError(
            "the gradient of %s was not computed by tf.gradients inside the scope%s, though the loss has L2 of it: "
            "move compute_gradients or tf.gradients inside, or pass rates= if the gradient holds none"
            % (name, origin(tensors_of(gradient), op))
        )
    return calls  # zeros in place of None, or a gradient made by hand


def refuse_l2_from_outside(gradient, op, name):
    """Raises CoupledPenaltyError for a gradient that no call of the scope computed, if it holds L2 of the variable."""
    if holds_l2(tensors_of(gradient)[0], op):
        raise CoupledPenaltyError(
            "the gradient of %s was computed outside of the scope and holds L2, so a decay would come on top of it: "
            "move compute_gradients or tf.gradients inside" % name
        )


def refuse_unseen(pairs, decays, rules, calls):
    """Raises UnsupportedUpdateError for a decay by the loss's rate whose gradient no call of the scope computed.

    pairs: list of (gradient, variable) of an update. decays: its plan.Decays. rules: Rules, whose rates vouch.
    """
    gradients = {id(v): tensors_of(g) for g, v in pairs}
    seen = {op for call in calls for op in call.derivatives}
    for d in decays:
        op = graph.variable_op(d.variable)
        if op not in seen and given_rate(rules, d.variable, d.name)[0] is None:
            raise UnsupportedUpdateError(
                "the gradient of %s was not computed by tf.gradients inside the scope%s, so it is not known whether it "
                "holds L2: move compute_gradients or tf.gradients inside, or pass rates= if it holds none"
                % (d.name, origin(gradients.get(id(d.variable), []), op))
            )


def refuse_gradient_of_gradient(call, earlier_calls):
    """Raises UnsupportedUpdateError if a gradient without its penalties goes into what `call` differentiates."""
    inside = set(call.ops)
    for earlier in earlier_calls:
        for op, tensors in earlier.derivatives.items():
            if op in earlier.rates and any(t.op in inside for t in tensors):
                raise UnsupportedUpdateError(
                    "a gradient by %s, from which the penalties were taken out, goes into another loss of this "
                    "scope (as in MAML): compute that gradient before the scope" % op.name
                )


# ops that combine gradients of one shape
_COMBINE = SUMS.union(REDUCTIONS, PRODUCTS, JOINS, RESHAPES) | {"Identity", "Cast"}


def _refuse_other_copies(gradient, variable, calls):
    """Raises AmbiguousRateError if gradients by other variables, with L2 of these, are parts of the gradient.

    So it is where every tower has variables of its own: how far their L2 was one of this variable is not known.
    """
    seen, pending = set(), tensors_of(gradient)[:1]
    while pending and any(call.rates for call in calls):
        tensor = pending.pop()
        other = _other_copy(tensor, variable, calls)
        if other is not None:
            raise AmbiguousRateError(
                "the gradient of %s is made of gradients of %s too, with L2 of that (variables of each tower's own, "
                "say), so its net rate is not known. Pass it as rates=" % (variable.name, other.name)
            )
        if tensor.op not in seen and tensor.op.type in _COMBINE:
            seen.add(tensor.op)
            pending.extend(t for t in tensor.op.inputs if t.shape.num_elements() != 1)


def _other_copy(tensor, variable, calls):
    """The variable of the same shape that `tensor` is the gradient by, if it has L2; else None."""
    key, shape = graph.key(tensor), variable.get_attr("shape")
    for call in calls:
        others = call.raw.get(key, ())
        if variable in others:
            continue
        for op in others:
            if op in call.rates and graph.key(call.derivatives[op][0]) == key and op.get_attr("shape") == shape:
                return op
    return None


def _refuse_accumulated(gradient, calls, variable, name):
    """Raises AmbiguousRateError if the gradient reads variables to which a gradient with L2 is assigned."""
    with_rate = [call for call in calls if variable in call.rates and call.derivatives.get(variable)]
    raw = {tensor.op: call for call in with_rate for tensor in call.derivatives[variable]}
    holders = _upstream(calls).behind(tensors_of(gradient)).variables
    assigned = [
        tensor
        for holder in holders
        if _size(holder) != 1 or _size(variable) == 1  # not a loss scale
        for consumer in holder.outputs[0].consumers()
        if "Assign" in consumer.type
        for tensor in list(consumer.inputs)[1:]
    ]
    behind = graph.ancestors(assigned, inputs=lambda op: [t for t in op.inputs if t.dtype.base_dtype.is_floating])
    rates = [raw[op].rates[variable] for op in behind if op in raw]
    if rates:
        raise AmbiguousRateError(
            "the gradient of %s goes through variables (accumulation), so its net rate depends on how many gradients "
            "go into an update. Pass it as rates=: where they are averaged, the rate that each of them has%s; where "
            "they are added up, as many times that" % (name, " (%g)" % rates[0] if isinstance(rates[0], float) else "")
        )


def _size(variable):
    return tf.TensorShape(variable.get_attr("shape")).num_elements()
