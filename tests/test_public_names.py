"""The names of tf1_wd: what is there, what type checkers see of it, and how its modules are had."""

from __future__ import annotations

import ast
import importlib
import pathlib
import subprocess
import sys

import pytest

import tf1_wd
from tf1_wd import errors

STUB = pathlib.Path(tf1_wd.__file__).with_suffix(".pyi")
CLASSES = [k for k in vars(errors).values() if isinstance(k, type) and k.__module__ == errors.__name__]
PUBLIC_ERRORS = [k.__name__ for k in CLASSES if not k.__name__.startswith("_")]


def test_type_checkers_see_the_names_that_there_are_and_where_they_come_from():
    found = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            found.update((alias.asname, node.module) for alias in node.names)
    assert set(found) == set(tf1_wd.__all__) - {"__version__"}
    for name, module in found.items():
        assert getattr(importlib.import_module(module), name) is getattr(tf1_wd, name)


@pytest.mark.parametrize("name", PUBLIC_ERRORS)
def test_each_error_is_there_by_its_name_with_a_remedy(name):
    assert getattr(tf1_wd, name) is getattr(errors, name)
    assert ":" in getattr(errors, name).__doc__ or name in ("Tf1WdError", "Tf1WdWarning")


@pytest.mark.parametrize("name", ["conventions", "errors", "keras", "legacy", "optimizers"])
def test_a_public_module_is_imported_by_its_name(name):
    code = f"""
import tf1_wd
try:
    tf1_wd.{name}
except AttributeError as error:
    print(error)
import tf1_wd.{name}
print(tf1_wd.{name}.__name__)
"""
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    module = "tf1_wd." + name
    assert run.stdout.splitlines() == ["%s is a module of its own: import %s" % (module, module), module]


def test_without_tensorflow_a_name_says_how_to_install_it():
    code = "import sys, tf1_wd; sys.modules['tensorflow'] = None; tf1_wd.attach"
    run = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False)
    needed = "tf1_wd needs a package: pip install %s" % errors.PACKAGES["tensorflow"]
    assert run.stderr.splitlines()[-1] == "tf1_wd.errors.MissingPackageError: " + needed
    assert "_tf" not in run.stderr
