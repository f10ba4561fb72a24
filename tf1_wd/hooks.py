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


def current():
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
    if current() is not None:
        raise NestedScopeError(
            "a weight decay scope is open already: every weight would decay twice. Keep the one that is nearest to the "
            "optimizer"
        )
    with _lock:
        if not _listeners:
            _patches.enter_context(_tf.patched_gradients(_gradients))
            _patches.enter_context(_tf.patched_apply_gradients(_apply_gradients, _overridden_apply_gradients))
        _listeners.append((listener, None if _tf.in_replica() else tf.get_default_graph()))
    _here.listener = listener


def forget():
    """Ends what `listen` began; the last one takes the patches back."""
    with _lock:
        _listeners[:] = [pair for pair in _listeners if pair[0] is not _here.listener]
        if not _listeners:
            _patches.close()
    _here.listener = None


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
