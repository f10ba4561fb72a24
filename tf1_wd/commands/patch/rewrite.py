"""Applies scopes to a tree: `with` around statements, decorators, the snippet taken out, the import put in."""

from __future__ import annotations

import libcst as cst

from tf1_wd.commands.patch.placement import Decorate, Wrap
from tf1_wd.commands.patch.syntax import dotted, simple_parts

IMPORT = "import tf1_wd"


def apply_scopes(module, scopes, snippets, call):
    """The module with every scope opened by the text `call`, and without the snippets."""
    changed = module.visit(_Scopes(scopes, snippets, call))
    return insert_after_tensorflow(changed, IMPORT)


class _Scopes(cst.CSTTransformer):
    def __init__(self, scopes, snippets, call):
        self._call = call
        self._wraps: dict = {}
        self._removed: dict = {}
        self._decorated = {scope.unit.node for scope in scopes if isinstance(scope, Decorate)}
        for scope in scopes:
            if isinstance(scope, Wrap):
                self._wraps.setdefault(id(scope.block), []).append(scope)
        for snippet in snippets:
            self._removed.setdefault(id(snippet.block), {})[snippet.index] = snippet.replacement

    def leave_FunctionDef(self, original_node, updated_node):
        if original_node not in self._decorated:
            return updated_node
        decorator = cst.Decorator(cst.parse_expression(self._call))
        return updated_node.with_changes(decorators=[*updated_node.decorators, decorator])

    def leave_IndentedBlock(self, original_node, updated_node):
        return self._changed(original_node, updated_node)

    def leave_Module(self, original_node, updated_node):
        return self._changed(original_node, updated_node)

    def _changed(self, original, updated):
        wraps, removed = self._wraps.get(id(original), ()), self._removed.get(id(original), {})
        if not wraps and not removed:
            return updated
        ends = {wrap.last: wrap for wrap in wraps}
        body: list = []
        run_start: dict = {}
        carried: list = []
        for i, statement in enumerate(updated.body):
            for wrap in wraps:
                if wrap.first == i:
                    run_start[id(wrap)] = len(body)
            if i in removed:
                if any(line.comment is not None for line in statement.leading_lines):
                    carried.extend(statement.leading_lines)  # the author's words stay
                statement = cst.parse_statement(removed[i]) if removed[i] else None
            if statement is not None:
                if carried:
                    statement = statement.with_changes(leading_lines=[*carried, *statement.leading_lines])
                    carried = []
                body.append(statement)
            if i in ends:
                start = run_start[id(ends[i])]
                body[start:] = [self._with(body[start:])]
        if not body:
            body = [cst.parse_statement("pass")]
        if carried and isinstance(updated, cst.IndentedBlock):
            updated = updated.with_changes(footer=[*carried, *updated.footer])
        return updated.with_changes(body=body)

    def _with(self, run):
        leading = run[0].leading_lines
        run = [statement.visit(_BlankLines()) for statement in run]
        return cst.With(
            items=[cst.WithItem(cst.parse_expression(self._call))],
            body=cst.IndentedBlock([run[0].with_changes(leading_lines=[]), *run[1:]]),
            leading_lines=leading,
        )


class _BlankLines(cst.CSTTransformer):
    """Keeps blank lines blank where the statements around them move to the right."""

    def leave_EmptyLine(self, original_node, updated_node):
        return updated_node if updated_node.comment else updated_node.with_changes(indent=False)


def insert_after_tensorflow(module, text):
    """The module with a statement behind its first import of TensorFlow, or behind its leading imports."""
    at = None
    for i, statement in enumerate(module.body):
        if at is None and imports_tensorflow(statement):
            at = i + 1
    if at is None:
        at = 0
        for i, statement in enumerate(module.body):
            if not _leads(statement, i):
                break
            at = i + 1
    new = cst.parse_statement(text)
    if at == 0 and module.body:
        first = module.body[0]
        new = new.with_changes(leading_lines=first.leading_lines)
        body = [new, first.with_changes(leading_lines=[]), *module.body[1:]]
    else:
        body = [*module.body[:at], new, *module.body[at:]]
    return module.with_changes(body=body)


def imports_tensorflow(statement):
    """Whether a statement of the module imports TensorFlow where it stands: in a try too, not in a function."""
    if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
        return False
    for _, small in simple_parts(statement, (cst.Import, cst.ImportFrom)):
        modules = [a.name for a in small.names] if isinstance(small, cst.Import) else [small.module]
        if any((dotted(module) or "").split(".")[0] == "tensorflow" for module in modules if module is not None):
            return True
    return False


def _leads(statement, i):
    if not isinstance(statement, cst.SimpleStatementLine):
        return False
    small = statement.body[0]
    docstring = i == 0 and isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString)
    return docstring or isinstance(small, (cst.Import, cst.ImportFrom))
