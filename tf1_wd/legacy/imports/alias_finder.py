"""Modules under a second name: `import` finds the very module that another name has."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types


def find_by(resolve, stack, last=False):
    """Makes `import` find a module wherever `resolve(name)` answers with one, in front of Python's own finders.

    resolve: a function of the dotted name; None where it is not its business. stack: contextlib.ExitStack that takes
    it back. last: behind all other finders.
    """
    finder = _Finder(resolve)
    sys.meta_path.insert(len(sys.meta_path) if last else 0, finder)
    stack.callback(finder.leave)


def find_again(homes, stack):
    """Makes `import` find modules under second names: {name: the name of the module}."""
    find_by(lambda name: import_or_none(homes[name]) if name in homes else None, stack)


class _Finder(importlib.abc.Loader):
    def __init__(self, resolve):
        self._resolve = resolve
        self._found = {}
        self._specs = {}

    def find_spec(self, name, path=None, target=None):
        module = self._found.get(name) or self._resolve(name)
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
