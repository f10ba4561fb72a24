"""Names that NumPy took away in 1.24 and 2.0, and that code of TensorFlow 1's time uses."""

from __future__ import annotations

# name -> what it was: an expression over numpy (np)
NAMES = {
    # aliases of Python's own types, gone from 1.24
    "bool": "bool",
    "int": "int",
    "float": "float",
    "complex": "complex",
    "object": "object",
    "str": "str",
    "unicode": "str",
    "long": "int",
    # gone from 2.0
    "float_": "np.float64",
    "complex_": "np.complex128",
    "unicode_": "np.str_",
    "string_": "np.bytes_",
    "Inf": "np.inf",
    "Infinity": "np.inf",
    "infty": "np.inf",
    "PINF": "np.inf",
    "NINF": "-np.inf",
    "NaN": "np.nan",
    "NAN": "np.nan",
    "product": "np.prod",
    "cumproduct": "np.cumprod",
    "sometrue": "np.any",
    "alltrue": "np.all",
    "in1d": "np.isin",
    "trapz": "np.trapezoid",
    "row_stack": "np.vstack",
    "mat": "np.asmatrix",
    "round_": "np.round",
    "msort": "lambda a: np.sort(a, axis=0)",
    "asfarray": "lambda a, dtype=np.float64: np.asarray(a, dtype=dtype)",
    "asscalar": "lambda a: a.item()",
}


def put_names(stack):
    """Puts back those of NAMES that NumPy lacks. stack: contextlib.ExitStack that takes them away again."""
    import numpy as np

    for name, meaning in NAMES.items():
        if name not in vars(np):  # hasattr would warn
            setattr(np, name, eval(meaning, {"np": np}))
            stack.callback(delattr, np, name)
