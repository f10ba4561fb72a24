"""L2 in the gradient, from the same plan as a decay of the weights: gradient + rate * w."""

from __future__ import annotations

from dataclasses import replace

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.attachment import refuse_eager
from tf1_wd.errors import InvalidOptionError, InvalidRateError, NoMatchError, NothingToDecayError
from tf1_wd.native.reference import name_of as name_now
from tf1_wd.plan import DecayPlan, Trained, decide
from tf1_wd.render import some
from tf1_wd.replay import term_steps
from tf1_wd.rules import COUPLED, LAZY, LEARNING_RATE, TOUCHED_ROWS, check_matches, make_rules
from tf1_wd.sparse import gather, rows_once
from tf1_wd.step import on_device
from tf1_wd.update import name_of


def plan_decay(variables, rates, include=None, exclude=None, multipliers=None):
    """Decides which variables decay at which rate, outside of any scope.

        rate of a variable = first of `rates` that matches * first of `multipliers` that matches

    Args:
      variables: list of tf.Variable.
      rates, include, exclude, multipliers: as for decoupled_weight_decay.

    Returns: a DecayPlan, for add_decay_to_gradients; plan.decaying has the variable and the rate of each that decays.

    Raises: InvalidOptionError, InvalidRateError, NoMatchError; NothingToDecayError if no variable decays.

    Example:
      >>> plan = tf1_wd.plan_decay(tf.trainable_variables(), 1e-4, exclude=tf1_wd.bias_and_norm)
      >>> print(plan)

    Source: the options of decoupled_weight_decay.
    """
    rules = make_rules(rates=rates, include=include, exclude=exclude, multipliers=multipliers)
    trained = [Trained(i, v, name_now(v), tuple(v.shape.as_list()), True) for i, v in enumerate(variables)]
    check_matches(rules, [(t.variable, t.name) for t in trained])
    plan = DecayPlan(tuple(decide(trained, rules, {}, {})), (), COUPLED)
    if not plan.decaying:
        raise NothingToDecayError("none of %d variables decays: pass rates=. Per variable:\n%s" % (len(trained), plan))
    return plan


def add_decay_to_gradients(grads_and_vars, plan, scale=1.0):
    """Puts L2 into gradients, as a penalty in the loss does: for every variable that decays by the plan,

        gradient <- gradient + (rate * scale) * w

    Args:
      grads_and_vars: list of (gradient or None, tf.Variable), as of compute_gradients. None counts as zeros. A sparse
        gradient (tf.IndexedSlices) becomes a dense one, unless the plan says that only touched rows decay.
      plan: DecayPlan, of plan_decay or of a scope. It may come from another graph: variables are found by name.
      scale: multiplies every rate: a float or a scalar Tensor. The plan's own scale does not count here: the optimizer
        multiplies what is in the gradient by the learning rate.

    Returns: a list of (gradient, variable), for apply_gradients. Half types are computed in float32.

    Raises: NoMatchError if the plan does not know a variable; NothingToDecayError if none of the variables decays;
      InvalidRateError for a rate that only the run of another graph knows; InvalidOptionError for a plan with
      sparse="lazy"; EagerModeError.

    Example:
      >>> plan = tf1_wd.plan_decay(tf.trainable_variables(), 1e-4, exclude=tf1_wd.bias_and_norm)
      >>> pairs = tf1_wd.add_decay_to_gradients(optimizer.compute_gradients(loss), plan)
      >>> train_op = optimizer.apply_gradients(pairs)

    Source: Loshchilov and Hutter (ICLR 2019), Algorithm 1, line 6; Chainer's WeightDecay hook.
    """
    return _changed(grads_and_vars, plan, scale, 1.0)


def remove_decay_from_gradients(grads_and_vars, plan, scale=1.0):
    """Takes L2 out of gradients again: for every variable that decays by the plan,

        gradient <- gradient - (rate * scale) * w

    For a loss that holds L2, before gradients are clipped. The result is that of a loss without L2 up to rounding;
    decoupled_weight_decay, which computes gradients without L2 from the start, is exact.

    Args, Returns, Raises: as for add_decay_to_gradients; InvalidOptionError if a variable that decays has no gradient.

    Example:
      >>> pairs = tf1_wd.remove_decay_from_gradients(optimizer.compute_gradients(loss_with_l2), plan)

    Source: the inverse of add_decay_to_gradients.
    """
    refuse_eager()
    pairs = list(grads_and_vars)
    decaying = {d.name for d in plan.decaying}
    for gradient, variable in pairs:
        if gradient is None and name_of(variable) in decaying:
            raise InvalidOptionError(
                "%s has no gradient, so there is no L2 in it: leave it out of the plan" % name_of(variable)
            )
    return _changed(pairs, plan, scale, -1.0)


def coupled_rules(**options):
    """Rules of coupled_weight_decay, from the options of decoupled_weight_decay."""
    rules = make_rules(**options)
    if rules.sparse == LAZY:
        raise InvalidOptionError("sparse='lazy' is a decay of weights: in a gradient, use 'all_rows' or 'touched_rows'")
    # Every optimizer multiplies the gradient by its learning rate.
    scale = 1.0 if isinstance(rules.scale, str) and rules.scale == LEARNING_RATE else rules.scale
    return replace(rules, order=COUPLED, scale=scale)


def couple(update, pairs, scale):
    """The pairs of an update.Update with its decays, and its terms that are not L2, in the gradients."""
    reads = [w for ops in update.reads.values() for op in ops for w in _tf.awaited(op)]
    decays = {graph.variable_op(d.variable): (d, 1.0) for d in update.decays}
    with tf.control_dependencies(reads):  # a loss fetched in the same run has the penalties of the old weights
        amounts = {}
        for term in update.replayed:
            for variable, amount in term_steps(term, update.movable, scale):
                amounts.setdefault(graph.variable_op(variable), []).append(amount)
        pairs = [(_plus(_waiting(g), amounts.pop(graph.variable_op(v), [])), v) for g, v in pairs]
        return [(_coupled(g, v, *decays.pop(graph.variable_op(v), (None, 0.0)), scale), v) for g, v in pairs]


def _waiting(gradient):
    """The gradient behind the control dependencies in force, also of a variable that does not decay."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(tf.identity(gradient.values), gradient.indices, gradient.dense_shape)
    return None if gradient is None else tf.identity(gradient)


def _plus(gradient, amounts):
    return tf.add_n([tf.convert_to_tensor(gradient), *amounts]) if amounts else gradient


def _changed(grads_and_vars, plan, scale, sign):
    refuse_eager()
    pairs, decays = list(grads_and_vars), {d.name: d for d in plan.decays}
    names = [name_of(variable) for _, variable in pairs]
    unknown = [name for name in names if name not in decays]
    if unknown:
        raise NoMatchError("the plan says nothing of %s; it knows %s" % (some(unknown), some(list(decays))))
    if all(decays[name].rate is None for name in names):
        raise NothingToDecayError("none of these %d variables decays by the plan:\n%s" % (len(names), plan))
    for d in (decays[name] for name in names):
        if d.rows == LAZY:
            raise InvalidOptionError(
                "%s decays lazily, which a gradient cannot: make the plan without sparse=" % d.name
            )
        if tf.is_tensor(d.rate) and d.rate.graph is not tf.get_default_graph():
            raise InvalidRateError("the rate of %s is known at the run of another graph only: pass rates=" % d.name)
    # listed twice, it still gets its decay once
    return [(_coupled(g, v, decays.pop(name, None), sign, scale), v) for (g, v), name in zip(pairs, names)]


def _coupled(gradient, variable, d, sign, scale):
    """gradient + sign * rate * scale * w for the variable of one Decay; the gradient as it is without a rate."""
    if d is None or d.rate is None:
        return gradient
    dtype = variable.dtype.base_dtype
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    with on_device(variable.device):
        factor = sign * _number(d.rate, wide) * _number(scale, wide)
        if isinstance(gradient, tf.IndexedSlices) and d.rows == TOUCHED_ROWS:
            rows = rows_once((gradient.indices,))
            more = tf.cast(factor * tf.cast(gather(variable, rows), wide), gradient.values.dtype)
            values = tf.concat([gradient.values, more], 0)
            indices = tf.concat([gradient.indices, tf.cast(rows, gradient.indices.dtype)], 0)
            return tf.IndexedSlices(values, indices, gradient.dense_shape)
        weights = tf.cast(_tf.fresh_read(variable), wide)
        if gradient is None:
            return tf.cast(factor * weights, dtype)
        if isinstance(gradient, tf.IndexedSlices):
            values = tf.cast(gradient.values, wide)
            dense = tf.math.unsorted_segment_sum(values, gradient.indices, tf.shape(weights)[0])
            return tf.cast(tf.reshape(dense, tf.shape(weights)) + factor * weights, dtype)
        gradient = tf.convert_to_tensor(gradient)
        return tf.cast(tf.cast(gradient, wide) + factor * weights, gradient.dtype)


def _number(value, dtype):
    return tf.constant(value, dtype) if isinstance(value, (int, float)) else tf.cast(value, dtype)
