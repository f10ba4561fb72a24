"""What SciPy took out of its modules, put back when they are imported."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types

_IMAGES = "tf1_wd.legacy.standins.small.scipy_images"
_OF_IMAGES = "bytescale fromimage imread imresize imrotate imsave toimage"
_WINDOWS = """
barthann bartlett blackman blackmanharris bohman boxcar chebwin cosine exponential flattop gaussian general_gaussian
hamming hann kaiser nuttall parzen triang tukey
"""

# module -> {name: where it is now, (module, name)}
ADDED = {
    "scipy.misc": {
        **{name: (_IMAGES, name) for name in _OF_IMAGES.split()},
        **{name: ("scipy.special", name) for name in ["comb", "factorial", "factorial2", "logsumexp"]},
    },
    "scipy.signal": {
        **{name: ("scipy.signal.windows", name) for name in _WINDOWS.split()},
        "hanning": ("scipy.signal.windows", "hann"),
    },
}


def put_scipy(stack):
    """Gives the modules of SciPy the names of ADDED that they lack. stack: contextlib.ExitStack that takes it back."""
    for name, module in [(name, sys.modules[name]) for name in ADDED if name in sys.modules]:
        _add(module, name, stack)
    finder = _Finder(stack)
    sys.meta_path.insert(0, finder)
    stack.callback(sys.meta_path.remove, finder)


def _add(module, name, stack):
    """Puts a __getattr__ into the module, so that nothing is imported before it is asked for."""
    before = vars(module).get("__getattr__")

    def find(asked):
        if asked in ADDED[name]:
            home, new = ADDED[name][asked]
            return getattr(importlib.import_module(home), new)
        if before is not None:
            return before(asked)
        raise AttributeError("module %r has no attribute %r" % (name, asked))

    module.__getattr__ = find
    stack.callback(_restore, module, before)


def _restore(module, before):
    if before is None:
        del module.__getattr__
    else:
        module.__getattr__ = before


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, stack):
        self._stack = stack

    def find_spec(self, name, path=None, target=None):
        if name not in ADDED or path is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None:
            return None if name != "scipy.misc" else importlib.machinery.ModuleSpec(name, _Loader(None, self._stack))
        spec.loader = _Loader(spec.loader, self._stack)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads a module as its own loader does, if it has one, and adds to it."""

    def __init__(self, loader, stack):
        self._loader, self._stack = loader, stack

    def create_module(self, spec):
        return self._loader.create_module(spec) if self._loader else types.ModuleType(spec.name)

    def exec_module(self, module):
        if self._loader:
            self._loader.exec_module(module)
        _add(module, module.__name__, self._stack)
