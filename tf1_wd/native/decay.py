"""The decay step as one graph op: the native op where it can be had, its twin in TensorFlow ops elsewhere."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.errors import InvalidOptionError, InvalidRateError
from tf1_wd.native import twin
from tf1_wd.native.choose import native_ops_for
from tf1_wd.native.twin import eager_name
from tf1_wd.plan.options import BACKENDS
from tf1_wd.plan.rates import is_coefficient, is_rate

DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


def decay(
    variables: Sequence[tf.Variable],
    rates: Any,
    scale: Any,
    backend: str = "auto",
    use_locking: bool = True,
    name: str = "weight_decay",
) -> tf.Operation | None:
    """One graph op that decays variables in place: w <- w - (rate_i * scale) * w. Returns a tf.Operation.

    In eager mode it decays them now, and returns None.

    Products are rounded before they are subtracted; half types are computed in float32 and rounded once. A variable
    listed twice decays twice, one after the other. Reads and writes obey the control dependencies and devices in force.

    variables: non-empty list, all on one device, of one floating dtype, all reference or all resource variables.
    rates: Tensor, array or float of shape [] or [N]; scale: Tensor or float of shape []. Both are converted to
        float32, or float64 for double variables. Every rate * scale must be in [0, 1).
    backend: "auto", "native" (an error where it cannot be), "tensorflow" (public TensorFlow ops only). "auto" takes the
        latter for variables on the device of a job: the process that holds them need not have the op.
    use_locking: hold the locks of reference variables meanwhile; resource variables are always locked.
    Raises InvalidOptionError, InvalidRateError, NativeOpError. At run time InvalidArgumentError (a rate Tensor out of
        range) and FailedPreconditionError (a variable not initialized); then no variable is changed.
    """
    variables = list(variables)
    if backend not in BACKENDS:
        raise InvalidOptionError("backend must be one of %s, not %r" % (", ".join(map(repr, BACKENDS)), backend))
    dtype = _common_dtype(variables)
    rate_dtype = tf.float64 if dtype == tf.float64 else tf.float32
    rates = _as_tensor(rates, rate_dtype, "rates")
    scale = _as_tensor(scale, rate_dtype, "scale")
    check_rates(variables, rates, scale)
    ops = native_ops_for(variables, backend)
    if ops is None:
        return twin.decay(variables, rates, scale, use_locking, name)
    operands = [_tf.operand(variable) for variable in variables]
    if _tf.is_resource(variables[0]):
        return ops.tf1_wd_resource_decay(operands, rates, scale, T=dtype, use_locking=use_locking, name=name)
    return ops.tf1_wd_decay(operands, rates, scale, use_locking=use_locking, name=name)


def _common_dtype(variables: Sequence[tf.Variable]) -> tf.DType:
    if not variables:
        raise InvalidOptionError("variables is empty: give at least one variable to decay")
    first = variables[0]
    for variable in variables:
        dtype = variable.dtype.base_dtype
        if dtype not in DTYPES:
            raise InvalidOptionError(
                "variable %s is %s: only floating variables (float16, bfloat16, float32, float64) can decay; exclude it"
                % (eager_name(variable), dtype.name),
                variable=eager_name(variable),
            )
        if dtype != first.dtype.base_dtype:
            raise InvalidOptionError(
                "variables of one op must have one dtype: %s is %s, %s is %s; use one op for each dtype"
                % (eager_name(first), first.dtype.base_dtype.name, eager_name(variable), dtype.name),
                variable=eager_name(variable),
            )
        if _tf.is_resource(variable) != _tf.is_resource(first):
            raise InvalidOptionError(
                "variables of one op must be all reference or all resource: %s and %s differ; use one op for each kind"
                % (eager_name(first), eager_name(variable)),
                variable=eager_name(first),
            )
    return first.dtype.base_dtype


def _as_tensor(value: object, dtype: tf.DType, name: str) -> tf.Tensor:
    """`value` as a Tensor of `dtype`: one constant node for numbers, a fresh read for a variable."""
    if isinstance(value, tf.Variable):
        value = _tf.fresh_read(value)
    elif not any(map(tf.is_tensor, value if isinstance(value, (list, tuple)) else [value])):
        return tf.constant(np.asarray(value), dtype=dtype, name=name)
    return tf.cast(tf.convert_to_tensor(value, name=name), dtype)


def check_rates(variables: Sequence[tf.Variable], rates: tf.Tensor, scale: tf.Tensor) -> None:
    """Finds before the op runs what it would find later: shapes, and values known already.

    rates, scale: Tensors. Raises InvalidOptionError, InvalidRateError.
    """
    if scale.shape.ndims not in (None, 0):
        raise InvalidOptionError("scale must be a scalar, not of shape %s" % scale.shape)
    count = len(variables)
    if rates.shape.ndims not in (None, 0) and not rates.shape.is_compatible_with([count]):
        raise InvalidRateError("rates must have shape [] or [%d], one for each variable, not %s" % (count, rates.shape))
    known_rates, known_scale = _tf.constant_value(rates), _tf.constant_value(scale)
    if known_rates is None:
        return
    for variable, rate in zip(variables, np.broadcast_to(known_rates, [count])):
        if not (is_coefficient(rate) if known_scale is None else known_scale != 1 or is_rate(rate)):
            raise InvalidRateError(
                "the decay rate of %s is %g: it must be a number in [0, 1)" % (eager_name(variable), rate),
                variable=eager_name(variable),
            )
        if known_scale is not None and not is_rate(rate * known_scale):
            raise InvalidRateError(
                "the decay rate of %s times the scale, %g * %g = %g, must be a number in [0, 1)"
                % (eager_name(variable), rate, known_scale, rate * known_scale),
                variable=eager_name(variable),
            )
