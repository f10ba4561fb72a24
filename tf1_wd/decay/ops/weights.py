"""Builds the ops of a decay in the graph: what decays, by how much, grouped by device and dtype."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, List, Sequence, Tuple, Union

import numpy as np

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.marks import made
from tf1_wd.native.decay import check_rates
from tf1_wd.native.decay import decay as decay_op
from tf1_wd.native.twin import range_checks
from tf1_wd.plan.decisions import Decay

Amounts = List[Tuple["tf.Variable", Union["tf.Tensor", "tf.IndexedSlices"]]]  # what is taken off variables


def decay(
    decays: Sequence[Decay], scale: Scalar, backend: str, tables: frozenset[tf.Operation] = frozenset()
) -> list[tf.Operation]:
    """Ops that decay the variables in place, each w <- w - (rate * scale) * w: one op per device and dtype.

    tables: ops of the variables that have a sparse gradient. The ops obey the control dependencies in force.
    """
    groups: dict[tuple, list[Decay]] = {}
    for d in decays:
        # TensorFlow puts all variables of an op on one device, and has sparse updates that no GPU can do (RMSProp's
        # among them): in one op with the others, a table would take the whole model to the CPU.
        is_table = graph.variable_op(d.variable) in tables
        key = (d.variable.device, d.variable.dtype.base_dtype, _tf.is_resource(d.variable), is_table)
        groups.setdefault(key, []).append(d)
    ops, g = [], tf.get_default_graph()
    before = len(g.get_operations())
    for (device, *_), group in groups.items():
        with on_device(device):
            ops.append(decay_op([d.variable for d in group], _rates(group), scale, backend=backend))
    made([op for op in g.get_operations()[before:] if "Assign" in op.type])  # by the twin, one a variable
    return made(ops)


def constrain(variables: list[tf.Variable]) -> list[tf.Operation]:
    """Ops that apply the constraint of each variable that has one."""
    ops = []
    for variable in variables:
        if variable.constraint is not None:
            with on_device(variable.device):
                value = variable.constraint(_tf.fresh_read(variable))
                ops.append(variable.assign(value, use_locking=True, read_value=False))
    return ops


def differences(decays: Sequence[Decay], scale: Scalar) -> Amounts:
    """(variable, rate * scale * variable) of each, with the weights as they are when this runs."""
    found: Amounts = []
    for d in decays:
        with on_device(d.variable.device):
            weights = _tf.fresh_read(d.variable)
            fraction = fraction_of(d, scale)
            found.append((d.variable, tf.cast(fraction * tf.cast(weights, fraction.dtype), weights.dtype)))
    return found


def fraction_of(d: Decay, scale: Scalar) -> tf.Tensor:
    """rate * scale of one Decay, checked to be in [0, 1) when this runs: float64 for double variables, else float32."""
    fraction = _fraction(d, scale)
    with tf.control_dependencies(range_checks([d.variable], fraction)):
        return tf.identity(fraction)


def fractions_of(decays: Sequence[Decay], scale: Scalar) -> list[tf.Tensor]:
    """[rate * scale] of some Decays, none of which is there before all are checked; see `fraction_of`."""
    found = []
    for d in decays:
        with on_device(d.variable.device):
            found.append(_fraction(d, scale))
    unknown = [(d.variable, f) for d, f in zip(decays, found) if _tf.constant_value(f) is None]
    if not unknown:
        return found
    with tf.device("/cpu:0"):  # text, of which messages are made, is nowhere else
        together = tf.stack([tf.cast(fraction, tf.float64) for _, fraction in unknown])
        checks = range_checks([variable for variable, _ in unknown], together)
    with tf.control_dependencies(checks):
        return [tf.identity(fraction) for fraction in found]


def _fraction(d: Decay, scale: Scalar) -> tf.Tensor:
    """rate * scale of one Decay. Raises InvalidRateError if that is known to be out of [0, 1)."""
    dtype = tf.float64 if d.variable.dtype.base_dtype == tf.float64 else tf.float32
    rate, factor = _number(d.rate, dtype), _number(scale, dtype)
    check_rates([d.variable], rate, factor)
    return rate * factor


def subtract(amounts: Amounts) -> list[tf.Operation]:
    """Ops that take each amount, of its shape and dtype, off its variable."""
    ops = []
    for variable, amount in amounts:
        with on_device(variable.device):
            if isinstance(amount, tf.IndexedSlices):
                ops.append(scatter_sub(variable, amount))
            else:
                ops.append(variable.assign_sub(amount, use_locking=True, read_value=False))
    return made(ops)


def scatter_sub(variable: tf.Variable, amount: tf.IndexedSlices) -> tf.Operation:
    """The op that takes rows off those of a variable, one that is listed often as often."""
    return variable.scatter_sub(amount, use_locking=True).op


def _rates(group: list[Decay]) -> Any:
    rates = [d.rate for d in group]
    if any(not isinstance(rate, float) for rate in rates):
        dtype = tf.float64 if group[0].variable.dtype.base_dtype == tf.float64 else tf.float32
        if all(rate is rates[0] for rate in rates):
            return _number(rates[0], dtype)
        return tf.stack([_number(rate, dtype) for rate in rates])
    return rates[0] if len(set(rates)) == 1 else np.array(rates, np.float64)


def _number(value: Scalar, dtype: tf.DType) -> tf.Tensor:
    """A float or tensor as `dtype`; tf.cast would round a float to float32 first."""
    return tf.constant(value, dtype) if isinstance(value, float) else tf.cast(value, dtype)


@contextlib.contextmanager
def on_device(device: str | None) -> Iterator[None]:
    """Context in which new ops go to `device` alone, whatever the caller asked for."""
    with tf.device(None), tf.device(device or None):
        yield
