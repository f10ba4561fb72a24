"""Plain-text tables and lists; no dependencies."""

from __future__ import annotations

from typing import Iterable, Sequence, Union

Cell = Union[str, float, None]


def table(rows: Sequence[Sequence[Cell]], header: Sequence[str]) -> str:
    """Lines up rows of cells under a header, without a final newline; a column of numbers is right-aligned."""
    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *texts)]
    numeric = [all(isinstance(c, (int, float)) or c is None for c in column) for column in zip(*rows)]
    numeric = numeric or [False] * len(header)

    def line(cells: Iterable[str]) -> str:
        aligned = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric))
        return "  ".join(aligned).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, texts)])


def some(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    return ", ".join(names[:5]) + (", and %d more" % (len(names) - 5) if len(names) > 5 else "")


def shape(dims: Sequence[int | None]) -> str:
    """A shape as one word. dims: ints, None for an unknown dimension."""
    return "x".join("?" if d is None else str(d) for d in dims) or "scalar"


def cell(value: Cell) -> str:
    """One cell as text."""
    if value is None:
        return "-"
    return "%.6g" % value if isinstance(value, float) else str(value)
