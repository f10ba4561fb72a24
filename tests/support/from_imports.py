"""The names that a package takes from TensorFlow."""

from __future__ import annotations

import ast


def names_from_tensorflow(path):
    """(module, name) of TensorFlow that the file imports and uses as `module.name`."""
    with open(path) as file:
        tree = ast.parse(file.read())
    modules = {
        alias.asname or alias.name: "%s.%s" % (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tensorflow.python")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr
