"""What a function writes to each name, in the order of its text."""

from __future__ import annotations

import collections
from dataclasses import dataclass

import libcst as cst

from tf1_wd.commands.patch.syntax import PathStep, blocks_of, dotted, last_name, own_nodes

_GROW = {"append", "extend", "insert", "update", "add"}
_ACCUMULATE = {"assign_add", "assign_sub", "assign"}
_ASSIGNS = {"tf.%s" % name for name in _ACCUMULATE}


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
            if not isinstance(statement, cst.FunctionDef):
                for node, around in own_nodes(statement):
                    for target, value in _flows(node, around):
                        self._add(target, value, here, isinstance(node, cst.Assign), _accumulates(node))
                for inner in blocks_of(statement):
                    self._block(inner, here)

    def _add(self, target, value, path, kills, accumulates):
        if isinstance(target, (cst.Tuple, cst.List)):
            for element in target.elements:
                self._add(element.value, value, path, kills, accumulates)
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


def _flows(node, around):
    """(target, the value that flows into it) of what one node writes: tuples."""
    if isinstance(node, cst.Assign):
        return [(target.target, node.value) for target in node.targets]
    if isinstance(node, cst.AugAssign) or (isinstance(node, cst.AnnAssign) and node.value is not None):
        return [(node.target, node.value)]
    if isinstance(node, cst.For):
        return [(node.target, node.iter)]
    if isinstance(node, cst.WithItem) and node.asname is not None:
        return [(node.asname.name, node.item)]
    if not isinstance(node, cst.Call):
        return []
    if dotted(node.func) in _ASSIGNS:
        target, values = node.args[0].value, node.args[1:2]
    elif isinstance(node.func, cst.Attribute) and last_name(node.func) in _GROW | _ACCUMULATE:
        target, values = node.func.value, node.args
    else:
        return []
    # a comprehension's own names mean nothing outside of it: what it loops over flows too
    comprehension = next((n for n in around if isinstance(n, cst.BaseComp)), None)
    return [(target, comprehension or arg.value) for arg in values]


def _accumulates(node):
    return isinstance(node, cst.Call) and last_name(node.func) in _ACCUMULATE
