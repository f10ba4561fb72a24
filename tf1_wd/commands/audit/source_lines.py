"""Where in the user's code an op was made, and which name filters stand around that line."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import sys
from dataclasses import dataclass

from tf1_wd.commands.run.execute import PACKAGE

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
    names do not: ":0", or "".
    """

    texts: tuple
    file: str
    number: int
    lowers: bool
    whole: object = None

    def matches(self, name):
        """True if one of the strings occurs in `name`, or is the name, as the test has it."""
        name = name.lower() if self.lowers else name
        return any(text in name if self.whole is None else text == name + self.whole for text in self.texts)

    def __str__(self):
        return " / ".join(map(repr, self.texts))

    @property
    def where(self):
        """The line of the test, as "file.py:12"."""
        return "%s:%d" % (os.path.basename(self.file), self.number)


def users_frames(frames):
    """The frames of a traceback that are the user's own, the innermost first: tuple of Line.

    frames: (file, line, function, code) each, the outermost first; those of TensorFlow, of the libraries around it, of
    Python itself and of tf1_wd are left out.
    """
    ours = _directories()
    found = []
    for file, number, _, code in reversed(list(frames)):
        if file and not file.startswith("<") and not _is_library(os.path.abspath(file), ours):
            found.append(Line(file, number or 0, (code or linecache.getline(file, number or 0)).strip()))
    return tuple(found)


def _directories():
    """Where the libraries that are imported lie, and where Python's own do."""
    found = [PACKAGE + os.sep]
    for name in _LIBRARIES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            found.append(os.path.dirname(os.path.abspath(file)) + os.sep)
    return tuple(found), os.path.dirname(os.path.abspath(os.__file__)) + os.sep


def _is_library(file, directories):
    libraries, python = directories
    if file.startswith(libraries):
        return True
    if any("%s%s%s" % (os.sep, name, os.sep) in file and "-packages" in file for name in _LIBRARIES):
        return True
    return file.startswith(python) and "-packages" not in file


@functools.lru_cache(maxsize=None)
def name_filters(line):
    """The tests of names, by `in`, `not in`, `==` and `!=`, that decide whether the statement at a Line runs.

    Looked at are the conditions of comprehensions and of `if` around the line, and what they call or refer to in the
    same file.
    """
    module = _parsed(line.file)
    if module is None:
        return ()
    tree, definitions, parents = module
    found = []
    for node in _nodes_at(tree, line.number):
        for test in _tests_around(node, parents, definitions):
            found += _filters(test, definitions, line.file)
    return tuple(dict.fromkeys(found))


@functools.lru_cache(maxsize=None)
def _parsed(file):
    try:
        with open(file, "rb") as source:
            tree = ast.parse(source.read())
    except (OSError, SyntaxError, ValueError):
        return None
    parents: dict = {}
    definitions: dict = {}
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            parents[child] = node
        if isinstance(node, ast.FunctionDef):
            definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    definitions.setdefault(target.id, []).append(node.value)
    return tree, definitions, parents


def _nodes_at(tree, number):
    """The expressions that begin at a line, and the statement that holds it."""
    statements = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= number <= _last_line(n)]
    innermost = max(statements, key=lambda n: n.lineno, default=None)
    if innermost is None:
        return []
    return [innermost, *(n for n in ast.walk(innermost) if isinstance(n, ast.Call) and n.lineno == number)]


def _last_line(node):
    return max((n.lineno for n in ast.walk(node) if hasattr(n, "lineno")), default=node.lineno)


def _tests_around(node, parents, definitions):
    """The conditions inside a statement's comprehensions, of those it goes through, and of `if` and `for` around it."""
    tests, pending, seen = [], [node], set()
    while pending:
        outer = pending.pop()
        if outer in seen:
            continue
        seen.add(outer)
        for inner in ast.walk(outer):
            if isinstance(inner, ast.comprehension):
                tests += inner.ifs
                pending += _sequences(inner.iter, definitions)
            elif isinstance(inner, ast.Call) and getattr(inner.func, "id", None) == "filter":
                tests += inner.args[:1]
            elif isinstance(inner, ast.IfExp):
                tests.append(inner.test)
    while node in parents and not isinstance(node, (ast.FunctionDef, ast.Lambda)):
        before, node = node, parents[node]
        if isinstance(node, ast.If):
            if before is not node.test:
                tests.append(node.test)
        elif isinstance(node, ast.For):
            for sequence in _sequences(node.iter, definitions):
                tests += _tests_around(sequence, {}, {})
            # `if 'bn' in v.name: continue` above the line
            tests += [s.test for s in node.body if isinstance(s, ast.If) and _skips(s) and s.lineno < before.lineno]
    return tests


def _skips(statement):
    return any(isinstance(s, ast.Continue) for s in statement.body)


def _sequences(node, definitions):
    """What the name of a sequence stands for, in the same file."""
    return definitions.get(node.id, []) if isinstance(node, ast.Name) else []


def _filters(test, definitions, file):
    found, seen, pending = [], set(), [(test, 0)]
    while pending:
        outer, depth = pending.pop()
        for node in ast.walk(outer):
            if isinstance(node, ast.Compare):
                for texts, name, whole in _compared(node, outer, definitions, _loop_names(file)):
                    found.append(NameFilter(texts, file, node.lineno, "lower" in ast.dump(name), whole))
            elif isinstance(node, ast.Name) and depth < 3 and node.id not in seen:
                seen.add(node.id)
                pending += [(definition, depth + 1) for definition in definitions.get(node.id, [])]
    return found


@functools.lru_cache(maxsize=None)
def _loop_names(file):
    """What loops, comprehensions and lambdas of a file call their elements: a variable may be one of these."""
    found: set = set()
    for node in ast.walk(_parsed(file)[0]):
        if isinstance(node, (ast.comprehension, ast.For)):
            found.update(n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.Lambda):
            found.update(a.arg for a in node.args.args)
    return found


def _compared(node, test, definitions, loop_names):
    """(strings, the name they are compared with, NameFilter.whole) of a comparison: tuples."""
    left, right, operator = node.left, node.comparators[0], node.ops[0]
    if isinstance(operator, (ast.In, ast.NotIn)):
        if _is_name(right):
            for text in _strings(left, test, definitions):
                yield (text,), right, None
        elif _name_of(left) in loop_names:
            for sequence in [right, *_sequences(right, definitions)]:
                if isinstance(sequence, (ast.List, ast.Tuple, ast.Set)):
                    texts = [text for text in map(_string, sequence.elts) if text is not None]
                    if texts:
                        yield tuple(texts), left, _ending(left)
    elif isinstance(operator, (ast.Eq, ast.NotEq)):
        for name, text in ((left, _string(right)), (right, _string(left))):
            if text is not None and _name_of(name) in loop_names:
                yield (text,), name, _ending(name)


def _ending(name):
    """What `v.name` has at its end, and `v.op.name` has not."""
    return "" if isinstance(name.value, ast.Attribute) else ":0"


def _name_of(node):
    """The id of v in `v.name` and `v.op.name`; None for anything else."""
    if not isinstance(node, ast.Attribute) or node.attr != "name":
        return None
    of = node.value
    if isinstance(of, ast.Attribute) and of.attr == "op":
        of = of.value
    return of.id if isinstance(of, ast.Name) else None


def _strings(node, test, definitions):
    """The strings that the left side of `in` stands for: itself, or those of the sequence that `any` goes through."""
    text = _string(node)
    if text is not None:
        return [text]
    if not isinstance(node, ast.Name):
        return []
    found = []
    for inner in ast.walk(test):
        if isinstance(inner, ast.comprehension) and getattr(inner.target, "id", None) == node.id:
            sequences = [inner.iter, *_sequences(inner.iter, definitions)]
            found += [e for s in sequences if isinstance(s, (ast.List, ast.Tuple)) for e in s.elts]
    return [text for text in map(_string, found) if text is not None]


def _string(node):
    value = getattr(node, "s" if type(node).__name__ == "Str" else "value", None)  # ast.Str until Python 3.7
    return value if isinstance(value, str) else None


def _is_name(node):
    """True for `v.name`, `v.op.name`, `name`, `v.name.lower()` and their like."""
    return any(
        (isinstance(n, ast.Attribute) and n.attr == "name") or (isinstance(n, ast.Name) and "name" in n.id.lower())
        for n in ast.walk(node)
    )
