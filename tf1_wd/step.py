"""Builds the ops of a decay in the graph: what decays, by how much, grouped by device and dtype."""

from __future__ import annotations

import contextlib
import numbers

import numpy as np

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import InvalidOptionError, Tf1WdError
from tf1_wd.native.decay import check_rates
from tf1_wd.native.decay import decay as decay_op
from tf1_wd.native.reference import range_checks
from tf1_wd.scales import is_function, refuse_zero

NAME = "weight_decay"

# collections: a graph that keeps its decay ops in a dict of ours would never go away
_MADE = "tf1_wd/decay"
_BY_OPTIMIZERS = "tf1_wd/decay_of_optimizers"  # those of _MADE that are no scope's


def scale_now(scale, learning_rate, global_step):
    """The scale of this update: a float or a scalar tensor.

    scale: as in Rules. learning_rate: the optimizer's own, a float or tensor, or None. global_step: a variable or None.
    A callable gets the value that the global step has in this update, before it is incremented.
    Raises InvalidOptionError if what the scale needs is not there, or if it is no scalar of this graph;
    NothingToDecayError if it is 0 in every step.
    """
    if isinstance(scale, str):  # LEARNING_RATE is the only word
        if learning_rate is None:
            raise InvalidOptionError(
                "scale='learning_rate', but this optimizer keeps no learning rate; pass scale= the float or Tensor"
            )
        return _as_scalar(learning_rate)
    return scalar(_called(scale, global_step) if is_function(scale) else scale)


def scalar(scale):
    """A float, a scalar tensor or a variable, given as scale=, as a float or a tensor. Raises as `scale_now`."""
    scale = _as_scalar(scale)
    if not isinstance(scale, float):
        known = _tf.constant_value(scale)
        refuse_zero(known is not None and known == 0, "the scale %s" % scale.name)
    return scale


def _called(function, global_step):
    """What a scale that is a function of the global step returns: a tensor or a variable."""
    global_step = tf.train.get_global_step() if global_step is None else global_step
    if global_step is None:
        raise InvalidOptionError(
            "scale is a callable of the global step, but the graph has none: pass global_step= to minimize or "
            "apply_gradients, or call tf.train.get_or_create_global_step()"
        )
    what = "scale=%s" % getattr(function, "__name__", repr(function))
    step = _tf.fresh_read(global_step)
    try:
        scale = function(step)
    except Tf1WdError:
        raise
    except Exception as error:  # of any kind: the function is the user's
        text = "%s: it is called with the global step, a Tensor, and returns a scalar Tensor; it raised %s: %s"
        raise InvalidOptionError(text % (what, type(error).__name__, error)) from error
    if isinstance(scale, (numbers.Number, np.generic, np.ndarray)):
        raise InvalidOptionError(
            "%s returned %r, which is the same in every step: the function is called once, when the graph is built, "
            "and `if` and `==` do not see the value of a Tensor. Return a Tensor, of tf.where, tf.cond or "
            "tf.cast(step >= 1000, tf.float32), or pass the number itself as scale=" % (what, scale)
        )
    if not (tf.is_tensor(scale) or isinstance(scale, tf.Variable)):
        raise InvalidOptionError("%s returned %r: it must return a scalar Tensor" % (what, scale))
    return scale


def _as_scalar(scale):
    if isinstance(scale, (int, float, np.number)):
        return float(scale)
    home = getattr(scale, "graph", None)
    if home is not None and _tf.outermost(home) is not _tf.outermost(tf.get_default_graph()):
        raise InvalidOptionError(
            "scale: %s is of another graph than the update: make it in the same graph" % scale.name
        )
    scale = tf.convert_to_tensor(scale)
    if not (scale.dtype.is_floating or scale.dtype.is_integer):
        raise InvalidOptionError(
            "scale must be a number; %s is %s: tf.cast it to tf.float32" % (scale.name, scale.dtype.name)
        )
    if scale.shape.rank not in (None, 0):
        raise InvalidOptionError("scale must be a scalar; %s has shape %s" % (scale.name, scale.shape))
    return scale if scale.shape.rank == 0 else _checked_scalar(scale)


def _checked_scalar(scale):
    """A tensor of unknown shape, checked to be a scalar when this runs: a vector would scale each column by its own.

    In front of the native op Grappler may take the check away, because that op is known to check the same.
    """
    message = ["tf1_wd: scale must be a scalar; its name and shape:", scale.name, tf.shape(scale)]
    is_scalar = tf.equal(tf.rank(scale), 0)
    with tf.control_dependencies([tf.raw_ops.Assert(condition=is_scalar, data=message)]):
        checked = tf.identity(scale, name="weight_decay_scale")
    checked.set_shape([])
    return checked


def describe(scale):
    """A scale as the plan shows it: the float, or the name of what is known only at run time."""
    return scale if isinstance(scale, (float, str)) else scale.name


def decay(decays, scale, backend, tables=frozenset()):
    """Ops that decay the variables in place, each w <- w - (rate * scale) * w: one op per device and dtype.

    decays: list of plan.Decay with a rate. scale: float or scalar tensor. backend: as in Rules. tables: ops of the
    variables that have a sparse gradient. The ops obey the control dependencies in force. Returns a list of
    tf.Operation.
    """
    groups = {}
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
            ops.append(decay_op([d.variable for d in group], _rates(group), scale, backend=backend, name=NAME))
    made([op for op in g.get_operations()[before:] if "Assign" in op.type])  # by the twin, one a variable
    return made(ops)


def made(ops):
    """Marks ops as decays, for `is_decay`, and returns them."""
    tf.get_default_graph().get_collection_ref(_MADE).extend(ops)
    return ops


def is_decay(op):
    """True for an op that `made` has marked, also after the graph went through a file."""
    return op.type in ("Tf1WdDecay", "Tf1WdResourceDecay") or op in op.graph.get_collection_ref(_MADE)


def made_in(where):
    """The ops that `decay` and `subtract` made in a graph, but for those of optimizers that decay by themselves."""
    by_optimizers = set(where.get_collection(_BY_OPTIMIZERS))
    return [op for op in where.get_collection(_MADE) if op.graph is where and op not in by_optimizers]


@contextlib.contextmanager
def by_an_optimizer():
    """Context in which decays are made that belong to an optimizer which decays by itself, and to no scope."""
    here = tf.get_default_graph()
    before = len(here.get_collection(_MADE))
    yield
    here.get_collection_ref(_BY_OPTIMIZERS).extend(here.get_collection(_MADE)[before:])


def made_by_optimizers(where):
    """The decay ops of a graph that belong to optimizers which decay by themselves."""
    return [op for op in where.get_collection(_BY_OPTIMIZERS) if op.graph is where]


def constrain(variables):
    """Ops that apply the constraint of each variable that has one. variables: list of tf.Variable."""
    ops = []
    for variable in variables:
        if variable.constraint is not None:
            with on_device(variable.device):
                value = variable.constraint(_tf.fresh_read(variable))
                ops.append(variable.assign(value, use_locking=True, read_value=False))
    return ops


def differences(decays, scale):
    """(variable, rate * scale * variable) of each, with the weights as they are when this runs."""
    found = []
    for d in decays:
        with on_device(d.variable.device):
            weights = _tf.fresh_read(d.variable)
            fraction = fraction_of(d, scale)
            found.append((d.variable, tf.cast(fraction * tf.cast(weights, fraction.dtype), weights.dtype)))
    return found


def fraction_of(d, scale):
    """rate * scale of one Decay, checked to be in [0, 1) when this runs: float64 for double variables, else float32."""
    fraction = _fraction(d, scale)
    with tf.control_dependencies(range_checks([d.variable], fraction)):
        return tf.identity(fraction)


def fractions_of(decays, scale):
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


def _fraction(d, scale):
    """rate * scale of one Decay. Raises InvalidRateError if that is known to be out of [0, 1)."""
    dtype = tf.float64 if d.variable.dtype.base_dtype == tf.float64 else tf.float32
    rate, scale = _number(d.rate, dtype), _number(scale, dtype)
    check_rates([d.variable], rate, scale)
    return rate * scale


def subtract(amounts):
    """Ops that take each amount off its variable. amounts: list of (variable, tensor of its shape and dtype)."""
    ops = []
    for variable, amount in amounts:
        with on_device(variable.device):
            ops.append(variable.assign_sub(amount, use_locking=True, read_value=False))
    return made(ops)


def _rates(group):
    rates = [d.rate for d in group]
    if any(not isinstance(rate, float) for rate in rates):
        dtype = tf.float64 if group[0].variable.dtype.base_dtype == tf.float64 else tf.float32
        if all(rate is rates[0] for rate in rates):
            return _number(rates[0], dtype)
        return tf.stack([_number(rate, dtype) for rate in rates])
    return rates[0] if len(set(rates)) == 1 else np.array(rates, np.float64)


def _number(value, dtype):
    """A float or tensor as `dtype`; tf.cast would round a float to float32 first."""
    return tf.constant(value, dtype) if isinstance(value, float) else tf.cast(value, dtype)


@contextlib.contextmanager
def on_device(device):
    """Context in which new ops go to `device` alone, whatever the caller asked for."""
    with tf.device(None), tf.device(device or None):
        yield
