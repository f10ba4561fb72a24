"""Small questions about a libcst tree: names, texts, positions, statements."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m

_CODE = cst.Module([])


@dataclass(frozen=True)
class PathStep:
    """Statement `index` of a block, on the way from a function's body down to a call."""

    block: cst.Module | cst.IndentedBlock
    index: int

    @property
    def statement(self):
        return self.block.body[self.index]


def code(node):
    """The node as text, without what surrounds it."""
    return _CODE.code_for_node(node).strip()


def dotted(node):
    """`a.b.c` of nested attributes; None for anything else. A call or subscript on the way ends it."""
    parts = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if isinstance(node, cst.Name):
        return ".".join([node.value, *reversed(parts)])
    return None


def last_name(node):
    """`c` of `a.b.c`, also of `f(x).c`; None for what is no name."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else None


def names_in(node):
    """Every name and every `self.x` that an expression reads, as texts; none of a comprehension's own."""
    found = _texts(m.findall(node, m.Name() | m.Attribute()))
    for loop in m.findall(node, m.CompFor()):
        found -= _texts(m.findall(loop.target, m.Name()))
    return found - {"self", "tf", "np"}


def _texts(nodes):
    texts = {dotted(node) for node in nodes}
    return {text for text in texts if text and not text.startswith(("tf.", "np."))}


def argument(call, position, keyword):
    """An argument of a call by keyword or place; None without it."""
    for arg in call.args:
        if arg.keyword is not None and arg.keyword.value == keyword:
            return arg.value
    plain = [a for a in call.args if a.keyword is None and not a.star]
    return plain[position].value if position is not None and position < len(plain) else None


def blocks_of(statement):
    """The blocks directly inside a compound statement, in order; a suite on the line of its header is none."""
    found = []
    if isinstance(statement, cst.If):
        while isinstance(statement, cst.If):
            found.append(statement.body)
            statement = statement.orelse
        if statement is not None:
            found.append(statement.body)
    elif isinstance(statement, (cst.For, cst.While)):
        found = [statement.body] + ([statement.orelse.body] if statement.orelse else [])
    elif isinstance(statement, (cst.With, cst.ClassDef)):
        found = [statement.body]
    elif is_try(statement):
        found = [statement.body, *(h.body for h in statement.handlers)]
        found += [part.body for part in (statement.orelse, statement.finalbody) if part]
    return [block for block in found if isinstance(block, cst.IndentedBlock)]


def is_try(statement):
    return type(statement).__name__ in ("Try", "TryStar")


def simple_parts(block, kind):
    """The small statements of a kind (cst.Import ...) anywhere in a tree, with the lines that hold them."""
    lines = m.findall(block, m.SimpleStatementLine())
    return [(line, small) for line in lines for small in line.body if isinstance(small, kind)]
