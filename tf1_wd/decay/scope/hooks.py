"""Sends TensorFlow's gradient and update calls to the scope that is open in the calling thread."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any, Callable, Iterator

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.errors import NestedScopeError


class Listener:
    """Hears the calls of TensorFlow that `listen` or `everywhere` sends to it. By itself it lets each of them pass.

    lets_attach: True if the listener only watches, so that a program may call attach.
    """

    lets_attach = False

    def gradients(self, compute: Callable[..., list], arguments: dict[str, Any]) -> list:
        """Hears one call of tf.gradients, and returns its result.

        compute: makes the gradients. arguments: what it takes, by name: ys, xs, grad_ys, stop_gradients and others.
        """
        return compute(**arguments)

    def apply_gradients(
        self, original: Callable[..., Any], optimizer: tf.train.Optimizer, *args: Any, **kwargs: Any
    ) -> Any:
        """Hears one call of tf.train.Optimizer.apply_gradients, and returns its train_op.

        original: that method; it takes the optimizer, then args and kwargs: grads_and_vars, global_step, name.
        """
        return original(optimizer, *args, **kwargs)

    def overridden_apply_gradients(
        self, original: Callable[..., Any], optimizer: tf.train.Optimizer, *args: Any, **kwargs: Any
    ) -> Any:
        """As apply_gradients, of a class with an apply_gradients of its own, which may call that of tf.train.Optimizer.

        original: the method of that class.
        """
        return original(optimizer, *args, **kwargs)

    def keras_apply_gradients(
        self, original: Callable[..., Any], optimizer: Any, grads_and_vars: Any, name: str | None = None, **kwargs: Any
    ) -> Any:
        """As apply_gradients, of an optimizer of Keras 2, which counts steps in `iterations` of its own.

        original: the method of OptimizerV2; it takes the optimizer, grads_and_vars, name and kwargs.
        """
        return original(optimizer, grads_and_vars, name, **kwargs)

    def give_way(self, decided: Any) -> None:
        """Hears that something else decides what decays: a listener of a scope, or attach.

        decided: has plan (DecayPlan), rules (Rules), and gradient_keys: the keys (graph.key) of what tf.gradients
        returned to it, or None where it heard no such call.
        """

    @property
    def raw_gradients(self) -> set[tf.Operation]:
        """The ops of gradients that, if the program fetches them, may be applied where no listener hears it."""
        return set()


_here = threading.local()
_lock = threading.Lock()
_patches = contextlib.ExitStack()
_listeners: list[
    tuple[Listener, tf.Graph | None]
] = []  # of all threads, with the tf.Graph whose replicas it hears, or None
_keras: set[type] = set()  # classes of Keras's optimizers that are patched
_everywhere: list[Listener] = []  # the listener of every thread that has none of its own


def current() -> Listener | None:
    """The listener that a call in this thread goes to, or None."""
    return _of_thread() or (_everywhere[0] if _everywhere else None)


def _of_thread() -> Listener | None:
    """The listener of this thread, or None. A strategy's replica, a thread of its own, has the one around it."""
    own = getattr(_here, "listener", None)
    if own is None and _listeners and _tf.in_replica():
        around = [listener for listener, tf_graph in _listeners if tf_graph is tf.get_default_graph()]
        return around[0] if len(around) == 1 else None
    return own


def listen(listener: Listener) -> None:
    """Sends the calls of this thread to `listener` until `forget`. TensorFlow is patched while anyone listens.

    Raises NestedScopeError.
    """
    if _of_thread() is not None:
        raise NestedScopeError(
            "a weight decay scope is open already: every weight would decay twice. Keep the one that is nearest to the "
            "optimizer"
        )
    with _lock:
        _patch()
        for other in _everywhere:
            other.give_way(listener)
        _listeners.append((listener, None if _tf.in_replica() else tf.get_default_graph()))
    _here.listener = listener


def forget() -> None:
    """Ends what `listen` began; the last one takes the patches back."""
    with _lock:
        _listeners[:] = [pair for pair in _listeners if pair[0] is not _here.listener]
        _unpatch()
    _here.listener = None


@contextlib.contextmanager
def everywhere(listener: Listener) -> Iterator[None]:
    """For the time of the block, the calls of every thread go to `listener`, but where a scope is open, which wins."""
    with _lock:
        _patch()
        _everywhere.append(listener)
    try:
        yield
    finally:
        with _lock:
            _everywhere.remove(listener)
            _unpatch()


def _patch() -> None:
    if not _listeners and not _everywhere:
        _patches.enter_context(_tf.patched_gradients(_gradients))
        _patches.enter_context(_tf.patched_apply_gradients(_apply_gradients, _overridden_apply_gradients))
        _patch_keras()


def _patch_keras() -> None:
    """Patches the optimizers of every Keras 2 that was imported since; each of them calls tf.gradients first."""
    for module in [module for name, module in list(sys.modules.items()) if name.endswith(".optimizer_v2")]:
        kind = vars(module).get("OptimizerV2")
        if kind is not None and kind not in _keras:
            _keras.add(kind)
            _patches.callback(_keras.discard, kind)
            wrapped = _keras_apply_gradients(kind.apply_gradients)
            _patches.enter_context(_tf.patched_attribute(kind, "apply_gradients", wrapped))


def _unpatch() -> None:
    if not _listeners and not _everywhere:
        _patches.close()


_NOBODY = Listener()


def _gradients(compute: Callable[..., list], arguments: dict[str, Any]) -> list:
    with _lock:
        if _listeners or _everywhere:
            _patch_keras()
    return (current() or _NOBODY).gradients(compute, arguments)


def _apply_gradients(original: Callable[..., Any], optimizer: tf.train.Optimizer, *args: Any, **kwargs: Any) -> Any:
    return (current() or _NOBODY).apply_gradients(original, optimizer, *args, **kwargs)


def _overridden_apply_gradients(
    original: Callable[..., Any], optimizer: tf.train.Optimizer, *args: Any, **kwargs: Any
) -> Any:
    return (current() or _NOBODY).overridden_apply_gradients(original, optimizer, *args, **kwargs)


def _keras_apply_gradients(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply_gradients(self: Any, grads_and_vars: Any, name: str | None = None, **kwargs: Any) -> Any:
        return (current() or _NOBODY).keras_apply_gradients(original, self, grads_and_vars, name, **kwargs)

    return apply_gradients
