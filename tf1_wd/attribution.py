"""Which tf.gradients call an applied gradient comes from, and what the program multiplied it by on the way."""

from __future__ import annotations

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.coefficients import undelayed
from tf1_wd.differentiation import tensors_of
from tf1_wd.errors import AmbiguousRateError, UnsupportedUpdateError


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
            pending.extend(tensor.op.inputs)
    return list(found.values())


def loss_rate(gradient, variable, name, behind, calls):
    """The rate that the loss gives a variable in an update, or None.

    It is the rate of the one call behind the gradient, times the scalars by which the program multiplied the gradient
    (a loss scale, a learning-rate multiplier). Clipping is no such factor: decay is never clipped.

    behind: what `calls_behind` found. calls: all GradientCalls of the scope.
    Raises AmbiguousRateError, UnsupportedUpdateError.
    """
    op = graph.variable_op(variable)
    if gradient is not None and not behind:
        accumulated = _accumulated(gradient, [call for call in calls if op in call.derivatives], op)
        if not accumulated:
            raise UnsupportedUpdateError(
                "the gradient of %s was not computed by tf.gradients inside the scope, so it is not known whether it "
                "holds L2: move compute_gradients or tf.gradients inside, or pass rates= if it holds none" % name
            )
        if any(op in call.rates for call in accumulated):
            raise AmbiguousRateError(
                "the gradient of %s goes through variables (accumulation); what its penalty's coefficient becomes on "
                "the way is not known. Pass the net rate of an update as rates=" % name
            )
        return None
    with_rate = [call for call in behind if op in call.rates]
    if len(behind) > 1 and with_rate:
        raise AmbiguousRateError(
            "%d tf.gradients calls with penalties on %s go into one update; how their rates add up depends on how the "
            "gradients are combined. Pass the net rate of a step as rates=; if one of them is a pasted second step for "
            "the penalties, remove it" % (len(behind), name)
        )
    if not with_rate:
        return None
    rate = with_rate[0].rates[op]
    if gradient is None or not with_rate[0].derivatives[op]:
        return rate
    for scalar, divides in _scalars_between(tensors_of(gradient)[0], with_rate[0].derivatives[op][0]):
        value = _tf.constant_value(scalar)
        value = scalar if value is None else float(value.reshape(()))
        with undelayed(scalar):
            if not isinstance(rate, float) and not isinstance(value, float):
                value = tf.cast(value, rate.dtype)
            rate = rate / value if divides else rate * value
    return rate


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


def _scalars_between(applied, raw):
    """[(scalar, True if it divides)] on the way from a raw gradient to the applied one, clipping left out."""
    ops = graph.ancestors([applied], stop=frozenset([raw.op]))
    dependent = {raw.op} | set(graph.between([raw.op], ops))
    found, tensor = [], applied
    while tensor.op is not raw.op:
        inputs = [t for t in tensor.op.inputs if t.op in dependent]
        others = [t for t in tensor.op.inputs if t.op not in dependent]
        if tensor.op.type in ("Mul", "RealDiv") and len(others) == 1 and _is_scalar(others[0]):
            if tensor.op.type == "Mul" or others[0] is tensor.op.inputs[1]:
                found.append((others[0], tensor.op.type == "RealDiv"))
        elif tensor.op.type == "RealDiv" and inputs[0].op.type == "Mul":
            inputs = _without_clip(inputs[0], dependent)  # tf.clip_by_norm: g * clip / max(norm, clip)
        tensor = next((t for t in inputs if not _is_scalar(t)), inputs[0])
    return found


def _without_clip(product, dependent):
    inputs = [t for t in product.op.inputs if t.op in dependent]
    return inputs if len(inputs) == 1 else [product]


def _is_scalar(tensor):
    return tensor.shape.num_elements() == 1


def _key(tensor):
    return tensor.op, tensor.value_index
