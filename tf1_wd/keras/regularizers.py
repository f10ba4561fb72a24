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
from tf1_wd.keras.layers import underneath, weights_in
from tf1_wd.penalties.probe import scratch_session

_KNOWN = ("L1", "L2", "L1L2", "OrthogonalRegularizer")
_CLOSE = 1e-4  # what float32 leaves of a sum over a weight


class Detached:
    """A regularizer whose L2 is in the value of the loss, and in no gradient while `is_decoupled()` is true.

    regularizer: what Keras was given. compute: what gives its value. variable: the weight; None: compute is given it.
    """

    def __init__(
        self, regularizer: Any, compute: Callable[..., Any], variable: Any, is_decoupled: Callable[[], bool]
    ) -> None:
        self.regularizer, self.variable = regularizer, variable
        self.compute, self._is_decoupled = compute, is_decoupled

    def __call__(self, *weight: Any) -> Any:
        value = self.compute(*weight)
        if not self._is_decoupled():  # compiled anew: without a decay the L2 is what it was
            return value
        l1 = float(getattr(self.regularizer, "l1", 0.0) or 0.0)
        if not l1:
            return tf.stop_gradient(value)
        trained = l1 * tf.reduce_sum(tf.abs(tf.convert_to_tensor(weight[0] if weight else self.variable)))
        return trained + tf.stop_gradient(value - trained)


def rates_of(layers: Iterable[Any]) -> dict[int, float | None]:
    """{id of what is underneath a weight: rate of its regularizer, see `rate_of`} of those weights that have one.

    layers: all layers of a model.
    """
    return {
        id(underneath(weight)): rate_of(regularizer, weight.shape) for weight, regularizer in regularizers_of(layers)
    }


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


def rate_of(regularizer: Any, shape: Iterable[Any]) -> float | None:
    """The rate r of a regularizer whose L2 is r / 2 |w|^2; 0.0 if it has no L2, None if it is not known to be L2.

    A function, or a class of one's own, is tried on random weights of the shape.
    """
    if type(regularizer).__name__ in _KNOWN:
        return 2.0 * float(getattr(regularizer, "l2", 0.0))
    random = np.random.RandomState(0)
    dims = [int(n) for n in shape]
    weights = [random.normal(size=dims).astype(np.float32) for _ in range(2)]
    weights.append(3.0 * weights[0])
    try:
        values = _values(regularizer, weights)
    except Exception:  # of any kind: the regularizer is the user's
        return None
    rates = [2.0 * value / np.sum(np.square(w, dtype=np.float64)) for value, w in zip(values, weights)]
    return rates[0] if np.allclose(rates, rates[0], rtol=_CLOSE, atol=0.0) and rates[0] > 0.0 else None


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
                weight.regularizer = Detached(regularizer, regularizer, None, is_decoupled)


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
