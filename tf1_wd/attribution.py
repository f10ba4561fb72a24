"""Which tf.gradients call an applied gradient comes from, and what the program multiplied it by on the way."""

from __future__ import annotations

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.applied import holds_l2
from tf1_wd.coefficients import undelayed
from tf1_wd.differentiation import tensors_of
from tf1_wd.errors import AmbiguousRateError, CoupledPenaltyError, UnsupportedUpdateError
from tf1_wd.multipliers import multiplier


def calls_behind(gradient, variable, calls):
    """The members of `calls` (GradientCall) whose derivative by `variable` goes into `gradient`.

    gradient: tf.Tensor or tf.IndexedSlices; None stands for all that differentiated by the variable.
    """
    op = graph.variable_op(variable)
    if gradient is None:
        return [call for call in calls if op in call.derivatives]
    raw = {_key(t): call for call in calls for tensors in call.derivatives.values() for t in tensors}
    found, seen, pending = {}, set(), tensors_of(gradient)
    while pending:
        tensor = pending.pop()
        key = _key(tensor)
        if key in seen:
            continue
        seen.add(key)
        if key in raw:
            if any(_key(t) == key for t in raw[key].derivatives.get(op, ())):
                found[id(raw[key])] = raw[key]
        else:
            pending.extend(_sources(tensor.op))
    return list(found.values())


def _sources(op):
    """The inputs of an op; of a gradient accumulator (SyncReplicasOptimizer), the gradients put into it."""
    if "AccumulatorTakeGradient" not in op.type:
        return list(op.inputs)
    puts = [put for put in op.inputs[0].consumers() if "AccumulatorApplyGradient" in put.type]
    return [tensor for put in puts for tensor in list(put.inputs)[1:]]


def loss_rate(gradient, variable, name, behind, calls):
    """The rate that the loss gives a variable in an update, or None.

    It is the rate of the one call behind the gradient, times the scalars by which the program multiplied the gradient
    (a loss scale, a learning-rate multiplier; see multipliers).

    behind: what `calls_behind` found. calls: all GradientCalls of the scope.
    Raises AmbiguousRateError, CoupledPenaltyError, UnsupportedUpdateError.
    """
    op = graph.variable_op(variable)
    if gradient is not None and not behind:
        behind = _foreign(gradient, op, name, calls)
    with_rate = [call for call in behind if op in call.rates]
    if len(behind) > 1 and with_rate:
        raise AmbiguousRateError(
            "%d tf.gradients calls with penalties on %s go into one update; how their rates add up depends on how the "
            "gradients are combined. Pass the net rate of a step as rates=; if one of them is a pasted second step for "
            "the penalties, remove it" % (len(behind), name)
        )
    if not with_rate:
        return None
    rate, raw = with_rate[0].rates[op], with_rate[0].derivatives[op]
    if gradient is None or not raw:
        return rate
    factor = multiplier(tensors_of(gradient)[0], raw[0], name)
    if isinstance(factor, float):
        return rate * factor
    with undelayed(factor):
        return rate * (factor if isinstance(rate, float) else tf.cast(factor, rate.dtype))


def _foreign(gradient, op, name, calls):
    """The calls that tell the rate of a variable whose gradient comes from none of them directly."""
    calls = [call for call in calls if op in call.derivatives]
    if any(op in call.rates for call in _accumulated(gradient, calls, op)):
        raise AmbiguousRateError(
            "the gradient of %s goes through variables (accumulation); what its penalty's coefficient becomes on the "
            "way is not known. Pass the net rate of an update as rates=" % name
        )
    refuse_l2_from_outside(gradient, op, name)
    if any(op in call.rates and call.derivatives[op] for call in calls):
        raise UnsupportedUpdateError(
            "the gradient of %s was not computed by tf.gradients inside the scope, though the loss has L2 of it: move "
            "compute_gradients or tf.gradients inside, or pass rates= if the gradient holds none" % name
        )
    return calls  # zeros in place of None, or a gradient made by hand


def refuse_l2_from_outside(gradient, op, name):
    """Raises CoupledPenaltyError for a gradient that no call of the scope computed, if it holds L2 of the variable."""
    if holds_l2(tensors_of(gradient)[0], op):
        raise CoupledPenaltyError(
            "the gradient of %s was computed outside of the scope and holds L2, so a decay would come on top of it: "
            "move compute_gradients or tf.gradients inside" % name
        )


def _accumulated(gradient, calls, variable):
    """The members of `calls` whose derivative is assigned to a variable that `gradient` reads."""
    holders = [op for op in graph.ancestors(tensors_of(gradient)) if graph.is_variable(op)]
    assigned = [
        tensor
        for holder in holders
        for consumer in holder.outputs[0].consumers()
        if "Assign" in consumer.type
        for tensor in list(consumer.inputs)[1:]
    ]
    behind = set(graph.ancestors(assigned))
    return [call for call in calls if any(t.op in behind for t in call.derivatives[variable])]


def _key(tensor):
    return tensor.op, tensor.value_index
