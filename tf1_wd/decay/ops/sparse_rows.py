"""Decay of the rows that a sparse gradient (tf.IndexedSlices) names, each of them once:

order="after":   w_row <- (1 - r) (w_row - step)        order="before":  w_row <- w_row - step - r w_row
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.decay.ops.weights import fraction_of, on_device, scatter_sub
from tf1_wd.graph.gradients import Gradient, Scalar
from tf1_wd.graph.marks import made
from tf1_wd.native.twin import HALF_TYPES
from tf1_wd.penalties.coefficients import undelayed
from tf1_wd.plan.decisions import Decay


@dataclass(frozen=True)
class Rows:
    """The rows of one variable that an update touches.

    indices: index tensors of its gradients, in which a row may be listed often. table: lazy_rows.Table, or None if the
    rows that are not touched never decay.
    """

    indices: tuple[tf.Tensor, ...]
    table: Any = None


def indices_of(gradients: Sequence[Gradient]) -> tuple[tf.Tensor, ...]:
    """The index tensors of gradients that are all tf.IndexedSlices, else ()."""
    sparse: list[tf.IndexedSlices] = [gradient for gradient in gradients if isinstance(gradient, tf.IndexedSlices)]
    return tuple(gradient.indices for gradient in sparse) if len(sparse) == len(gradients) else ()


def decay(decays: list[tuple[Decay, Rows]], scale: Scalar) -> list[tf.Operation]:
    """Ops that decay rows in place, each w_row <- w_row - (rate * scale) * w_row.

    Products are rounded before they are subtracted, and half types are computed in float32, as in the twin of the
    compiled op. The ops obey the control dependencies in force.
    """
    ops = []
    for d, rows in decays:
        with on_device(d.variable.device):
            indices, fraction = rows_once(rows.indices), fraction_of(d, scale)
            weights = gather(d.variable, indices)
            if weights.dtype.name in HALF_TYPES:
                wide = tf.cast(weights, fraction.dtype)
                values = tf.cast(wide - fraction * wide, weights.dtype)
                op = scatter_update(d.variable, indices, values)
            else:
                op = scatter_sub(d.variable, tf.IndexedSlices(fraction * weights, indices))
            ops += [op, *_record(rows.table, indices, fraction, op)]
    return made(ops)


def differences(decays: list[tuple[Decay, Rows]], scale: Scalar) -> list[tuple]:
    """What `subtract` takes, with the weights as they are when this runs."""
    found = []
    for d, rows in decays:
        with on_device(d.variable.device):
            indices, fraction = rows_once(rows.indices), fraction_of(d, scale)
            weights = gather(d.variable, indices)
            amounts = tf.cast(fraction * tf.cast(weights, fraction.dtype), weights.dtype)
            found.append((d.variable, rows.table, indices, fraction, amounts))
    return found


def subtract(found: list[tuple]) -> list[tf.Operation]:
    """Ops that take what `differences` found off the rows."""
    ops = []
    for variable, table, indices, fraction, amounts in found:
        with on_device(variable.device):
            op = scatter_sub(variable, tf.IndexedSlices(amounts, indices))
            ops += [op, *_record(table, indices, fraction, op)]
    return made(ops)


def rows_once(indices: Sequence[tf.Tensor]) -> tf.Tensor:
    """Every row in a tuple of index tensors, once: a vector, which waits for the index tensors alone.

    So an op that reads these rows has its own edges to what it must wait for. An edge to a constant that goes into the
    indices is not enough: Grappler drops it with the constant (2.21.0).
    """
    with undelayed(indices[0]):
        parts = [part if part.shape.rank == 1 else tf.reshape(part, [-1]) for part in indices]
        if len(parts) > 1:
            same = len({part.dtype for part in parts}) == 1
            parts = [tf.concat(parts if same else [tf.cast(part, tf.int64) for part in parts], 0)]
        return tf.unique(parts[0])[0]


def gather(variable: tf.Variable, indices: tf.Tensor) -> tf.Tensor:
    """Rows of a variable, as they are when the control dependencies in force let it be read."""
    return tf.gather(variable if _tf.is_resource(variable) else _tf.fresh_read(variable), indices)


def scatter_update(variable: tf.Variable, indices: tf.Tensor, values: tf.Tensor) -> tf.Operation:
    """The op that writes rows of a variable. indices: each at most once."""
    return variable.scatter_update(tf.IndexedSlices(values, indices), use_locking=True).op


def _record(table: Any, indices: tf.Tensor, fraction: Scalar, op: tf.Operation) -> list[tf.Operation]:
    return [] if table is None else table.record(indices, fraction, op)
