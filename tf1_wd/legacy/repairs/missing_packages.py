"""What fails, naming the package to install, where a program asks for something of a package that is missing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

from tf1_wd.errors import MissingPackageError
from tf1_wd.legacy.imports.alias_finder import find_by
from tf1_wd.legacy.tables.keras import HOMES

# Keras 3's cannot train in graph mode. tensorflow-estimator asks tf.keras for Model, and does not train it.
_OF_KERAS_2 = ("Sequential", "models")


class Missing(types.ModuleType):
    """A module of a package that is not installed: whatever is asked of it says how to install the package."""

    def __init__(self, name, package, names=None, beyond=None):
        """names: those that need the package, all by default. beyond: the module that has the others."""
        super().__init__(name)
        self.__path__ = []
        self._package, self._names, self._beyond = package, names, beyond

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if self._names is None or name in self._names:
            raise MissingPackageError.of("%s.%s" % (self.__name__, name), self._package)
        return getattr(self._beyond, name)

    def __dir__(self):
        return dir(self._beyond) if self._beyond is not None else []


def put_missing_keras(stack):
    """Names tf-keras where a program asks for what Keras 3 lacks, or cannot train in graph mode.

    stack: contextlib.ExitStack that takes it back.
    """
    from tensorflow.compat import v1

    _set(stack, v1, "layers", Missing("tensorflow.layers", "tf_keras"))
    _set(stack, v1.nn, "rnn_cell", Missing("tensorflow.nn.rnn_cell", "tf_keras"))
    _set(stack, v1, "keras", Missing("tensorflow.keras", "tf_keras", _OF_KERAS_2, v1.keras))
    if importlib.util.find_spec("keras") is not None:
        keras = importlib.import_module("keras")
        facade = Missing("keras", "tf_keras", ("Model", *_OF_KERAS_2), keras)
        vars(facade).update(__path__=keras.__path__, __version__=keras.__version__)
        for module in (facade, Missing("keras.models", "tf_keras")):
            stack.callback(sys.modules.__setitem__, module.__name__, sys.modules[module.__name__])
            sys.modules[module.__name__] = module
    find_by(_refuse_module_of_keras_2, stack, last=True)


def _refuse_module_of_keras_2(name):
    if name.startswith("keras.") and name[len("keras.") :] in HOMES:
        raise MissingPackageError.of(name, "tf_keras")


def _set(stack, owner, name, value):
    stack.callback(setattr, owner, name, vars(owner).get(name, getattr(owner, name)))
    setattr(owner, name, value)
