"""Makes the mutants of a module: small changes of its code, each of which some test should notice.

Whole statements are removed, comparisons and conditions turned, constants, arithmetic and arguments changed, members of
tables dropped. Docstrings, annotations and imports stay as they are.
"""

from __future__ import annotations

import ast
import contextlib
import re
from typing import NamedTuple

COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
ASKS_OF_OBJECTS = ("isinstance", "issubclass", "hasattr", "getattr", "setattr")  # turned around they raise at once
CONVERSION = re.compile(r"%(?:\(\w+\))?[-#0+ ]*\d*(?:\.\d+)?[a-zA-Z%]")
NOT_CODE = ("annotation", "returns", "type_params")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
REMOVABLE = (ast.Raise, ast.Expr, ast.Continue, ast.Break, ast.Delete, ast.AugAssign)
IMPORTS = (ast.Import, ast.ImportFrom)


class Slot(NamedTuple):
    """Where a node hangs in its tree: in a field of its owner, at an index if that is a list."""

    owner: ast.AST
    field: str
    index: int | None

    def get(self):
        held = getattr(self.owner, self.field)
        return held if self.index is None else held[self.index]

    def put(self, node):
        if self.index is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.index] = node


class Mutant(NamedTuple):
    """A change of a tree. place: the function or class. lines: where it is; at_import: whether an import runs it."""

    place: str
    lines: range
    at_import: bool
    old: str
    new: str
    slot: Slot
    node: ast.AST

    @contextlib.contextmanager
    def applied(self):
        """The tree has the change inside."""
        original = self.slot.get()
        self.slot.put(ast.copy_location(self.node, original))
        try:
            yield
        finally:
            self.slot.put(original)


def mutants_of(tree):
    """Every mutant of a module's tree, in the order of its text."""
    for slot, parents in _slots(tree, ()):
        old = slot.get()
        for new in _changes(old, slot, parents):
            texts = _text(old), _text(new)
            if texts[0] != texts[1]:
                place = ".".join(parent.name for parent in parents if isinstance(parent, SCOPES)) or "module"
                lines = range(old.lineno, old.end_lineno + 1)
                yield Mutant(place, lines, _at_import(parents, slot), *texts, slot, new)


def _slots(node, parents):
    """(slot, nodes above it) of all code below a node."""
    for field, value in ast.iter_fields(node):
        if field in NOT_CODE:
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _is_docstring(child):
                slot = Slot(node, field, index if isinstance(value, list) else None)
                if hasattr(child, "lineno") and not isinstance(child, IMPORTS):
                    yield slot, (*parents, node)
                if not isinstance(child, IMPORTS):
                    yield from _slots(child, (*parents, node))


def _is_docstring(node):
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _at_import(parents, slot):
    """True for code of no function's body: defaults and decorators count as outside."""
    chain = [*parents[1:], slot.get()]
    return not any(
        isinstance(parent, FUNCTIONS)
        and (child in parent.body if isinstance(parent.body, list) else child is parent.body)
        for parent, child in zip(chain, chain[1:])
    )


def _text(node):
    return ast.unparse(node).split("\n")[0]


def _changes(node, slot, parents):
    """The nodes that may stand in the place of a node."""
    kind = type(node)
    if kind is ast.Compare:
        for i, op in enumerate(node.ops):
            ops = [*node.ops[:i], COMPARISONS[type(op)](), *node.ops[i + 1 :]]
            yield ast.Compare(node.left, ops, node.comparators)
    elif kind is ast.BoolOp:
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        yield from (_one_or_many(ast.BoolOp, node.op, rest) for rest in _without_one(node.values))
    elif kind is ast.UnaryOp:
        yield node.operand
    elif kind is ast.BinOp and not _is_text(node.left) and not _is_text(node.right) and type(node.op) in ARITHMETIC:
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif kind is ast.Constant and not isinstance(parents[-1], ast.JoinedStr):
        yield from _other_constants(node.value, is_template=isinstance(parents[-1], ast.BinOp) and slot.field == "left")
    elif kind is ast.Call:
        yield from _other_calls(node)
    elif kind in (ast.Set, ast.Dict, ast.List, ast.Tuple):
        yield from _smaller(node, parents)
    elif slot.field == "body" or slot.field == "orelse":
        yield from _other_statements(node)
    if slot.field == "test" and kind in (ast.Name, ast.Attribute, ast.Call):
        yield ast.UnaryOp(ast.Not(), node)


def _without_one(values):
    return [[*values[:i], *values[i + 1 :]] for i in range(len(values))]


def _one_or_many(kind, op, values):
    return values[0] if len(values) == 1 else kind(op, values)


def _other_constants(value, is_template):
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, (int, float)):
        yield ast.Constant(value + 1)
    elif isinstance(value, str) and is_template and CONVERSION.search(value):
        yield ast.Constant("XX".join(CONVERSION.findall(value)))  # other words around the same values
    elif isinstance(value, str):
        yield ast.Constant("" if value else "XX")


def _other_calls(node):
    for i, (one, other) in enumerate(zip(node.args, node.args[1:])):
        if not {type(one), type(other)} & {ast.Starred} and _text(node.func) not in ASKS_OF_OBJECTS:
            yield ast.Call(node.func, [*node.args[:i], other, one, *node.args[i + 2 :]], node.keywords)
    for rest in _without_one(node.keywords):
        yield ast.Call(node.func, node.args, rest)


def _smaller(node, parents):
    """A set, dict, or list of choices, without one of its members."""
    above = parents[-1]
    is_choice = isinstance(above, ast.Compare) or (isinstance(above, ast.Call) and _text(above.func) == "isinstance")
    if isinstance(node, ast.Dict):
        for i in range(len(node.keys)):
            yield ast.Dict([*node.keys[:i], *node.keys[i + 1 :]], [*node.values[:i], *node.values[i + 1 :]])
    elif isinstance(node, ast.Set) and len(node.elts) > 1:
        yield from map(ast.Set, _without_one(node.elts))
    elif isinstance(node, (ast.List, ast.Tuple)) and isinstance(node.ctx, ast.Load):
        is_table = len(parents) == 2 and isinstance(above, (ast.Assign, ast.AnnAssign))
        if is_choice or is_table:
            yield from (type(node)(rest, ast.Load()) for rest in _without_one(node.elts))


def _other_statements(node):
    if isinstance(node, ast.Return) and node.value is not None and _text(node.value) != "None":
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
        yield ast.Pass()
    elif isinstance(node, REMOVABLE) or _is_kept_elsewhere(node):
        yield ast.Pass()


def _is_kept_elsewhere(node):
    """True for an assignment to an attribute or a member."""
    return isinstance(node, ast.Assign) and any(isinstance(t, (ast.Attribute, ast.Subscript)) for t in node.targets)
