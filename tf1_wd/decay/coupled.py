"""L2 in the gradient, from the same plan as a decay of the weights: gradient + rate * w."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.other_terms import term_steps
from tf1_wd.decay.ops.scale import scalar
from tf1_wd.decay.ops.sparse_rows import gather, rows_once
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.decay.ops.weights import fractions_of, on_device
from tf1_wd.decay.refusals import refuse_eager
from tf1_wd.errors import InvalidOptionError, InvalidRateError, NoMatchError, NothingToDecayError
from tf1_wd.graph.gradients import Gradient, Pairs, Scalar
from tf1_wd.graph.variables import checkpoint_name, dims_of
from tf1_wd.native.twin import eager_name
from tf1_wd.penalties import added_by_hand
from tf1_wd.plan.decisions import Decay, DecayPlan, Trained, decide
from tf1_wd.plan.options import COUPLED, LAZY, TOUCHED_ROWS, Rules, check_matches, make_rules_of_l2
from tf1_wd.plan.rates import check_rate
from tf1_wd.plan.scale_option import LEARNING_RATE, check_scale, is_function
from tf1_wd.plan.text_table import some


def plan_decay(
    variables: Any, rates: Any, include: Any = None, exclude: Any = None, multipliers: Any = None
) -> DecayPlan:
    """Decides which variables decay at which rate, outside of any scope.

        rate of a variable = first of `rates` that matches * first of `multipliers` that matches

    Args:
      variables: list of tf.Variable, or one. One that is listed twice counts once, a partitioned one as its parts.
      rates, include, exclude, multipliers: as for decoupled_weight_decay.

    Returns: a DecayPlan, for add_decay_to_gradients; plan.decaying has the variable and the rate of each that decays.

    Raises: InvalidOptionError, InvalidRateError, NoMatchError; NothingToDecayError if no variable decays.

    Example:
      >>> plan = tf1_wd.plan_decay(tf.trainable_variables(), 1e-4, exclude=tf1_wd.bias_and_norm)
      >>> print(plan)

    Source: the options of decoupled_weight_decay.
    """
    rules = make_rules_of_l2(rates=rates, include=include, exclude=exclude, multipliers=multipliers)
    trained = [Trained(i, v, eager_name(v), dims_of(v.shape), True) for i, v in enumerate(_listed(variables))]
    check_matches(rules, [(t.variable, t.name) for t in trained])
    plan = DecayPlan(tuple(decide(trained, rules, {}, {})), (), COUPLED)
    if not plan.decaying:
        raise NothingToDecayError("none of %d variables decays: pass rates=. Per variable:\n%s" % (len(trained), plan))
    return plan


def add_decay_to_gradients(grads_and_vars: Pairs, plan: DecayPlan, scale: Scalar = 1.0) -> list:
    """Puts L2 into gradients, as a penalty in the loss does: for every variable that decays by the plan,

        gradient <- gradient + (rate * scale) * w

    Args:
      grads_and_vars: list of (gradient or None, tf.Variable), as of compute_gradients. None counts as zeros. A sparse
        gradient (tf.IndexedSlices) becomes a dense one, unless the plan says that only touched rows decay.
      plan: DecayPlan, of plan_decay or of a scope. It may come from another graph: variables are found by name.
      scale: multiplies every rate: a float or a scalar Tensor. The plan's own scale does not count here: the optimizer
        multiplies what is in the gradient by the learning rate.

    Returns: a list of (gradient, variable), for apply_gradients. Half types are computed in float32.

    Raises: NoMatchError if the plan does not know a variable; NothingToDecayError if none of the variables decays, or
      if the scale is 0; InvalidRateError for a rate times scale that is not in [0, 1), and for a rate that only the run
      of another graph knows; InvalidOptionError for arguments of another kind and for a plan with sparse="lazy";
      CoupledPenaltyError if a gradient holds L2 of its variable already, of the loss or of an earlier call;
      EagerModeError. At run time InvalidArgumentError, which names the variables, for a rate times scale that is not in
      [0, 1).

    Example:
      >>> plan = tf1_wd.plan_decay(tf.trainable_variables(), 1e-4, exclude=tf1_wd.bias_and_norm)
      >>> pairs = tf1_wd.add_decay_to_gradients(optimizer.compute_gradients(loss), plan)
      >>> train_op = optimizer.apply_gradients(pairs)

    Source: Loshchilov and Hutter (ICLR 2019), Algorithm 1, line 6; Chainer's WeightDecay hook.
    """
    return _changed(grads_and_vars, plan, scale, 1.0, added_by_hand.refuse_second)


def remove_decay_from_gradients(grads_and_vars: Pairs, plan: DecayPlan, scale: Scalar = 1.0) -> list:
    """Takes L2 out of gradients again: for every variable that decays by the plan,

        gradient <- gradient - (rate * scale) * w

    For a loss that holds L2, before gradients are clipped. The result is that of a loss without L2 up to rounding;
    decoupled_weight_decay, which computes gradients without L2 from the start, is exact.

    Args, Returns, Raises: as for add_decay_to_gradients, but for CoupledPenaltyError; InvalidOptionError if a gradient
      holds no L2 of its variable, and a Tf1WdWarning if none is seen in it, of which the weights would grow.

    Example:
      >>> pairs = tf1_wd.remove_decay_from_gradients(optimizer.compute_gradients(loss_with_l2), plan)

    Source: the inverse of add_decay_to_gradients.
    """
    return _changed(grads_and_vars, plan, scale, -1.0, added_by_hand.refuse_missing)


def coupled_rules(**options: Any) -> Rules:
    """Rules of coupled_weight_decay, from the options of decoupled_weight_decay."""
    rules = make_rules_of_l2(**options)
    if rules.sparse == LAZY:
        raise InvalidOptionError("sparse='lazy' is a decay of weights: in a gradient, use 'all_rows' or 'touched_rows'")
    # Every optimizer multiplies the gradient by its learning rate.
    scale = 1.0 if isinstance(rules.scale, str) and rules.scale == LEARNING_RATE else rules.scale
    return replace(rules, order=COUPLED, scale=scale, others=COUPLED)


def couple(applied: AppliedUpdate, pairs: Pairs) -> Pairs:
    """The pairs of an AppliedUpdate with its decays, and its terms that are not L2, in the gradients."""
    update, scale = applied.update, applied.scale
    reads = [w for ops in update.reads.values() for op in ops for w in _tf.awaited(op)]
    with tf.control_dependencies(reads):  # a loss fetched in the same run has the penalties of the old weights
        amounts: dict[tf.Operation, list[tf.Tensor | tf.IndexedSlices]] = {}
        for term in update.replayed:
            for variable, amount in term_steps(term, update.variables, scale):
                amounts.setdefault(graph.variable_op(variable), []).append(amount)
        pairs = [(_plus(_waiting(g), amounts.pop(graph.variable_op(v), [])), v) for g, v in pairs]
        return _with_l2(pairs, {d.name: d for d in update.decays}, 1.0, scale)[0]


def _waiting(gradient: Gradient) -> Gradient:
    """The gradient behind the control dependencies in force, also of a variable that does not decay."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(tf.identity(gradient.values), gradient.indices, gradient.dense_shape)
    return None if gradient is None else tf.identity(gradient)


def _plus(gradient: Gradient, amounts: list[tf.Tensor | tf.IndexedSlices]) -> Gradient:
    """The sum, of which rows stay rows."""
    if not amounts:
        return gradient
    parts = [gradient, *amounts]
    rows: list[tf.IndexedSlices] = [part for part in parts if isinstance(part, tf.IndexedSlices)]
    if len(rows) < len(parts):
        return tf.add_n([tf.convert_to_tensor(part) for part in parts])
    indices = tf.concat([tf.cast(part.indices, tf.int64) for part in rows], 0)
    return tf.IndexedSlices(tf.concat([part.values for part in rows], 0), indices, rows[0].dense_shape)


def _is_variable(x: Any) -> bool:
    return hasattr(x, "assign") and hasattr(x, "shape")


def _listed(variables: Any) -> list[tf.Variable]:
    """The variables that an argument stands for, each once."""
    try:
        listed = [variables] if _is_variable(variables) else list(variables)
    except TypeError:
        listed = [variables]
    found = [part for v in listed for part in (list(v) if hasattr(v, "as_tensor") else [v])]  # of a partitioned one
    for variable in found:
        if not _is_variable(variable):
            raise InvalidOptionError("variables must be a list of tf.Variable; got %r" % (variable,))
    return list({id(v): v for v in found}.values())


def _checked(grads_and_vars: Any, plan: Any, scale: Any) -> tuple[Pairs, Scalar]:
    """The pairs and the scale (a float or a tensor), once nothing is wrong with the arguments."""
    refuse_eager()
    if isinstance(grads_and_vars, DecayPlan):
        raise InvalidOptionError("grads_and_vars is a plan: the gradients come first, and then the plan")
    if not isinstance(plan, DecayPlan):
        raise InvalidOptionError("plan=%r is no DecayPlan, such as of plan_decay, or the .plan of a scope" % (plan,))
    try:
        pairs = list(grads_and_vars)
    except TypeError:
        pairs = [grads_and_vars]
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and _is_variable(pair[1])):
            raise InvalidOptionError(
                "grads_and_vars takes pairs of a gradient and its variable, such as of compute_gradients or "
                "zip(tf.gradients(loss, variables), variables); got %r" % (pair,)
            )
    _refuse_unknown(pairs, plan)
    return [tuple(pair) for pair in pairs], _scale_of(scale)


def _refuse_unknown(pairs: Pairs, plan: DecayPlan) -> None:
    known = {d.name: d for d in plan.decays}
    names = [checkpoint_name(variable) for _, variable in pairs]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NoMatchError("the plan says nothing of %s; it knows %s" % (some(unknown), some(list(known))))
    if all(known[name].rate is None for name in names):
        raise NothingToDecayError("none of these %d variables decays by the plan:\n%s" % (len(names), plan))


def _scale_of(scale: Any) -> Scalar:
    scale = check_scale(scale)
    if is_function(scale):
        raise InvalidOptionError("scale is a function: call it, and pass the number or Tensor that it returns")
    if isinstance(scale, str):
        raise InvalidOptionError(
            "scale=%r: the optimizer multiplies all of a gradient by its learning rate, this L2 too: leave scale= out"
            % scale
        )
    return scalar(scale)


def _changed(pairs: Any, plan: DecayPlan, scale: Any, sign: float, refuse: Callable[..., None]) -> list:
    """The pairs with sign * L2 in the gradients, once `refuse` has let each of those pass that decay."""
    pairs, scale = _checked(pairs, plan, scale)
    named = [(gradient, variable, checkpoint_name(variable)) for gradient, variable in pairs]
    decays = {d.name: d for d in plan.decaying}
    for pair in named:
        if pair[-1] in decays:
            refuse(*pair)
    chosen = {name: decays[name] for *_, name in named if name in decays}
    for d in chosen.values():
        _refuse_rate(d, scale)
    changed, amounts = _with_l2(pairs, chosen, sign, scale)
    added_by_hand.mark(amounts, sign)
    return changed


def _refuse_rate(d: Decay, scale: Scalar) -> None:
    if d.rows == LAZY:
        raise InvalidOptionError("%s decays lazily, which a gradient cannot: make the plan without sparse=" % d.name)
    if isinstance(d.rate, float) and isinstance(scale, float):
        check_rate(d.rate, d.name, d.why, scale)
    if tf.is_tensor(d.rate) and _tf.outermost(d.rate.graph) is not _tf.outermost(tf.get_default_graph()):
        raise InvalidRateError("the rate of %s is known at the run of another graph only: pass rates=" % d.name)


def _with_l2(
    pairs: Pairs, decays: dict[str, Decay], sign: float, scale: Scalar
) -> tuple[list[tuple[Gradient, tf.Variable]], list[tf.Tensor]]:
    """(the pairs with sign * rate * scale * w in their gradients, the tensors that came to them).

    decays: {name of a variable: its Decay}. A variable that is listed twice gets its L2 once.
    """
    here = {checkpoint_name(v): v for _, v in pairs if checkpoint_name(v) in decays}
    members = [replace(decays[name], variable=v) for name, v in here.items()]  # the plan may be of another graph
    fractions = dict(zip(here, fractions_of(members, scale)))
    changed, amounts = [], []
    for gradient, variable in pairs:
        name = checkpoint_name(variable)
        if name in fractions:
            with on_device(variable.device):
                factor = sign * fractions.pop(name)
                gradient, amount = _plus_l2(gradient, variable, factor, decays[name].rows == TOUCHED_ROWS)
            amounts.append(amount)
        changed.append((gradient, variable))
    return changed, amounts


def _plus_l2(gradient: Gradient, variable: tf.Variable, factor: tf.Tensor, by_rows: bool) -> tuple[Gradient, tf.Tensor]:
    """(gradient + factor * w, factor * w) of one variable."""
    wide = factor.dtype
    if isinstance(gradient, tf.IndexedSlices) and by_rows:
        rows = rows_once((gradient.indices,))
        amount = factor * tf.cast(gather(variable, rows), wide)
        values = tf.concat([gradient.values, tf.cast(amount, gradient.values.dtype)], 0)
        indices = tf.concat([gradient.indices, tf.cast(rows, gradient.indices.dtype)], 0)
        return tf.IndexedSlices(values, indices, gradient.dense_shape), amount
    weights = tf.cast(_tf.fresh_read(variable), wide)
    amount = factor * weights
    if gradient is None:
        return tf.cast(amount, variable.dtype.base_dtype), amount
    if isinstance(gradient, tf.IndexedSlices):
        values = tf.cast(gradient.values, wide)
        dense = tf.math.unsorted_segment_sum(values, gradient.indices, tf.shape(weights)[0])
        return tf.cast(tf.reshape(dense, tf.shape(weights)) + amount, variable.dtype.base_dtype), amount
    gradient = tf.convert_to_tensor(gradient)
    return tf.cast(tf.cast(gradient, wide) + amount, gradient.dtype), amount
