"""Which objects stand for which variables; knows no TensorFlow."""

from __future__ import annotations

from typing import Any


def copies_of(variable: Any) -> list[Any]:
    """The copies on its replicas of a distribution strategy's variable; any other variable alone."""
    copies = getattr(variable, "values", None)  # a method of other objects
    return list(copies) if isinstance(copies, (list, tuple)) and copies else [variable]


def parts(variable: Any) -> list[Any]:
    """The variables that `variable` stands for: parts of a partitioned one, copies of a strategy's, or itself."""
    copies = copies_of(variable)
    if copies[0] is not variable:
        return [variable, *copies]
    if not hasattr(type(variable), "__iter__"):  # of Keras's for mixed precision in 1.15, list() makes endless slices
        return [variable]
    try:
        return list(variable)  # a partitioned variable stands for its parts
    except TypeError:
        return [variable]


def is_same(a: Any, b: Any) -> bool:
    """True for one variable, and for one and what Keras puts around it for mixed precision."""
    if a is b:
        return True
    handle = _handle(a)
    return handle is not None and handle is _handle(b)


def _handle(variable: Any) -> Any:
    try:
        return getattr(variable, "handle", None)
    except ValueError:  # of a distribution strategy's variable, outside of its replicas
        return None
