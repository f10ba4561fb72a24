"""What a function writes to each name, in the order of its text."""

from __future__ import annotations

import collections
from dataclasses import dataclass

import libcst as cst

from tf1_wd.commands.patch.syntax import PathStep, blocks_of, dotted, last_name

_GROW = {"append", "extend", "insert", "update", "add"}
_ACCUMULATE = {"assign_add", "assign_sub", "assign"}


@dataclass(frozen=True)
class Write:
    """An expression that flows into a name; `kills` where nothing else is left of what the name was before."""

    value: object
    order: int  # of the statement, in the order of the text
    path: tuple
    kills: bool
    accumulates: bool


class Writes:
    """The writes of one function's body, without those of functions in it."""

    def __init__(self, body):
        self._by_name = collections.defaultdict(list)
        self._order = {}  # id of a statement -> its place in the text
        if isinstance(body, (cst.Module, cst.IndentedBlock)):
            self._block(body, ())

    def _block(self, block, path):
        for i, statement in enumerate(block.body):
            here = (*path, PathStep(block, i))
            self._order[id(statement)] = len(self._order)
            inside = blocks_of(statement)
            if not isinstance(statement, cst.FunctionDef):
                statement.visit(_Collect(self, here, inside))
                for inner in inside:
                    self._block(inner, here)

    def add(self, target, value, path, kills=False, accumulates=False):
        """Notes that a value flows into a target at a place."""
        if isinstance(target, (cst.Tuple, cst.List)):
            for element in target.elements:
                self.add(element.value, value, path, kills, accumulates)
            return
        while isinstance(target, (cst.Subscript, cst.StarredElement)):
            target, kills = target.value, False
        name = dotted(target)
        if name and name != "_":
            order = self._order[id(path[-1].statement)]
            self._by_name[name].append(Write(value, order, path, kills, accumulates))

    def reaching(self, name, path):
        """The writes whose value a name can have at a place: not those overwritten before it, nor those behind it."""
        order = self._order.get(id(path[-1].statement), 0) if path else 0
        blocks = {id(step.block): step.index for step in path}
        loops = {id(step.statement) for step in path[:-1] if isinstance(step.statement, (cst.For, cst.While))}
        before = [
            write
            for write in self._by_name.get(name, ())
            if write.order < order or any(id(step.statement) in loops for step in write.path[:-1])
        ]
        certain = [w.order for w in before if w.kills and w.order < order and id(w.path[-1].block) in blocks]
        return [w for w in before if w.order >= max(certain, default=-1)]


class _Collect(cst.CSTVisitor):
    """Hands the writes of one statement to a Writes, without those of the blocks in it."""

    def __init__(self, writes, path, skip):
        self._writes, self._path = writes, path
        self._skip = {id(block) for block in skip}
        self._comprehensions = []

    def visit_IndentedBlock(self, node):
        return id(node) not in self._skip

    def on_visit(self, node):
        if isinstance(node, cst.BaseComp):
            self._comprehensions.append(node)
        return super().on_visit(node)

    def on_leave(self, original_node):
        if isinstance(original_node, cst.BaseComp):
            self._comprehensions.pop()
        super().on_leave(original_node)

    def _add(self, target, value, **kind):
        self._writes.add(target, value, self._path, **kind)

    def visit_FunctionDef(self, node):
        return False

    def visit_Assign(self, node):
        for target in node.targets:
            self._add(target.target, node.value, kills=True)

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self._add(node.target, node.value)

    def visit_AugAssign(self, node):
        self._add(node.target, node.value)

    def visit_For(self, node):
        self._add(node.target, node.iter)

    def visit_WithItem(self, node):
        if node.asname is not None:
            self._add(node.asname.name, node.item)

    def visit_Call(self, node):
        name = last_name(node.func)
        if name in _ACCUMULATE and dotted(node.func) in ("tf.assign", "tf.assign_add", "tf.assign_sub"):
            target, values = node.args[0].value, node.args[1:2]
        elif isinstance(node.func, cst.Attribute) and name in _GROW | _ACCUMULATE:
            target, values = node.func.value, node.args
        else:
            return
        for arg in values:
            # a comprehension's own names mean nothing outside of it: what it loops over flows too
            value = self._comprehensions[0] if self._comprehensions else arg.value
            self._add(target, value, accumulates=name in _ACCUMULATE)
