"""Modules that TensorFlow took away: they can be imported, and what is asked of them fails once it is used."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types

from tf1_wd.errors import GoneError
from tf1_wd.legacy.tables.moves import GONE

# what tensorflow-estimator asks of a module that is gone, and the answer without it
_ANSWERS = {"should_run_distribute_coordinator": lambda config: False}


def put_gone(stack):
    """Puts a stand-in for each module of GONE that is not there. stack: contextlib.ExitStack that takes it back."""
    for row in GONE:
        if importlib.util.find_spec(row.module) is None:
            _insert(stack, _StandIn(row))


class _StandIn(types.ModuleType):
    """A module whose names are all there, and are errors once they are used."""

    def __init__(self, row):
        super().__init__(row.module, "A stand-in for what TensorFlow took away.")
        self.__spec__ = importlib.machinery.ModuleSpec(row.module, None)
        self._row = row

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, _ANSWERS.get(name) or _gone(self._row, name))
        return getattr(self, name)


def _gone(row, name):
    """A class, because isinstance is asked of it, that cannot be called."""

    def refuse(self, *args, **kwargs):
        raise GoneError(
            "%s.%s is gone from this TensorFlow, so there is no %s: leave it out, or use TensorFlow %s"
            % (row.module, name, row.what, row.release)
        )

    return type(name, (), {"__init__": refuse})


def _insert(stack, module):
    parent, _, name = module.__name__.rpartition(".")
    parent = importlib.import_module(parent)
    sys.modules[module.__name__] = module
    stack.callback(sys.modules.pop, module.__name__, None)
    setattr(parent, name, module)
    stack.callback(delattr, parent, name)
