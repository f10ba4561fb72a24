"""The twin of the native op in public TensorFlow ops: same checks at run time, same result to the last bit."""

from __future__ import annotations

import threading
from typing import Any, Sequence

from tf1_wd import _tf
from tf1_wd._tf import tf

HALF_TYPES = ("float16", "bfloat16")

_lock = threading.Lock()  # for eager mode, where a mutex of TensorFlow's is never given back (2.15.1)


def decay(
    variables: Sequence[tf.Variable],
    rates: tf.Tensor,
    scale: tf.Tensor,
    use_locking: bool = True,
    name: str = "weight_decay",
) -> tf.Operation | None:
    """Decays variables in place, as native.decay.decay does, which has checked the arguments and made Tensors of them.

    Decays of other sessions and threads wait their turn: between the read and the write of one, another would take its
    share of the same old weights. Updates do not wait, and none of them is lost: what is written is a difference.
    """
    with tf.name_scope(name):
        rates, scale = with_known_shapes(variables, rates, scale)
        factors = tf.multiply(rates, scale)
        checks = range_checks(variables, factors)
        count = len(variables)
        factors = [factors] * count if rates.shape.ndims == 0 else tf.unstack(tf.broadcast_to(factors, [count]))
        if tf.executing_eagerly():
            with _lock:
                for variable, factor in zip(variables, factors):
                    for amount in _amounts(_tf.fresh_read(variable), factor):
                        variable.assign_sub(amount, use_locking=use_locking, read_value=False)
            return None
        # Nothing that may come from another process is waited for while the lock is held.
        with tf.control_dependencies([*checks, *(factor.op for factor in factors)]), tf.device("/cpu:0"):
            lock = tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(shared_name="tf1_wd_decay"))
        wait = [lock.op]
        for listing in _passes(variables):
            with tf.control_dependencies(wait):
                reads = [_tf.fresh_read(variables[i]) for i in listing]
            with tf.control_dependencies([read.op for read in reads]):
                wait = [_write(variables[i], read, factors[i], use_locking) for i, read in zip(listing, reads)]
        with tf.control_dependencies(wait), tf.device("/cpu:0"):  # there are no mutexes elsewhere
            return tf.raw_ops.ConsumeMutexLock(mutex_lock=lock, name="group")


def _passes(variables: Sequence[tf.Variable]) -> list[list[int]]:
    """Indices in passes: the k-th listing of a variable goes to pass k, after all of the passes before."""
    passes: list[list[int]] = []
    times: dict[int, int] = {}
    for i, variable in enumerate(variables):
        k = times.get(id(variable), 0)
        times[id(variable)] = k + 1
        if k == len(passes):
            passes.append([])
        passes[k].append(i)
    return passes


def _write(variable: tf.Variable, read: tf.Tensor, factor: tf.Tensor, use_locking: bool) -> tf.Operation:
    wait: list[tf.Operation] = []
    amounts = _amounts(read, factor)
    for amount in amounts:
        with tf.control_dependencies([a.op for a in amounts] + wait):
            wait = [variable.assign_sub(amount, use_locking=use_locking, read_value=False)]
    return wait[0]


def _amounts(read: tf.Tensor, factor: tf.Tensor) -> list[tf.Tensor]:
    """What to take off a weight, one after the other."""
    # Products are rounded before they are subtracted; half types are computed in float32 and rounded once.
    # A factor of 0 takes nothing off, of an infinite weight neither: the op leaves such weights alone.
    dtype = read.dtype
    if dtype.name not in HALF_TYPES:
        return [tf.math.multiply_no_nan(read, factor)]
    # Everything is computed from one copy: a read of a reference variable changes when the variable does.
    weight = tf.cast(read, tf.float32)
    result = tf.cast(tf.cast(weight - factor * weight, dtype), tf.float32)
    difference = tf.cast(weight - result, dtype)
    # The difference to a result below half of the weight is itself rounded.
    rest = weight - tf.cast(difference, tf.float32) - result
    moves = tf.cast(tf.not_equal(factor, 0.0), tf.float32)
    kept = [tf.math.multiply_no_nan(tf.cast(amount, tf.float32), moves) for amount in (difference, rest)]
    return [tf.cast(amount, dtype) for amount in kept]


def eager_name(variable: tf.Variable) -> str:
    """The variable's name without the output number; in eager mode its handle is of no op."""
    return variable.name.rsplit(":", 1)[0]


def with_known_shapes(
    variables: Sequence[tf.Variable], rates: tf.Tensor, scale: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """(rates, scale) of shape [] or [N], and []; what tells its shape only when it runs fails then, by other shapes."""
    return _one_for_each(variables, rates, "rates"), as_scalar(variables, scale)


def as_scalar(variables: Sequence[tf.Variable], scale: tf.Tensor) -> tf.Tensor:
    """The scale of a decay of variables, of shape []; one that tells its shape only when it runs fails then."""
    if scale.shape.rank is not None:
        return scale
    wrong = tf.not_equal(tf.rank(scale), 0)
    return tf.reshape(_unless(wrong, variables, "scale must be a scalar, not of shape", scale), [])


def _one_for_each(variables: Sequence[tf.Variable], values: tf.Tensor, what: str) -> tf.Tensor:
    """`values` of shape [] or [N]; the latter where that is known only when it runs."""
    if values.shape.is_fully_defined():
        return values
    count = len(variables)
    wrong = tf.logical_or(tf.rank(values) > 1, tf.reduce_any(tf.not_equal(tf.shape(values), count)))
    words = "%s must have shape [] or [%d], one for each variable, not" % (what, count)
    return tf.broadcast_to(_unless(wrong, variables, words, values), [count])


def _unless(wrong: tf.Tensor, variables: Sequence[tf.Variable], words: str, values: tf.Tensor) -> tf.Tensor:
    """`values`, checked when it runs: an error if `wrong`.

    The check is attached to `values`: an op whose only link to it is a constant may be scheduled before the check.
    """
    names = tf.constant(["of " + ", ".join(map(eager_name, variables))])
    message = ["tf1_wd: " + words, tf.shape(values), "; no variable was decayed", names]
    check = tf.raw_ops.Assert(condition=tf.logical_not(wrong), data=message, summarize=10)
    with tf.control_dependencies([check]):
        return tf.identity(values)


def range_checks(variables: Sequence[tf.Variable], factors: Any) -> list[tf.Operation]:
    """Ops that fail unless every factor is in [0, 1), naming the variables; none if that is known already."""
    known = _tf.constant_value(factors)
    if known is not None and ((known >= 0) & (known < 1)).all():
        return []
    factors = tf.broadcast_to(_one_for_each(variables, factors, "rate * scale"), [len(variables)])
    bad = tf.logical_not((factors >= 0) & (factors < 1))  # NaN fails both
    message = [
        "tf1_wd: rate * scale is not in [0, 1); no variable was decayed; variables and values:",
        tf.boolean_mask(tf.constant([eager_name(variable) for variable in variables]), bad),
        tf.boolean_mask(factors, bad),
    ]
    return [tf.raw_ops.Assert(condition=tf.logical_not(tf.reduce_any(bad)), data=message, summarize=10)]
