"""Mutation testing: the changes that are made, and that one which a test notices is killed."""

from __future__ import annotations

import ast
import sys

import pytest

from support.paths import ROOT
from support.tools import load_tool

pytestmark = pytest.mark.skipif(sys.version_info < (3, 9), reason="tools/mutate.py needs Python 3.9 or later")


def changes(text):
    return {(mutant.old, mutant.new) for mutant in load_tool("mutants").mutants_of(ast.parse(text))}


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("x = a < b", "a < b", "a <= b"),
        ("x = 0 <= a < 1", "0 <= a < 1", "0 <= a <= 1"),
        ("x = a and b", "a and b", "a or b"),
        ("x = a and b", "a and b", "b"),
        ("x = not a", "not a", "a"),
        ("if a:\n    x = b", "a", "not a"),
        ("x = a + b", "a + b", "a - b"),
        ("x = 2", "2", "3"),
        ("x = 'word'", "'word'", "''"),
        ("x = 'rate %g of %s' % y", "'rate %g of %s'", "'%gXX%s'"),
        ("x = f(a, b)", "f(a, b)", "f(b, a)"),
        ("x = f(a, key=b)", "f(a, key=b)", "f(a)"),
        ("x = {a, b}", "{a, b}", "{a}"),
        ("X = (a, b)", "(a, b)", "(b,)"),
        ("x = a in (b, c)", "(b, c)", "(c,)"),
        ("def f():\n    return a", "return a", "return None"),
        ("def f():\n    raise a", "raise a", "pass"),
        ("def f():\n    g()", "g()", "pass"),
        ("def f(a):\n    a.b = c", "a.b = c", "pass"),
    ],
)
def test_a_change_is_made(text, old, new):
    assert (old, new) in changes(text)


@pytest.mark.parametrize("text", ['"""Says."""', "def f():\n    '''Says.'''", "import a", "def f(x: 1) -> 2: pass"])
def test_what_does_nothing_when_it_runs_is_not_changed(text):
    assert changes(text) == set()


def test_a_tree_is_as_it_was_after_each_change():
    text = (ROOT / "tf1_wd" / "plan" / "rates.py").read_text()
    tree = ast.parse(text)
    for mutant in load_tool("mutants").mutants_of(tree):
        with mutant.applied():
            assert ast.dump(tree) != ast.dump(ast.parse(text))
            compile(ast.fix_missing_locations(tree), "rates.py", "exec")
    assert ast.dump(tree) == ast.dump(ast.parse(text))
