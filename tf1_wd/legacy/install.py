"""Makes TF1 code, tf-slim first, find on TensorFlow 2.14 and later what it found on 1.15; reversible."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys

from tf1_wd.errors import Tf1WdError
from tf1_wd.legacy.estimator import put_back
from tf1_wd.legacy.moves import MOVES

_SWITCH = "TF_USE_LEGACY_KERAS"

# slim.batch_norm takes its layer from this attribute, a lazy module with a target that is nowhere (2.15.1, 2.21.0)
_NORMALIZATION = ("tensorflow.python.layers.normalization", "normalization")
_BROKEN_TARGET = "tf_keras.legacy_tf_layers.normalization"


class KerasChosenError(Tf1WdError, RuntimeError):
    """Keras 3 is in use already, and TF1 code needs Keras 2: call install() before TensorFlow is used."""


def install():
    """Imports TensorFlow with Keras 2 behind tf.layers and tf.nn.rnn_cell, and puts moved names back.

    Where tensorflow-estimator is installed (`pip install tensorflow-estimator==2.15.0` leaves TensorFlow as it is),
    tf.estimator is back too; TPUs and distribution strategies in it are not.

    On TF 1.15 it changes nothing. A name that TensorFlow still has is left alone, so a second call changes nothing
    either. Call it before TensorFlow is imported: submodules of tf.keras (`from tensorflow.keras.layers import ...`)
    are found by what the environment says then.

    Returns: a contextlib.ExitStack; its close() takes everything back. Also a context manager.

    Raises: KerasChosenError, if the program has taken something from Keras 3 already.
    """
    with contextlib.ExitStack() as stack:
        if _SWITCH not in os.environ and importlib.util.find_spec("tf_keras") is not None:
            _refuse_keras_3()
            os.environ[_SWITCH] = "1"
            stack.callback(os.environ.pop, _SWITCH, None)
        for owner, name, value in _missing():
            setattr(owner, name, value)
            stack.callback(delattr, owner, name)
        _repair_normalization(stack)
        put_back(stack)
        return stack.pop_all()


def _refuse_keras_3():
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return
    v1 = tensorflow.compat.v1
    for module in (tensorflow.keras, v1.keras, v1.layers, v1.nn.rnn_cell):
        # vars, because a lazy module makes its choice when asked for an attribute
        if str(vars(module).get("__name__")).startswith("keras._tf_keras"):
            raise KerasChosenError(
                "Keras 3 is in use already, and TF1 code needs Keras 2 (tf-keras): call tf1_wd.legacy.install() before "
                "TensorFlow is imported, or set %s=1" % _SWITCH
            )


def _missing():
    """(owner, name, value) of each moved name that this TensorFlow lacks."""
    for move in MOVES:
        owner = importlib.import_module(move.old)
        if not hasattr(owner, move.name):
            module, name = move.new.split(":")
            yield owner, move.name, getattr(importlib.import_module(module), name)


def _repair_normalization(stack):
    module, name = _NORMALIZATION
    owner = importlib.import_module(module)
    broken = vars(owner).get(name)
    if getattr(broken, "__name__", None) != _BROKEN_TARGET:
        return
    from tensorflow.python.util.lazy_loader import LazyLoader  # lazy as before: Keras takes a second to import

    setattr(owner, name, LazyLoader(name, vars(owner), "%s.src.legacy_tf_layers.normalization" % _keras_2()))
    stack.callback(setattr, owner, name, broken)


def _keras_2():
    """Where Keras 2 is: in tf-keras, which TF 2.15 and before need not have."""
    from tensorflow import __version__ as version

    before_keras_3 = tuple(map(int, version.split(".")[:2])) < (2, 16)
    return "keras" if before_keras_3 and importlib.util.find_spec("tf_keras") is None else "tf_keras"
