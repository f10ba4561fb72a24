"""Test modules stand alone and are short: what two of them use is in tests/support."""

from __future__ import annotations

import ast
import collections

import pytest

from support.paths import ROOT

TESTS = ROOT / "tests"
CASES_OF_PATCH = TESTS / "commands" / "patch" / "cases"  # programs, as their authors would write them
MODULES = [path for path in TESTS.rglob("*.py") if CASES_OF_PATCH not in path.parents]
TEST_MODULES = {path.stem for path in MODULES if path.name.startswith("test_")} | {"conftest"}
LONGEST = 400


def imported(source):
    """The modules that a source text imports, wherever it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from ("%s.%s" % (node.module or "", alias.name) for alias in node.names)


def borrowed_tests(source):
    """The test modules, and conftest.py, among the modules that a source text imports."""
    return [name for name in imported(source) if TEST_MODULES & set(name.split("."))]


def test_no_module_imports_a_test_module():
    assert {str(path): found for path in MODULES for found in [borrowed_tests(path.read_text())] if found} == {}


def test_no_module_is_long():
    lines = {str(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_no_two_test_modules_have_one_name():
    """pytest imports them by name alone: the folders are no packages."""
    names = collections.Counter(path.name for path in MODULES if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    "line",
    ["import test_scope", "from test_scope import W0", "from conftest import run", "from decay import test_scope"],
)
def test_an_import_of_a_test_module_is_seen(line):
    assert borrowed_tests("def function():\n    " + line) != []
