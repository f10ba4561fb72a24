"""What NumPy and SciPy took away, and code of TensorFlow 1's time uses."""

from __future__ import annotations

import functools
import sys
import warnings

from tf1_wd.legacy.imports.alias_finder import find_again

# aliases of Python's own types, gone from NumPy 1.24, and names gone from 2.0
_RENAMED = """
bool=bool int=int float=float complex=complex object=object str=str unicode=str long=int
float_=np.float64 complex_=np.complex128 unicode_=np.str_ string_=np.bytes_
Inf=np.inf Infinity=np.inf infty=np.inf PINF=np.inf NINF=-np.inf NaN=np.nan NAN=np.nan
product=np.prod cumproduct=np.cumprod sometrue=np.any alltrue=np.all in1d=np.isin trapz=np.trapezoid
row_stack=np.vstack mat=np.asmatrix round_=np.round
"""

# name -> what it was: an expression over numpy (np)
NAMES = {
    **dict(word.split("=") for word in _RENAMED.split()),
    "msort": "lambda a: np.sort(a, axis=0)",
    "asfarray": "lambda a, dtype=np.float64: np.asarray(a, dtype=dtype)",
    "asscalar": "lambda a: a.item()",
}

# module -> where it is now (SciPy 1.8); the first is still there, but no package
MODULES = {
    "scipy.sparse.linalg.eigen": "scipy.sparse.linalg._eigen",
    "scipy.sparse.linalg.eigen.arpack": "scipy.sparse.linalg._eigen.arpack",
}


def put_others(stack):
    """Puts back what the installed NumPy and SciPy lack. stack: contextlib.ExitStack that takes it away again."""
    import numpy as np

    for name, meaning in NAMES.items():
        if name not in vars(np):  # hasattr would warn
            setattr(np, name, eval(meaning, {"np": np}))
            stack.callback(delattr, np, name)
    if _refuses_ragged_lists(np):
        for name in ("array", "asarray"):
            original = getattr(np, name)
            setattr(np, name, _of_ragged_lists(np, original))
            stack.callback(setattr, np, name, original)
    find_again(MODULES, stack)


def _refuses_ragged_lists(np):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            np.array([[1], [1, 2]])
        except ValueError:  # from 1.24 on
            return True
    return False


def _of_ragged_lists(np, original):
    """np.array as it was until 1.23: lists of unequal lengths make an array of objects. For the program's own calls."""

    @functools.wraps(original)
    def array(*args, **kwargs):
        try:
            return original(*args, **kwargs)
        except ValueError as error:
            caller = sys._getframe(1).f_code.co_filename
            given = len(args) > 1 or "dtype" in kwargs
            if given or "inhomogeneous" not in str(error) or "site-packages" in caller or "dist-packages" in caller:
                raise
            warnings.warn("an array of objects is made of lists of unequal lengths", stacklevel=2)
            return original(*args, dtype=object, **kwargs)

    return array
