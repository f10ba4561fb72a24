"""`import keras` as programs of TensorFlow 1's time mean it: Keras 2's modules, with the classes of tf.keras."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import operator
import sys
import types

import tf1_wd.legacy.tables.keras as table
from tf1_wd.errors import NoStandInError
from tf1_wd.legacy.imports.alias_finder import find_by, import_or_none

_OURS = "tf1_wd.legacy.standins.small.keras"


def put_keras(source, stack, last=False):
    """Makes `import keras`, and the module paths of Keras 2, give the classes of compat.v1.keras.

    They are those that train in graph mode. A Keras that is installed beside keeps its other modules.

    source: the package of Keras 2's own source, "tf_keras.src" say. stack: contextlib.ExitStack that takes it back.
    last: behind all other finders; a Keras that is installed keeps all of its modules.
    """
    beside = importlib.util.find_spec("keras")
    path = list(beside.submodule_search_locations or ()) if beside else []
    for name in [] if last else [name for name in sys.modules if _below_keras(name) in table.HOMES]:
        stack.callback(sys.modules.__setitem__, name, sys.modules.pop(name))

    def resolve(name):
        below = _below_keras(name)
        return _Module(name, below, source, path) if below in table.HOMES else None

    find_by(resolve, stack, last)


def _below_keras(name):
    """The dotted name after `keras.`, "" for keras itself; None for other modules."""
    return name[len("keras.") :] if name == "keras" or name.startswith("keras.") else None


class _Module(types.ModuleType):
    """A module of Keras 2: each name is looked up when it is first asked for."""

    def __init__(self, name, below, source, path):
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        self.__path__ = path if name == "keras" else []
        self._below, self._source = below, source

    def __getattr__(self, name):
        if name == "__version__":
            return _version(self._source)
        if name == "__all__":
            return [name for name in dir(self) if not name.startswith("_")]
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._find(name)
        setattr(self, name, value)
        return value

    def _find(self, name):
        if name in table.children(self._below):
            return importlib.import_module("%s.%s" % (self.__name__, name))
        names = [name, *table.ALIASES.get((self._below, name), ())]
        for home in self._homes():
            for known in names:
                if hasattr(home, known):
                    return getattr(home, known)
        module = import_or_none("%s.%s" % (self.__name__, name)) if self.__path__ else None  # of a Keras beside
        if module is not None:
            return module
        raise NoStandInError(
            "%s.%s is gone from Keras: leave it out, or run on TensorFlow 1.15" % (self.__name__, name)
        )

    def _homes(self):
        """The modules that have the names of this one: those of v1 first, because they train in graph mode."""
        import tensorflow

        for home in table.HOMES[self._below]:
            if home == "ours":
                yield importlib.import_module(_OURS)
            elif home.partition(".")[0] == "src":
                yield import_or_none(self._source + home[len("src") :])
            else:
                for keras in (tensorflow.compat.v1.keras, tensorflow.compat.v2.keras):
                    yield _module_at(keras, home)

    def __dir__(self):
        return sorted(table.children(self._below).union(*(dir(home) for home in self._homes() if home is not None)))


def _module_at(module, path):
    try:
        return operator.attrgetter(path)(module) if path else module
    except AttributeError:  # Keras 2 had it, and tf.keras has not
        return None


def _version(source):
    """That of Keras 2."""
    return importlib.import_module(source.rpartition(".")[0] if source == "tf_keras.src" else source).__version__
