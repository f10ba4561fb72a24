"""tf.estimator on TensorFlow 2.16 and later, where tensorflow-estimator 2.15.0 is installed; reversible."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

from tf1_wd.errors import GoneError
from tf1_wd.legacy.tables.moves import GONE

# TensorFlow's module -> the module of tensorflow-estimator that was its attribute `estimator` up to 2.15
_HOMES = {
    "tensorflow": "tensorflow_estimator.python.estimator.api._v2.estimator",
    "tensorflow.compat.v1": "tensorflow_estimator.python.estimator.api._v1.estimator",
}


# what tensorflow-estimator asks of a module that is gone, and the answer without it
_ANSWERS = {"should_run_distribute_coordinator": lambda config: False}


def put_back(stack):
    """Puts tf.estimator back, and stand-ins for the modules that it imports and TensorFlow no longer has.

    It changes nothing where TensorFlow has tf.estimator, or where tensorflow-estimator is not installed. TensorFlow
    must be imported. stack: contextlib.ExitStack that takes everything back.
    """
    gone = [g for g in GONE if importlib.util.find_spec(g.module) is None]
    if not gone or importlib.util.find_spec("tensorflow_estimator") is None:
        return
    for module, what in gone:
        _insert(stack, _StandIn(module, what))
    _name_the_api(stack)
    # lazy as in 2.15: it imports Keras
    from tensorflow.python.util.lazy_loader import LazyLoader

    for name, home in _HOMES.items():
        owner: Any = importlib.import_module(name)  # compat.v1 is lazy
        if "estimator" not in vars(owner):
            owner.estimator = LazyLoader("estimator", vars(owner), home)
            stack.callback(delattr, owner, "estimator")


class _StandIn(types.ModuleType):
    """A module whose names are all there, and are errors once they are used."""

    def __init__(self, name, what):
        super().__init__(name, "A stand-in for what TensorFlow 2.16 took away.")
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)
        self._what = what

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, _ANSWERS.get(name) or _gone(self.__name__, name, self._what))
        return getattr(self, name)


def _gone(module, name, what):
    """A class, because isinstance is asked of it, that cannot be called."""

    def refuse(self, *args, **kwargs):
        raise GoneError(
            "%s.%s is gone from this TensorFlow, so there is no %s: leave it out, or use TensorFlow 2.15"
            % (module, name, what)
        )

    return type(name, (), {"__init__": refuse})


def _insert(stack, module):
    parent, _, name = module.__name__.rpartition(".")
    parent = importlib.import_module(parent)
    sys.modules[module.__name__] = module
    stack.callback(sys.modules.pop, module.__name__, None)
    setattr(parent, name, module)
    stack.callback(delattr, parent, name)


def _name_the_api(stack):
    """The name under which tensorflow-estimator registers its symbols.

    Private: tf_export.ESTIMATOR_API_NAME and the entries under it (they are there in 2.15.1, and not in 2.21.0).
    """
    from tensorflow.python.util import tf_export

    tf_export.ESTIMATOR_API_NAME = "estimator"
    stack.callback(delattr, tf_export, "ESTIMATOR_API_NAME")
    for table, version in ((tf_export.API_ATTRS, ""), (tf_export.API_ATTRS_V1, "_v1")):
        like = type(table[tf_export.TENSORFLOW_API_NAME])
        table["estimator"] = like("_estimator_api_names" + version, "_estimator_api_constants" + version)
        stack.callback(table.pop, "estimator")
