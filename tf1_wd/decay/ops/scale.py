"""The scale of an update: what the option scale= is when the ops are built."""

from __future__ import annotations

import numbers
from dataclasses import replace
from typing import Any, Callable

import numpy as np

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.errors import InvalidOptionError, Tf1WdError
from tf1_wd.graph.gradients import Scalar
from tf1_wd.plan.decisions import Decay
from tf1_wd.plan.scale_option import check_scalar, is_function, refuse_zero


def scale_now(scale: Any, learning_rate: Any, global_step: Any) -> Scalar:
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
    return scalar(called(scale, _step(global_step)) if is_function(scale) else scale)


def scalar(scale: Any) -> Scalar:
    """A float, a scalar tensor or a variable, given as scale=, as a float or a tensor. Raises as `scale_now`."""
    scale = _as_scalar(scale)
    if not isinstance(scale, float):
        known = _tf.constant_value(scale)
        refuse_zero(known is not None and known == 0, "the scale %s" % scale.name)
    return scale


def _step(global_step: Any) -> tf.Tensor:
    global_step = tf.train.get_global_step() if global_step is None else global_step
    if global_step is None:
        raise InvalidOptionError(
            "scale is a callable of the global step, but the graph has none: pass global_step= to minimize or "
            "apply_gradients, or call tf.train.get_or_create_global_step()"
        )
    return _tf.fresh_read(global_step)


def called(function: Callable[[tf.Tensor], Any], step: tf.Tensor) -> Any:
    """What a scale that is a function of the step's number returns: a tensor or a variable.

    Raises InvalidOptionError if it returns something else, or raises itself.
    """
    what = "scale=%s" % getattr(function, "__name__", repr(function))
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


def _as_scalar(scale: Any) -> Scalar:
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
    check_scalar(scale)
    return scale if scale.shape.rank == 0 else _checked_scalar(scale)


def _checked_scalar(scale: tf.Tensor) -> tf.Tensor:
    """A tensor of unknown shape, checked to be a scalar when this runs: a vector would scale each column by its own.

    In front of the native op Grappler may take the check away, because that op is known to check the same.
    """
    message = ["tf1_wd: scale must be a scalar; its name and shape:", scale.name, tf.shape(scale)]
    is_scalar = tf.equal(tf.rank(scale), 0)
    with tf.control_dependencies([tf.raw_ops.Assert(condition=is_scalar, data=message)]):
        checked = tf.identity(scale, name="weight_decay_scale")
    checked.set_shape([])
    return checked


def with_scale(decay: Decay, scale: Scalar) -> Decay:
    """A Decay of the plan with the scale that `scale_now` gave its update: a float, or a tensor and its name."""
    if isinstance(scale, float):
        return replace(decay, scale=scale)
    return replace(decay, scale=scale.name, scale_tensor=scale)
