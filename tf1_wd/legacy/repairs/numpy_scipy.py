"""What NumPy and SciPy took away, and code of TensorFlow 1's time uses."""

from __future__ import annotations

import ctypes
import functools
import gc
import math
import sys
import types
import warnings

from tf1_wd.legacy.imports.alias_finder import find_again
from tf1_wd.legacy.repairs.scipy_names import put_scipy

# aliases of Python's own types, gone from NumPy 1.24, and names gone from 2.0
_RENAMED = """
bool=bool int=int float=float complex=complex object=object str=str unicode=str long=int
float_=np.float64 complex_=np.complex128 unicode_=np.str_ string_=np.bytes_
Inf=np.inf Infinity=np.inf infty=np.inf PINF=np.inf NINF=-np.inf NaN=np.nan NAN=np.nan
product=np.prod cumproduct=np.cumprod sometrue=np.any alltrue=np.all in1d=np.isin trapz=np.trapezoid
row_stack=np.vstack mat=np.asmatrix round_=np.round
bool8=np.bool_ int0=np.intp uint0=np.uintp object0=np.object_ str0=np.str_ bytes0=np.bytes_ void0=np.void
singlecomplex=np.complex64 cfloat=np.complex128 longfloat=np.longdouble longcomplex=np.clongdouble
rank=np.ndim
"""

# name -> what it was: an expression over numpy (np)
NAMES = {
    **dict(word.split("=") for word in _RENAMED.split()),
    "cast": "_Cast(np)",
    "find_common_type": "_common_type(np)",
    "alen": "lambda a: len(np.array(a, ndmin=1))",
    "msort": "lambda a: np.sort(a, axis=0)",
    "asfarray": "lambda a, dtype=np.float64: np.asarray(a, dtype=dtype)",
    "asscalar": "lambda a: a.item()",
}

# module -> where it is now (SciPy 1.8); the first is still there, but no package
MODULES = {
    "scipy.sparse.linalg.eigen": "scipy.sparse.linalg._eigen",
    "scipy.sparse.linalg.eigen.arpack": "scipy.sparse.linalg._eigen.arpack",
}


# method of an array -> what it was
METHODS = {
    "tostring": lambda array, order="C": array.tobytes(order),
    "itemset": lambda array, *place: array.__setitem__(_place(array, place[:-1]), place[-1]),
}

# function -> {an argument's old name: its name now}
ARGUMENTS = {
    "reshape": {"newshape": "shape"},
    "percentile": {"interpolation": "method"},
    "quantile": {"interpolation": "method"},
    "nanpercentile": {"interpolation": "method"},
    "nanquantile": {"interpolation": "method"},
}
_KINDS = "buifcSUVO"
_OF_TENSORS = ("sum", "prod", "cumsum")


def put_others(stack):
    """Puts back what the installed NumPy and SciPy lack. stack: contextlib.ExitStack that takes it away again."""
    import numpy as np

    for function, names in ARGUMENTS.items():
        _wrap(stack, np, function, _renaming(names))
    for function in _OF_TENSORS:
        _wrap(stack, np, function, _of_tensors(np))
    _wrap(stack, np, "fromstring", _of_bytes(np))
    _wrap(stack, np, "set_printoptions", _printing)
    making = _making(np, _refuses_ragged_lists(np))
    for function in ("array", "asarray"):
        _wrap(stack, np, function, making)
    for name, meaning in NAMES.items():
        if name not in vars(np):  # hasattr would warn
            setattr(np, name, eval(meaning, {"np": np, "_Cast": _Cast, "_common_type": _common_type}))
            stack.callback(delattr, np, name)
    for kind in (np.ndarray, np.generic):
        for name, method in METHODS.items():
            if not hasattr(kind, name):
                _set_method(kind, name, method)
                stack.callback(_set_method, kind, name, None)
    find_again(MODULES, stack)
    put_scipy(stack)


def _wrap(stack, owner, name, wrap):
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrap(original)))
    stack.callback(setattr, owner, name, original)


def _refuses_ragged_lists(np):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            np.array([[1], [1, 2]])
        except ValueError:  # from 1.24 on
            return True
    return False


def _renaming(names):
    def wrap(original):
        def call(*args, **kwargs):
            try:
                return original(*args, **kwargs)
            except TypeError:
                if not set(names) & set(kwargs):
                    raise
            return original(*args, **{names.get(name, name): value for name, value in kwargs.items()})

        return call

    return wrap


def _of_tensors(np):
    """A sum, say, of a list or generator: of tensors it is that of an array of objects, as it was."""

    def wrap(original):
        def call(a, *args, **kwargs):
            if isinstance(a, types.GeneratorType) and original.__name__ == "sum":
                return sum(a)
            return original(_objects(np, a) if _holds_tensors(a) else a, *args, **kwargs)

        return call

    return wrap


def _holds_tensors(value):
    if isinstance(value, (list, tuple)):
        return any(map(_holds_tensors, value))
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.compat.v1.Tensor)


def _objects(np, value):
    """The array of objects of a nested list: each in a box first, because NumPy would read a tensor itself."""

    def boxed(value):
        return [boxed(v) for v in value] if isinstance(value, (list, tuple)) else lambda: value

    return np.frompyfunc(lambda box: box(), 1, 1)(_plain(np.array)(boxed(value), dtype=object))


def _plain(function):
    return getattr(function, "__wrapped__", function)


def _of_bytes(np):
    def wrap(original):
        def fromstring(string, dtype=float, count=-1, **kwargs):
            if kwargs.get("sep", ""):
                return original(string, dtype, count, **kwargs)
            data = string.encode("latin-1") if isinstance(string, str) else string
            return np.frombuffer(data, dtype, count).copy()

        return fromstring

    return wrap


def _printing(original):
    def set_printoptions(*args, **kwargs):
        threshold = kwargs.get("threshold")
        if isinstance(threshold, float) and not math.isfinite(threshold):  # it meant: print all
            kwargs["threshold"] = sys.maxsize
        return original(*args, **kwargs)

    return set_printoptions


def _making(np, refuses_ragged_lists):
    """np.array as it was: of tensors, and of lists of unequal lengths, it makes an array of objects.

    Until 1.23 it did the latter, and until 2.0 it copied although copy=False where it had to. Both are for the
    program's own calls.
    """

    def wrap(original):
        def array(*args, **kwargs):
            if kwargs.get("copy", True) is False and np.__version__ >= "2" and _is_program(sys._getframe(1)):
                kwargs["copy"] = None
            given = len(args) > 1 or "dtype" in kwargs
            try:
                return original(*args, **kwargs)
            except NotImplementedError:
                if given or not args or not _holds_tensors(args[0]) or not isinstance(args[0], (list, tuple)):
                    raise
                return _objects(np, args[0])
            except ValueError as error:
                if not refuses_ragged_lists or given or "inhomogeneous" not in str(error):
                    raise
                if not _is_program(sys._getframe(1)):
                    raise
                warnings.warn("an array of objects is made of lists of unequal lengths", stacklevel=2)
                return original(*args, dtype=object, **kwargs)

        return array

    return wrap


def _is_program(frame):
    return not any(folder in frame.f_code.co_filename for folder in ("site-packages", "dist-packages"))


class _Cast(dict):
    """np.cast[dtype](value)."""

    def __init__(self, np):
        super().__init__()
        self._np = np

    def __missing__(self, dtype):
        return lambda value: self._np.asarray(value).astype(dtype)


def _common_type(np):
    def find_common_type(array_types, scalar_types):
        """The type of the arrays, but that of the scalars where it is of a higher kind."""
        arrays, scalars = (np.result_type(*types) if len(types) else None for types in (array_types, scalar_types))
        if arrays is None or scalars is None:
            return scalars if arrays is None else arrays
        return scalars if _KINDS.index(scalars.kind) > _KINDS.index(arrays.kind) else arrays

    return find_common_type


def _place(array, place):
    """The index of itemset: one number counts through the whole array."""
    import numpy as np

    if len(place) != 1 or isinstance(place[0], tuple):
        return place[0] if len(place) == 1 else place
    return np.unravel_index(place[0], array.shape)


def _set_method(kind, name, method):
    """Sets or, with None, deletes a method of a class that is written in C: setattr refuses these."""
    (methods,) = [found for found in gc.get_referents(vars(kind)) if isinstance(found, dict)]
    if method is None:
        methods.pop(name, None)
    else:
        methods[name] = method
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
