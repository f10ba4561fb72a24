"""Sends TensorFlow's gradient and update calls to the scope that is open in the calling thread."""

from __future__ import annotations

import contextlib
import threading

from tf1_wd import _tf
from tf1_wd.errors import NestedScopeError

_here = threading.local()
_lock = threading.Lock()
_patches = contextlib.ExitStack()
_open_scopes = 0


def current():
    """The listener of this thread, or None."""
    return getattr(_here, "listener", None)


def listen(listener):
    """Sends the calls of this thread to `listener` until `forget`. TensorFlow is patched while anyone listens.

    listener: has gradients(compute, arguments), apply_gradients(original, optimizer, grads_and_vars, global_step, name,
    **kwargs) and overridden_apply_gradients(original, optimizer, *args, **kwargs). Raises NestedScopeError.
    """
    global _open_scopes
    if current() is not None:
        raise NestedScopeError(
            "a weight decay scope is open already: every weight would decay twice. Keep the one that is nearest to the "
            "optimizer"
        )
    with _lock:
        if _open_scopes == 0:
            _patches.enter_context(_tf.patched_gradients(_gradients))
            _patches.enter_context(_tf.patched_apply_gradients(_apply_gradients, _overridden_apply_gradients))
        _open_scopes += 1
    _here.listener = listener


def forget():
    """Ends what `listen` began; the last one takes the patches back."""
    global _open_scopes
    _here.listener = None
    with _lock:
        _open_scopes -= 1
        if _open_scopes == 0:
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
