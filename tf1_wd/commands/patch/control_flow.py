"""Whether statements do something whenever they run: the ways through if, loop, try and with."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.syntax import blocks_of, dotted

_EXIT = m.Call(func=m.MatchIfTrue(lambda func: dotted(func) in {"sys.exit", "exit", "quit", "os._exit"}))
_ENDS = m.SimpleStatementLine(body=[m.ZeroOrMore(), m.Raise() | m.Expr(_EXIT), m.ZeroOrMore()])


def always(body, wanted):
    """Whether every way through that neither raises nor exits passes one of the wanted statements (a set of ids).

    body: a block, a statement, or a list of statements. Loops are taken to run at least once.
    """
    if isinstance(body, (cst.Module, cst.IndentedBlock)):
        body = body.body
    if not isinstance(body, (list, tuple)):
        return _statement(body, wanted)
    for statement in body:
        if _statement(statement, wanted):
            return True
        if leaves(statement):
            return False
        if raises(statement):
            return True
    return False


def _statement(statement, wanted):
    if id(statement) in wanted:
        return True
    blocks = blocks_of(statement)
    if isinstance(statement, cst.If):
        return _has_else(statement) and all(always(b, wanted) or raises(b) for b in blocks)
    certain = blocks[:1]  # of a loop, a try, a with and a class
    if getattr(statement, "finalbody", None) is not None:
        certain += blocks[-1:]
    return any(always(block, wanted) for block in certain)


def _has_else(statement):
    while isinstance(statement, cst.If):
        statement = statement.orelse
    return statement is not None and isinstance(statement.body, cst.IndentedBlock)


def leaves(statement):
    """Whether a statement can end its function or its loop before what follows."""
    if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
        return False
    is_loop = isinstance(statement, (cst.For, cst.While))
    found = m.findall(statement, m.Return() if is_loop else m.Return() | m.Break() | m.Continue())
    inner = {id(node) for function in m.findall(statement, m.FunctionDef()) for node in m.findall(function, m.Return())}
    return any(id(node) not in inner for node in found)


def raises(body):
    """Whether a statement or block certainly ends in an exception or in the end of the program."""
    if isinstance(body, cst.IndentedBlock):
        return any(map(raises, body.body))
    return m.matches(body, _ENDS)
