"""Applies scopes to a tree: `with` around statements, decorators, the snippet taken out, the import put in."""

from __future__ import annotations

import itertools

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.placement import Decorate, Wrap
from tf1_wd.commands.patch.syntax import imported_roots


def apply_scopes(module, scopes, snippets, call):
    """The module with every scope opened by the text `call`, and without the snippets."""
    changed = module.visit(_Scopes(scopes, snippets, call))
    return insert_after_tensorflow(changed, "import tf1_wd")


class _Scopes(cst.CSTTransformer):
    def __init__(self, scopes, snippets, call):
        self._call, self._snippets = call, snippets
        self._wraps = [scope for scope in scopes if isinstance(scope, Wrap)]
        self._decorated = {scope.unit.node for scope in scopes if isinstance(scope, Decorate)}

    def leave_FunctionDef(self, original_node, updated_node):
        if original_node not in self._decorated:
            return updated_node
        decorator = cst.Decorator(cst.parse_expression(self._call))
        return updated_node.with_changes(decorators=[*updated_node.decorators, decorator])

    def leave_IndentedBlock(self, original_node, updated_node):
        wraps = [wrap for wrap in self._wraps if wrap.block is original_node]
        removed = {s.index: s.replacement for s in self._snippets if s.block is original_node}
        if not wraps and not removed:
            return updated_node
        body: dict = {}  # by its place in the block as it was
        carried: list = []
        for i, statement in enumerate(updated_node.body):
            if i in removed:
                if any(line.comment is not None for line in statement.leading_lines):
                    carried.extend(statement.leading_lines)  # the author's words stay
                statement = cst.parse_statement(removed[i]) if removed[i] else None
            if statement is not None:
                body[i] = statement.with_changes(leading_lines=[*carried, *statement.leading_lines])
                carried = []
        for wrap in wraps:
            body[wrap.first] = self._with([body.pop(i) for i in range(wrap.first, wrap.last + 1) if i in body])
        if carried and isinstance(updated_node, cst.IndentedBlock):
            updated_node = updated_node.with_changes(footer=[*carried, *updated_node.footer])
        return updated_node.with_changes(body=[body[i] for i in sorted(body)] or [cst.parse_statement("pass")])

    leave_Module = leave_IndentedBlock

    def _with(self, run):
        leading = run[0].leading_lines
        # blank lines stay blank where the statements around them move to the right
        blank = m.EmptyLine(comment=None)
        run = [m.replace(s, blank, lambda line, _: line.with_changes(indent=False)) for s in run]
        return cst.With(
            items=[cst.WithItem(cst.parse_expression(self._call))],
            body=cst.IndentedBlock([run[0].with_changes(leading_lines=[]), *run[1:]]),
            leading_lines=leading,
        )


def insert_after_tensorflow(module, text):
    """The module with a statement behind its first import of TensorFlow, or behind its leading imports."""
    body, new = list(module.body), cst.parse_statement(text)
    leading = sum(1 for _ in itertools.takewhile(lambda place: _leads(*place), enumerate(body)))
    at = next((i + 1 for i, statement in enumerate(body) if imports_tensorflow(statement)), leading)
    if at == 0 and body:
        new = new.with_changes(leading_lines=body[0].leading_lines)
        body[0] = body[0].with_changes(leading_lines=[])
    return module.with_changes(body=[*body[:at], new, *body[at:]])


def insert_before_tensorflow(module, texts):
    """The module with statements before its first import of TensorFlow, or of what imports it."""
    body, new = list(module.body), [cst.parse_statement(text) for text in texts]
    at = next((i for i, statement in enumerate(body) if imports_tensorflow(statement, _IMPORTING)), 0)
    new[0] = new[0].with_changes(leading_lines=body[at].leading_lines)
    body[at] = body[at].with_changes(leading_lines=[])
    return module.with_changes(body=[*body[:at], *new, *body[at:]])


_IMPORTING = frozenset(["tensorflow", "tf_slim", "keras", "tf_keras", "tf1_wd"])


def imports_tensorflow(statement, roots=frozenset(["tensorflow"])):
    """Whether a statement of the module imports TensorFlow where it stands: in a try too, not in a function.

    roots: the packages that count as TensorFlow.
    """
    is_definition = isinstance(statement, (cst.FunctionDef, cst.ClassDef))
    return not is_definition and bool(roots & imported_roots(statement))


def _leads(i, statement):
    if not isinstance(statement, cst.SimpleStatementLine):
        return False
    small = statement.body[0]
    docstring = i == 0 and isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString)
    return docstring or isinstance(small, (cst.Import, cst.ImportFrom))
