"""tensorflow.contrib on TensorFlow 2: modules that answer name by name, when asked, from the table of moves."""

from __future__ import annotations

import importlib
import importlib.machinery
import operator
import types

import tf1_wd.legacy.tables.contrib as table
from tf1_wd.errors import PACKAGES, MissingPackageError, NoStandInError, NoStandInImportError
from tf1_wd.legacy.imports.alias_finder import find_by

_ADVICE = "leave it out, say it in tf.compat.v1, or run on TensorFlow 1.15 (docs/guide/legacy.md lists what is there)"


def put_contrib(stack):
    """Makes tensorflow.contrib.* and tensorflow.examples.* importable, in every spelling.

    stack: contextlib.ExitStack that takes it back.
    """
    find_by(_resolve, stack, last=True)  # what TensorFlow has itself wins


def _resolve(name):
    if not table.is_below_a_root(name):
        return None
    if not table.is_module(name):
        # asked by name: an error that Python does not swallow, as it would a ModuleNotFoundError
        raise NoStandInImportError(_refusal(name))
    return _Module(name)


class _Module(types.ModuleType):
    """A module of the table: each name is looked up when it is first asked for.

    A name without a stand-in is an AttributeError right here, not an object that fails later: so hasattr, getattr with
    a default and `try ... except AttributeError` in programs work, and the traceback points at the line that names it.
    """

    def __init__(self, name):
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        self.__path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._find(name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name, value):
        # Python sets a submodule as an attribute of its package. contrib's arg_scope is a function there, as the
        # package imported it from the module of the same name.
        full = "%s.%s" % (self.__name__, name)
        if not (isinstance(value, _Module) and full in table.MOVES):
            super().__setattr__(name, value)

    def _find(self, name):
        full = "%s.%s" % (self.__name__, name)
        if full in table.MOVES:
            return load(table.MOVES[full])
        if table.is_module(full):
            return importlib.import_module(full)
        # a deep module answers with the names of its package too, wherever they were in it
        for module in (self.__name__, table.package_of(self.__name__)):
            short = "%s.%s" % (module, name)
            if short in table.MOVES:
                return load(table.MOVES[short])
            if module in table.HOMES and hasattr(load(table.HOMES[module]), name):
                return getattr(load(table.HOMES[module]), name)
        raise NoStandInError(_refusal(full))

    def __dir__(self):
        row = table.HOMES.get(self.__name__)
        return sorted({*table.children(self.__name__), *(dir(load(row)) if row else ())})


def load(move):
    """What stands in for a moved name."""
    module, _, path = move.new.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        package = (getattr(error, "name", None) or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise MissingPackageError.of(move.old, package) from error
    return operator.attrgetter(path)(loaded) if path else loaded


def _refusal(name):
    return "%s is gone from TensorFlow 2, and tf1_wd has no stand-in for it: %s" % (name, _ADVICE)
