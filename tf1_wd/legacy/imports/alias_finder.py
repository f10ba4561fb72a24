"""Modules under a second name: `import` finds the very module that another name has."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types


class AliasFinder(importlib.abc.Loader):
    """Finds a module wherever `resolve(name)` answers with one.

    resolve: a function of the dotted name; None where it is not its business.
    """

    def __init__(self, resolve):
        self._resolve = resolve
        self._found = {}
        self._specs = {}

    def find_spec(self, name, path=None, target=None):
        module = self._resolve(name)
        if module is None:
            return None
        self._found[name] = module
        return importlib.machinery.ModuleSpec(name, self, is_package=hasattr(module, "__path__"))

    def create_module(self, spec):
        module = self._found[spec.name]
        self._specs[spec.name] = getattr(module, "__spec__", None)
        return module

    def exec_module(self, module):
        # import has just given it the spec of its second name: it stays what it is elsewhere
        module.__spec__ = self._specs[module.__spec__.name]

    def leave(self):
        """Takes the finder, and the second names, away."""
        sys.meta_path.remove(self)
        for name, module in self._found.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def submodule(module, name):
    """The module `name` of a package, attribute or file, else None."""
    found = getattr(module, name, None)
    if found is None and getattr(module, "__path__", None):
        found = import_or_none("%s.%s" % (module.__name__, name))
    return found if isinstance(found, types.ModuleType) else None


def import_or_none(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
