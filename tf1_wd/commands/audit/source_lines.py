"""Where in the user's code an op was made, and which name filters stand around that line."""

from __future__ import annotations

import ast
import collections
import functools
import linecache
import os
import sys
from dataclasses import dataclass, field, replace

_PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_LIBRARIES = (
    *("tensorflow", "tensorflow_core", "tensorflow_estimator", "tf_slim", "tf_keras", "keras", "keras_applications"),
    *("keras_preprocessing", "tf1_wd", "horovod", "numpy", "absl", "six", "wrapt"),
)


@dataclass(frozen=True)
class Line:
    """One line of the user's code."""

    file: str
    number: int
    code: str

    def __str__(self):
        return "%s:%d %s" % (os.path.basename(self.file), self.number, self.code)


@dataclass(frozen=True)
class NameFilter:
    """A test of variables' names: `'batch_normalization' not in v.name`, or `v.name not in ['bias', 'gamma']`.

    texts: the strings. whole: None if they are searched in the name; otherwise what the test's names end with that op
    names do not: ":0", or "". others: NameFilters that stand beside it for the same variables, in another spelling or
    joined by `or`.
    """

    texts: tuple
    where: str  # the line of the test, as "file.py:12"
    lowers: bool
    whole: str | None = None
    others: tuple = ()

    def matches(self, name):
        """True if one of the strings, or of the others', occurs in `name`, or is the name, as the test has it."""
        own = name.lower() if self.lowers else name
        if any(text in own if self.whole is None else text == own + self.whole for text in self.texts):
            return True
        return any(other.matches(name) for other in self.others)

    def __str__(self):
        return " / ".join(map(repr, self.texts))


def users_frames(frames):
    """The frames of a traceback that are the user's own, the innermost first: tuple of Line.

    frames: (file, line, function, code) each, the outermost first; those of TensorFlow, of the libraries around it, of
    Python itself and of tf1_wd are left out.
    """
    files = (getattr(sys.modules.get(name), "__file__", None) for name in _LIBRARIES)
    libraries = tuple(os.path.dirname(os.path.abspath(file)) + os.sep for file in files if file)
    return tuple(
        Line(file, number or 0, (code or linecache.getline(file, number or 0)).strip())
        for file, number, _, code in reversed(list(frames))
        if file and not file.startswith("<") and not _is_library(os.path.abspath(file), libraries)
    )


def _is_library(file, libraries):
    return file.startswith(libraries) or (file.startswith(_PYTHON) and "-packages" not in file)


@functools.lru_cache(maxsize=None)
def name_filters(line):
    """The tests of names, by `in`, `not in`, `==` and `!=`, that decide whether the statement at a Line runs.

    Looked at are the conditions of comprehensions and of `if` around the line, and what they call or refer to in the
    same file.
    """
    module = _parsed(line.file)
    if module is None:
        return ()
    tests = [test for node in _nodes_at(module.tree, line.number) for test in _tests_around(node, module)]
    return tuple(dict.fromkeys(found for test in tests for found in _filters(test, module)))


@dataclass
class _Module:
    """A file of the user's.

    definitions: {name: functions, and values that are assigned to it}. elements: what loops, comprehensions and lambdas
    call what they go through: a variable may be one of these.
    """

    file: str
    tree: ast.AST
    parents: dict = field(default_factory=dict)
    definitions: dict = field(default_factory=lambda: collections.defaultdict(list))
    elements: set = field(default_factory=set)

    def named(self, node):
        """What the name of a sequence stands for."""
        return self.definitions.get(node.id, []) if isinstance(node, ast.Name) else []


@functools.lru_cache(maxsize=None)
def _parsed(file):
    try:
        with open(file, "rb") as source:
            module = _Module(file, ast.parse(source.read()))
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(module.tree):
        module.parents.update(dict.fromkeys(ast.iter_child_nodes(node), node))
        if isinstance(node, ast.FunctionDef):
            module.definitions[node.name].append(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                module.definitions[getattr(target, "id", None)].append(node.value)
        elif isinstance(node, (ast.comprehension, ast.For)):
            module.elements.update(n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.Lambda):
            module.elements.update(a.arg for a in node.args.args)
    return module


def _nodes_at(tree, number):
    """The expressions that begin at a line, and the statement that holds it."""
    statements = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= number <= _last_line(n)]
    innermost = max(statements, key=lambda n: n.lineno, default=None)
    if innermost is None:
        return []
    return [innermost, *(n for n in ast.walk(innermost) if isinstance(n, ast.Call) and n.lineno == number)]


def _last_line(node):
    return max(getattr(n, "lineno", 0) for n in ast.walk(node))


def _tests_around(node, module):
    """The conditions inside a statement, and those of `if` and `for` around it."""
    tests = _tests_inside([node], module)
    while node in module.parents and not isinstance(node, (ast.FunctionDef, ast.Lambda)):
        before, node = node, module.parents[node]
        if isinstance(node, ast.If) and before is not node.test:
            tests.append(node.test)
        elif isinstance(node, ast.For):
            tests += _tests_inside(module.named(node.iter), module)
            # `if 'bn' in v.name: continue` above the line
            above = [s for s in node.body if isinstance(s, ast.If) and s.lineno < before.lineno]
            tests += [s.test for s in above if any(isinstance(inner, ast.Continue) for inner in s.body)]
    return tests


def _tests_inside(nodes, module):
    """The conditions of comprehensions, filter() and `x if y else z`, also in the sequences that these go through."""
    tests, pending = [], list(nodes)
    for outer in pending:
        for inner in ast.walk(outer):
            if isinstance(inner, ast.comprehension):
                tests += inner.ifs
                pending += [sequence for sequence in module.named(inner.iter) if sequence not in pending]
            elif isinstance(inner, ast.Call) and getattr(inner.func, "id", None) == "filter":
                tests += inner.args[:1]
            elif isinstance(inner, ast.IfExp):
                tests.append(inner.test)
    return tests


def _filters(test, module):
    found, seen, pending = [], set(), [(test, 0)]
    while pending:
        outer, depth = pending.pop()
        joined: dict = {}  # comparison -> the `or` that it is an operand of
        compared = []  # (comparison, NameFilter)
        for node in ast.walk(outer):
            if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
                joined.update(dict.fromkeys(node.values, node))
            elif isinstance(node, ast.Compare):
                for texts, name, whole in _compared(node, outer, module):
                    where = "%s:%d" % (os.path.basename(module.file), node.lineno)
                    compared.append((node, NameFilter(texts, where, "lower" in ast.dump(name), whole)))
            elif isinstance(node, ast.Name) and depth < 3 and node.id not in seen:
                seen.add(node.id)
                pending += [(definition, depth + 1) for definition in module.named(node)]
        for node, one in compared:
            others = [
                other
                for beside, other in compared
                if other is not one
                if (node in joined and joined[node] is joined.get(beside)) or _spelling(one) == _spelling(other)
            ]
            found.append(replace(one, others=tuple(others)))
    return found


def _spelling(name_filter):
    return [text.lower().replace("_", "") for text in name_filter.texts]


def _compared(node, test, module):
    """[(strings, the name they are compared with, NameFilter.whole)] of a comparison."""
    left, right, operator = node.left, node.comparators[0], node.ops[0]
    pairs: list = []
    if isinstance(operator, (ast.In, ast.NotIn)):
        if _is_name(right):
            return [((text,), right, None) for text in _searched(left, test, module)]
        pairs = [(left, texts) for texts in _literals(right, module) if texts]
    elif isinstance(operator, (ast.Eq, ast.NotEq)):
        pairs = [(left, _strings([right])), (right, _strings([left]))]
    # `v.name` has ":0" at its end, and `v.op.name` has not
    return [
        (texts, name, "" if isinstance(name.value, ast.Attribute) else ":0")
        for name, texts in pairs
        if texts and _name_of(name) in module.elements
    ]


def _name_of(node):
    """The id of v in `v.name` and `v.op.name`; None for anything else."""
    if not isinstance(node, ast.Attribute) or node.attr != "name":
        return None
    of = node.value
    return getattr(of.value if isinstance(of, ast.Attribute) and of.attr == "op" else of, "id", None)


def _searched(node, test, module):
    """The strings that the left side of `in` stands for: itself, or those of the sequence that `any` goes through."""
    if not isinstance(node, ast.Name):
        return _strings([node])
    loops = [n for n in ast.walk(test) if isinstance(n, ast.comprehension) and getattr(n.target, "id", None) == node.id]
    return [text for loop in loops for texts in _literals(loop.iter, module) for text in texts]


def _literals(node, module):
    """The strings of a list, a tuple or a set, or of each that a name stands for: a list of tuples."""
    sequences = [node, *module.named(node)]
    return [_strings(s.elts) for s in sequences if isinstance(s, (ast.List, ast.Tuple, ast.Set))]


def _strings(nodes):
    """The strings among nodes, which are ast.Str until Python 3.7."""
    values = [getattr(node, "s" if type(node).__name__ == "Str" else "value", None) for node in nodes]
    return tuple(value for value in values if isinstance(value, str))


def _is_name(node):
    """True for `v.name`, `v.op.name`, `name`, `v.name.lower()` and their like."""
    return any(getattr(n, "attr", None) == "name" or "name" in getattr(n, "id", "").lower() for n in ast.walk(node))
