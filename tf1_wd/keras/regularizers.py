"""The L2 that a Keras model's own regularizers make: its rates, and how it leaves the gradient.

Layers of Keras 2 keep a function for each regularized weight; in Keras 3 the weight keeps its regularizer.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import Any, Callable, Collection, Iterable, Iterator, Sequence

import numpy as np

from tf1_wd._tf import builds_a_graph, loss_functions, tf
from tf1_wd.keras.layers import Regularizer, is_keras, underneath, weights_in
from tf1_wd.penalties.probe import scratch_session

_KNOWN = ("L1", "L2", "L1L2", "OrthogonalRegularizer")
_TIMES = (1.0, 64.0, 8.0)  # random weights are tried at these multiples
_CLOSE = 1e-4  # what float32 leaves of a sum over a weight


class Detached:
    """A regularizer whose L2 is in the value of the loss, and in no gradient while `is_decoupled()` is true.

    regularizer: what Keras was given. compute: what gives its value. variable: the weight.
    """

    def __init__(
        self, regularizer: Any, compute: Callable[..., Any], variable: Any, is_decoupled: Callable[[], bool]
    ) -> None:
        self.regularizer, self.variable = regularizer, variable
        self.compute, self._is_decoupled = compute, is_decoupled
        self._read = read(regularizer, variable.shape)

    def __call__(self, *weight: Any) -> Any:
        value = self.compute(*weight)
        if not self._is_decoupled():  # compiled anew: without a decay the L2 is what it was
            return value
        if not self._read.has_rest:
            return tf.stop_gradient(value)
        tensor = tf.convert_to_tensor(weight[0] if weight else self.variable)
        l1 = float(getattr(self.regularizer, "l1", 0.0) or 0.0)
        trained = l1 * tf.reduce_sum(tf.abs(tensor)) if l1 else value - self._l2(tensor)
        return trained + tf.stop_gradient(value - trained)

    def _l2(self, weight: Any) -> Any:
        rate = self._read.rate() if callable(self._read.rate) else self._read.rate
        return tf.stop_gradient(tf.cast(rate, weight.dtype)) * tf.nn.l2_loss(weight)


def read_all(layers: Iterable[Any]) -> dict[int, Regularizer]:
    """{id of what is underneath a weight: what its regularizer is} of those weights that have one.

    layers: all layers of a model.
    """
    return {id(underneath(weight)): read(regularizer, weight.shape) for weight, regularizer in regularizers_of(layers)}


def regularizers_of(layers: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """(weight, its regularizer) of all weights of these layers that have one."""
    for layer in layers:
        for function in loss_functions(layer) or ():
            weight, regularizer = _of_weight(function)
            if regularizer is not None:
                yield weight, regularizer
        for weight in weights_in(layer):
            regularizer = getattr(weight, "regularizer", None)  # in Keras 3
            if regularizer is not None:
                yield weight, getattr(regularizer, "regularizer", regularizer)


def read(regularizer: Any, shape: Iterable[Any]) -> Regularizer:
    """What a regularizer is, of which L2 is rate / 2 |w|^2.

    A function, or a class of one's own, is tried on random weights of the shape.
    """
    if type(regularizer).__name__ in _KNOWN and is_keras(type(regularizer)):
        rest = [getattr(regularizer, name, 0.0) for name in ("l1", "factor")]
        return Regularizer(2.0 * float(getattr(regularizer, "l2", 0.0)), any(float(number) for number in rest))
    random = np.random.RandomState(0)
    dims = [int(getattr(n, "value", n)) for n in shape]
    weights = [random.normal(size=dims).astype(np.float32) for _ in range(2)]
    try:
        values = np.array(_values(regularizer, [t * w for w in weights for t in _TIMES])).reshape(len(weights), -1)
        variables = not builds_a_graph() and _reads_variables(regularizer, dims)
    except Exception:  # of any kind: the regularizer is the user's
        return Regularizer(None, True)
    squares = [np.sum(np.square(w, dtype=np.float64)) for w in weights]
    rates = 2.0 * _second_degree(values[:, 0], values[:, 1]) / squares
    first = values[:, 0] - rates * squares / 2.0  # what a weight that is t times as large makes t times as large
    fits = np.allclose(values[:, 2], _TIMES[2] * first + _TIMES[2] ** 2 * rates * squares / 2.0, rtol=_CLOSE, atol=0.0)
    if not (fits and np.allclose(rates, rates[0], rtol=_CLOSE, atol=0.0)):
        return Regularizer(None, True)
    if not rates[0] * squares[0] > _CLOSE * abs(values[0, 0]):
        return Regularizer(None, True)
    has_rest = not np.allclose(first, 0.0, atol=_CLOSE * np.max(np.abs(values[:, 0])))
    return Regularizer(_following(regularizer, dims) if variables else float(rates[0]), has_rest)


def rate_of(regularizer: Any, shape: Iterable[Any]) -> float | None:
    """The rate of a regularizer, if it is the same in each step; 0.0 if it has no L2, None if that is not known."""
    rate = read(regularizer, shape).rate
    return rate if isinstance(rate, float) else None


def _second_degree(one: Any, many: Any) -> Any:
    """The part of f(w) that grows with the square of w, of f(w) and f(t w), where the other part grows with w."""
    t = _TIMES[1]
    return (many - t * one) / (t * t - t)


def _reads_variables(regularizer: Callable[[Any], Any], dims: Sequence[int]) -> bool:
    """True if the value depends on variables too, a coefficient say, in eager mode."""
    traced = tf.function(lambda w: regularizer(w), autograph=False)
    traced = traced.get_concrete_function(tf.TensorSpec(dims, tf.float32))
    return any(tensor.dtype == tf.resource for tensor in traced.captured_inputs)


def _following(regularizer: Callable[[Any], Any], dims: Sequence[int]) -> Callable[[], Any]:
    """A function that computes the rate from what the variables of a regularizer are when it is called."""

    def rate() -> Any:
        ones = tf.ones(dims)
        return 2.0 * _second_degree(regularizer(ones), regularizer(_TIMES[1] * ones)) / float(np.prod(dims))

    return rate


def _values(regularizer: Callable[[Any], Any], weights: Sequence[np.ndarray]) -> list[float]:
    if not builds_a_graph():
        return [float(regularizer(tf.constant(w))) for w in weights]
    with tf.Graph().as_default() as scratch:
        tensors = [tf.convert_to_tensor(regularizer(tf.constant(w))) for w in weights]
        with contextlib.closing(scratch_session(scratch)) as session:
            return [float(value) for value in session.run(tensors)]


def take_out(layers: Iterable[Any], chosen: Collection[int], is_decoupled: Callable[[], bool]) -> None:
    """Takes the L2 of some weights out of the gradients of a model in eager mode, and leaves it in the loss's value.

    layers: all layers of the model. chosen: ids of what is underneath the weights. is_decoupled: says, in each call,
    whether they decay.
    """
    for layer in layers:
        functions = loss_functions(layer) or []
        for i, function in enumerate(functions):
            weight, regularizer = _of_weight(function)
            if regularizer is not None and id(underneath(weight)) in chosen:
                functions[i] = Detached(regularizer, _original(function), weight, is_decoupled)
        for weight in weights_in(layer):
            regularizer = getattr(weight, "regularizer", None)
            if regularizer is not None and id(underneath(weight)) in chosen:
                regularizer = _original(regularizer)
                weight.regularizer = Detached(regularizer, regularizer, weight, is_decoupled)


def _original(function: Any) -> Any:
    return function.compute if isinstance(function, Detached) else function


def l2_of_functions(layers: Iterable[Any], weights: Sequence[Any]) -> list[Any]:
    """Those weights of which a function given to add_loss is L2, as far as their values tell, in eager mode.

    L2 of w has a gradient in the direction of w, and is half of their product: |w|^2 is of degree 2.
    """
    found = []
    for function in [f for layer in layers for f in loss_functions(layer) or () if _of_weight(f)[1] is None]:
        with tf.GradientTape() as tape:
            value = function()
        for weight, gradient in zip(weights, tape.gradient(value, list(weights))):
            if gradient is not None and _is_l2(np.asarray(weight, np.float64), gradient, float(value)):
                found.append(weight)
    return found


def _is_l2(weight: np.ndarray, gradient: Any, value: float) -> bool:
    slopes = np.asarray(tf.convert_to_tensor(gradient), np.float64)
    product, square = np.sum(slopes * weight), np.sum(weight * weight)
    if not product > 0.0:
        return False
    is_along = np.allclose(slopes, product / square * weight, rtol=_CLOSE, atol=_CLOSE * np.max(np.abs(slopes)))
    return is_along and abs(value - product / 2) < _CLOSE * abs(value)


def _of_weight(function: Any) -> tuple[Any, Any]:
    """(weight, regularizer) of a function that Keras 2 made of a regularizer; (None, None) of another."""
    if isinstance(function, Detached):
        return function.variable, function.regularizer
    while isinstance(function, functools.partial) and function.args:
        inner = function.args[0]
        if hasattr(inner, "dtype") and inspect.isfunction(function.func):
            # `regularizer` is what the function is made around, in Layer._handle_weight_regularization
            return inner, inspect.getclosurevars(function.func).nonlocals.get("regularizer")
        function = inner
    return None, None
