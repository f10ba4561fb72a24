"""Sends TensorFlow's gradient and update calls to the scope that is open in the calling thread."""

from __future__ import annotations

import contextlib
import threading

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.errors import NestedScopeError

_here = threading.local()
_lock = threading.Lock()
_patches = contextlib.ExitStack()
_listeners: list = []  # (listener, tf.Graph whose replicas it listens to, or None) of all threads
_everywhere: list = []  # the listener of every thread that has none of its own


def current():
    """The listener that a call in this thread goes to, or None."""
    return _of_thread() or (_everywhere[0] if _everywhere else None)


def _of_thread():
    """The listener of this thread, or None. A strategy's replica, a thread of its own, has the one around it."""
    own = getattr(_here, "listener", None)
    if own is None and _listeners and _tf.in_replica():
        around = [listener for listener, graph in _listeners if graph is tf.get_default_graph()]
        return around[0] if len(around) == 1 else None
    return own


def listen(listener):
    """Sends the calls of this thread to `listener` until `forget`. TensorFlow is patched while anyone listens.

    listener: has gradients(compute, arguments), apply_gradients(original, optimizer, grads_and_vars, global_step, name,
    **kwargs) and overridden_apply_gradients(original, optimizer, *args, **kwargs). Raises NestedScopeError.
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


def forget():
    """Ends what `listen` began; the last one takes the patches back."""
    with _lock:
        _listeners[:] = [pair for pair in _listeners if pair[0] is not _here.listener]
        _unpatch()
    _here.listener = None


@contextlib.contextmanager
def everywhere(listener):
    """For the time of the block, the calls of every thread go to `listener`, but where a scope is open, which wins.

    listener: see `listen`; and its give_way(scope) is called when a scope is opened.
    """
    with _lock:
        _patch()
        _everywhere.append(listener)
    try:
        yield
    finally:
        with _lock:
            _everywhere.remove(listener)
            _unpatch()


def _patch():
    if not _listeners and not _everywhere:
        _patches.enter_context(_tf.patched_gradients(_gradients))
        _patches.enter_context(_tf.patched_apply_gradients(_apply_gradients, _overridden_apply_gradients))


def _unpatch():
    if not _listeners and not _everywhere:
        _patches.close()


def _gradients(compute, arguments):
    return compute(**arguments) if current() is None else current().gradients(compute, arguments)


def _apply_gradients(original, optimizer, *args, **kwargs):
    if current() is None:
        return original(optimizer, *args, **kwargs)
    return current().apply_gradients(original, optimizer, *args, **kwargs)


def _overridden_apply_gradients(original, optimizer, *args, **kwargs):
    if current() is None:
        return original(optimizer, *args, **kwargs)
    return current().overridden_apply_gradients(original, optimizer, *args, **kwargs)
