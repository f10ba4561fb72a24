"""`import tensorflow` as TF1 code means it: the names of tf.compat.v1 first, then those of TensorFlow 2."""

from __future__ import annotations

import importlib
import sys
import types

from tf1_wd.legacy.imports.alias_finder import find_by, submodule

# Real directories: what is imported below them is found as ever, by path.
_REAL = ("_api", "compat", "compiler", "core", "contrib", "examples", "include", "lite", "python", "tools", "tsl")


def put_facade(stack):
    """Puts the facade in the place of the module `tensorflow`, and makes `import tensorflow.nn` give compat.v1's.

    stack: contextlib.ExitStack that takes it back. Modules that hold the real TensorFlow already keep it.
    """
    real = sys.modules["tensorflow"]
    if isinstance(real, Facade):
        return
    facade = Facade(real)
    sys.modules["tensorflow"] = facade
    stack.callback(_take_back, facade, real)
    find_by(_of_v1(real.compat.v1), stack)


class Facade(types.ModuleType):
    """Answers `tf.x` with tf.compat.v1.x, with TensorFlow 2's x where v1 has none, and with tf.contrib."""

    def __init__(self, real):
        super().__init__("tensorflow", real.__doc__)
        for name in ("__file__", "__loader__", "__package__", "__path__", "__spec__", "__version__", "compat"):
            setattr(self, name, getattr(real, name))
        self._tf1_wd_real = real

    def __getattr__(self, name):
        v1 = self._tf1_wd_real.compat.v1
        if name == "__all__":
            return [n for n in dir(self) if not n.startswith("_")]
        if name == "contrib":
            return importlib.import_module("tensorflow.contrib")
        if name == "Tensor":
            return _tensor_class(v1)
        # what is internal is for libraries of TensorFlow 2, such as Keras 3
        for owner in (self._tf1_wd_real,) if name == "__internal__" else (v1, self._tf1_wd_real):
            if hasattr(owner, name):
                return getattr(owner, name)
        raise AttributeError("module 'tensorflow' has no attribute %r, neither in compat.v1 nor in TensorFlow 2" % name)

    def __dir__(self):
        return sorted({"contrib", *dir(self._tf1_wd_real.compat.v1), *dir(self._tf1_wd_real)})


def _tensor_class(v1):
    """The class of the tensors that are made here: programs write `type(x) is tf.Tensor`.

    In a graph, and from 2.14 on, it is a subclass of tf.Tensor. Eager tensors, in a py_function say, had one of their
    own in TF 1 too.
    """
    from tensorflow.python.framework import ops

    return v1.Tensor if v1.executing_eagerly() else getattr(ops, "SymbolicTensor", v1.Tensor)


def _take_back(facade, real):
    if sys.modules.get("tensorflow") is facade:
        sys.modules["tensorflow"] = real
    for name, value in vars(facade).items():  # submodules of TensorFlow that were imported meanwhile
        if isinstance(value, types.ModuleType) and value.__name__ == "tensorflow." + name and not hasattr(real, name):
            setattr(real, name, value)


def _of_v1(v1):
    """Resolves `tensorflow.nn`, `tensorflow.keras.layers`: to the modules that are attributes of compat.v1."""

    def resolve(name):
        top, *parts = name.split(".")
        if top != "tensorflow" or not parts or parts[0] in _REAL:
            return None
        module = v1
        for part in parts:
            module = module and submodule(module, part)
        return module

    return resolve
