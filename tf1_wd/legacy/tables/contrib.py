"""The one table of moves: what tf.contrib held, and what stands in for it. Imports no TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables import data, deep_modules, layers, sequences, training

CONTRIB = "tensorflow.contrib"
ROOTS = (CONTRIB, "tensorflow.examples")

ROWS = layers.ROWS + sequences.ROWS + training.ROWS + data.ROWS
MOVES = {row.old: row for row in ROWS if ":" in row.new}
# whole modules: what stands in for them answers for all their names
HOMES = {row.old: row for row in ROWS if ":" not in row.new}


def _parents(name):
    while name:
        yield name
        name = name.rpartition(".")[0]


_MODULES = {"%s.%s" % (CONTRIB, name) for name in deep_modules.deep()}
_MODULES.update(p for row in ROWS for p in _parents(row.old.rpartition(".")[0]) if p != "tensorflow")
_MODULES.update(HOMES)


def is_below_a_root(name):
    return any(name == root or name.startswith(root + ".") for root in ROOTS)


def is_module(name):
    """True for the dotted name of a module or package that TF 1 had."""
    return name in _MODULES


def package_of(name):
    """tensorflow.contrib.layers for whatever is below it; elsewhere the name itself."""
    return ".".join(name.split(".")[:3]) if name.startswith(CONTRIB + ".") else name


def children(module):
    """The names right below a module."""
    prefix = module + "."
    known = [*MOVES, *_MODULES]
    return {name[len(prefix) :] for name in known if name.startswith(prefix) and "." not in name[len(prefix) :]}
