"""The decay step in TensorFlow 2: in eager mode, and inside of a tf.function."""

from __future__ import annotations

from typing import Any, Sequence, Union

import numpy as np

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.decay.ops.weights import on_device
from tf1_wd.errors import InvalidOptionError, InvalidRateError, UnsupportedUpdateError
from tf1_wd.native.decay import check_rates
from tf1_wd.native.decay import decay as decay_op
from tf1_wd.native.twin import eager_name, range_checks, with_known_shapes
from tf1_wd.plan.same_variable import copies_of

Numbers = Union[float, np.ndarray, tf.Tensor, tf.Variable, Sequence[Any]]


@tf.autograph.experimental.do_not_convert
def decay(
    variables: Sequence[tf.Variable],
    rates: Numbers,
    scale: float | tf.Tensor | tf.Variable = 1.0,
    backend: str = "auto",
) -> None:
    """Decays variables in place, in eager mode now, in a tf.function whenever that runs.

        w <- w - (rate * scale) * w

    Call it behind optimizer.apply_gradients for w <- (1 - r)(w - step). For w <- w - step - r w, as in AdamW, call it
    between the gradients and apply_gradients, with scale=optimizer.learning_rate; of a schedule, scale=schedule(
    optimizer.iterations), read in front of apply_gradients, because learning_rate shows the step before in Keras 2.

    Args:
      variables: list of tf.Variable or of Keras's variables, of any floating dtypes and on any devices: one op for each
        dtype and device. Of a variable of MirroredStrategy every copy decays; call it outside of strategy.run.
      rates: a rate for all, or one for each variable: numbers, an array, Tensors or tf.Variables. rate * scale must be
        in [0, 1).
      scale: multiplies every rate: a number, a scalar Tensor or tf.Variable. In a tf.function a Python number is fixed
        when it is traced: a schedule needs a Tensor or a tf.Variable.
      backend: "auto", "native" (the compiled op or an error) or "tensorflow" (its twin in public ops).

    Returns: None.

    Raises: InvalidOptionError, InvalidRateError, UnsupportedUpdateError, NativeOpError; where a rate or scale, or its
      shape, is known only when a tf.function runs, tf.errors.InvalidArgumentError, which names the variables. After any
      of them no variable was changed.

    Example:
      >>> @tf.function
      ... def train_step(x, y):
      ...     with tf.GradientTape() as tape:
      ...         loss = loss_of(model(x), y)
      ...     weights = model.trainable_variables
      ...     optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
      ...     tf1_wd.tf2.decay([w for w in weights if not tf1_wd.bias_and_norm(w)], 1e-3)

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
    """
    if _tf.builds_a_graph():
        raise UnsupportedUpdateError(
            "tf1_wd.tf2.decay is for eager mode and tf.function, and this is a graph of TensorFlow 1: use "
            "tf1_wd.decoupled_weight_decay, or leave out disable_v2_behavior() and tf.Graph().as_default()"
        )
    variables = [_variable(v) for v in _listed(variables)]
    if not variables:
        raise InvalidOptionError("variables is empty: give at least one variable to decay")
    _refuse_twice(variables)
    rates, scale = _number(rates, "rates", len(variables)), _number(scale, "scale", len(variables))
    check_rates(variables, rates, scale)
    rates, scale = with_known_shapes(variables, rates, scale)
    groups: dict[tuple[str, tf.DType], list[tuple[int, tf.Variable]]] = {}
    for i, variable in enumerate(variables):
        for copy in _copies(variable):
            groups.setdefault((copy.device, copy.dtype.base_dtype), []).append((i, copy))
    # No group decays if a rate of another is wrong.
    with tf.control_dependencies(range_checks(variables, rates * scale)):
        for (device, _), members in groups.items():
            indices = [i for i, _ in members]
            with on_device(device):
                chosen = rates if rates.shape.rank == 0 else tf.gather(rates, indices)
                decay_op([copy for _, copy in members], chosen, scale, backend=backend)


def _listed(variables: Any) -> list[Any]:
    if hasattr(variables, "dtype"):
        raise InvalidOptionError("variables is one variable or array: give a list of variables")
    try:
        return list(variables)
    except TypeError:
        raise InvalidOptionError("variables must be a list of variables; got %r" % (variables,)) from None


def _variable(variable: Any) -> tf.Variable:
    """The tf.Variable itself, or the one in a variable of Keras 3."""
    value = getattr(variable, "value", None)  # a method of tf.Variable, and a property there
    inside: Any = variable if callable(value) else value
    if not _tf.is_resource(inside):
        raise InvalidOptionError("variables must be tf.Variables or variables of Keras; got %r" % (variable,))
    if not inside.dtype.is_floating:
        raise InvalidOptionError(
            "variable %s is %s: only floating variables can decay" % (eager_name(inside), inside.dtype),
            variable=eager_name(inside),
        )
    return inside


def _refuse_twice(variables: Sequence[tf.Variable]) -> None:
    seen = set()
    for variable in variables:
        if id(variable) in seen:
            name = eager_name(variable)
            raise InvalidOptionError("variable %s is listed twice: it would decay twice" % name, variable=name)
        seen.add(id(variable))


def _copies(variable: tf.Variable) -> list[tf.Variable]:
    """The copies of a variable on the replicas of a distribution strategy, or the variable alone."""
    if _tf.in_replica() and tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise UnsupportedUpdateError(
            "variable %s would decay on each replica of the strategy: call tf1_wd.tf2.decay outside of strategy.run, "
            "where it decays every copy once" % eager_name(variable),
            variable=eager_name(variable),
        )
    return copies_of(variable)


def _number(value: Any, name: str, count: int) -> tf.Tensor:
    """`value` as a Tensor of float64, which holds every rate of float32 exactly."""
    if callable(value) and not hasattr(value, "dtype"):
        raise InvalidOptionError("%s is a function: call it, and pass the number or Tensor that it returns" % name)
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            raise InvalidRateError("%d variables and %d %s: give one for each" % (count, len(value), name))
        return tf.stack([_number(item, name, count) for item in value])
    if hasattr(value, "dtype") and not isinstance(value, (np.ndarray, np.generic)):
        value = tf.convert_to_tensor(value)
        if not (value.dtype.is_floating or value.dtype.is_integer):
            raise InvalidRateError("%s must be real numbers, not %s" % (name, value.dtype.name))
        return tf.cast(value, tf.float64)
    try:
        number = np.asarray(value)
        if number.dtype.kind in "bcSU":  # which NumPy would make numbers of
            raise TypeError(number.dtype.name)
        return tf.constant(number.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidRateError("%s: %r is not a number" % (name, value)) from error
