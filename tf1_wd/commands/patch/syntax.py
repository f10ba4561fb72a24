"""Small questions about a libcst tree: names, texts, positions, statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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


def receiver_of(node):
    """`a.b` of `a.b.c`; None where nothing stands in front of the last name, or where that is no name."""
    return dotted(node.value) if isinstance(node, cst.Attribute) else None


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


def first_argument(call, keyword):
    """The first argument of a call, or the one by its keyword; None without it."""
    plain = [arg.value for arg in call.args if arg.keyword is None and not arg.star]
    named = [arg.value for arg in call.args if arg.keyword is not None and arg.keyword.value == keyword]
    return next(iter(named + plain), None)


def blocks_of(statement):
    """The blocks directly inside a compound statement, in order; a suite on the line of its header is none."""
    if not isinstance(statement, cst.BaseCompoundStatement) or isinstance(statement, cst.FunctionDef):
        return []
    found = [getattr(statement, "body", None), *(handler.body for handler in getattr(statement, "handlers", ()))]
    for part in (getattr(statement, "orelse", None), getattr(statement, "finalbody", None)):
        if part is not None:
            found += blocks_of(part) if isinstance(part, cst.If) else [part.body]
    return [block for block in found if isinstance(block, cst.IndentedBlock)]


class Imported(NamedTuple):
    """One name of `import module as name`, or of `from module import original as name`."""

    statement: cst.Import | cst.ImportFrom
    module: str  # with its dots in front where it is relative
    original: str | None  # None of an `import`; "*" of all names
    name: str  # in this file


def imports(tree):
    """Imported for each name that is imported anywhere in a tree, in their order."""
    for small in (small for line in m.findall(tree, m.SimpleStatementLine()) for small in line.body):
        if isinstance(small, cst.Import):
            for alias in small.names:
                full = alias.evaluated_name
                yield Imported(small, full, None, alias.evaluated_alias or full.split(".")[0])
        elif isinstance(small, cst.ImportFrom):
            full = "." * len(small.relative) + (dotted(small.module) or "")
            if isinstance(small.names, cst.ImportStar):
                yield Imported(small, full, "*", "*")
            else:
                for alias in small.names:
                    yield Imported(small, full, alias.evaluated_name, alias.evaluated_alias or alias.evaluated_name)


def imported_roots(tree):
    """The top modules of all that is imported anywhere in a tree."""
    return {found.module.split(".")[0] for found in imports(tree)}


def own_nodes(statement):
    """(node, the nodes around it) of a statement, the outermost first, without those of the blocks in it.

    The name of an attribute and the keyword of an argument are left out: they name nothing of the file.
    """
    blocks = set(map(id, blocks_of(statement)))
    pending: list = [(statement, ())]
    while pending:
        node, around = pending.pop()
        if id(node) not in blocks:
            yield node, around
            children = [node.value] if isinstance(node, (cst.Attribute, cst.Arg)) else node.children
            pending += [(child, (*around, node)) for child in reversed(children)]
