"""Every row of the tables of moves imports, in every spelling, and what is in none says so."""

from __future__ import annotations

import importlib
import json
import operator
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from support.versions import BEFORE_1_15, IS_TF1
from tf1_wd.legacy.tables import contrib, core

after_tf1 = pytest.mark.skipif(IS_TF1, reason="TensorFlow 1.15 has the real tf.contrib")

# Prints [{spelling: why it fails}, how many were tried, what install() imported that it should not].
EVERY_SPELLING = """
import importlib, json, operator, sys
import tf1_wd.legacy
from tf1_wd.legacy.imports import contrib_finder as finder
from tf1_wd.legacy.tables import contrib as table, core as table_core

tf1_wd.legacy.install()
heavy = [name for name in ("tf_slim", "tensorflow_estimator.python.estimator") if name in sys.modules]

def spellings(old):
    module, _, name = old.rpartition(".")
    parent, _, last = module.rpartition(".")
    yield "import tensorflow as tf; found = tf.%s" % old.split(".", 1)[1]
    yield "import %s as m; found = m.%s" % (module, name)
    yield "from %s import %s as m; found = m.%s" % (parent, last, name)
    yield "from %s import %s as found" % (module, name)
    if table.package_of(module) == module:
        for deep in sorted(name for name in table._MODULES if name.startswith(module + ".")):
            # contrib.framework.python.ops.arg_scope is the function of the module of its name, in 1.15 too
            if deep not in table.MOVES and deep not in table.HOMES and not table.is_module(deep + "." + name):
                yield "from %s import %s as found" % (deep, name)
                yield "import %s as m; found = m.%s" % (deep, name)

failed, count = {}, 0

def attempt(spelling, wanted=None):
    global count
    count += 1
    try:
        scope = {}
        exec(spelling, scope)
        assert wanted is None or scope["found"] is wanted or scope["found"] == wanted, scope["found"]
    except BaseException as error:
        failed[spelling] = "%s: %s" % (type(error).__name__, error)

for row in table.ROWS:
    if row.old in table.HOMES:
        attempt("import %s as found; found.__name__" % row.old)
        attempt("from %s import %s as found; dir(found)" % tuple(row.old.rsplit(".", 1)))
    else:
        try:
            wanted = finder.load(row)
        except BaseException as error:
            failed[row.old] = repr(error)
            continue
        for spelling in spellings(row.old):
            attempt(spelling, wanted)
for row in table_core.ROWS:
    attempt("from %s import %s as found" % tuple(row.old.rsplit(".", 1)))
for old in table_core.MODULES:
    attempt("import %s as found" % old)
    attempt("from %s import %s as found" % tuple(old.rsplit(".", 1)))
print(json.dumps([failed, count, heavy]))
"""


def in_new_process(script, environment=()):
    environment = {k: v for k, v in {**os.environ, **dict(environment)}.items() if k != "TF_USE_LEGACY_KERAS"}
    return subprocess.check_output(
        [sys.executable, "-c", script], env=environment, text=True, stderr=subprocess.DEVNULL, timeout=300
    ).strip()


@pytest.fixture(scope="module")
def outcome():
    return json.loads(in_new_process(EVERY_SPELLING).splitlines()[-1])


@after_tf1
def test_every_row_of_the_tables_imports_in_every_spelling(outcome):
    failed, count, _ = outcome
    assert failed == {}
    assert count > 10 * len(contrib.ROWS)


@after_tf1
def test_install_imports_no_slim_and_no_estimator(outcome):
    assert outcome[2] == []


def existed(name):
    """True if this TensorFlow has the dotted name, as an attribute or to be imported."""
    module, _, last = name.rpartition(".")
    ways = [
        lambda: importlib.import_module(name),
        lambda: getattr(importlib.import_module(module), last),
        lambda: operator.attrgetter(name[len("tensorflow.") :])(tf),
    ]
    for way in ways:
        try:
            return way() is not None
        except (ImportError, AttributeError):
            continue
    return False


@pytest.mark.skipif(not IS_TF1, reason="tf.contrib is in TensorFlow 1 alone")
@pytest.mark.filterwarnings("ignore")  # contrib's own
def test_every_name_of_the_tables_was_in_tensorflow_1_15():
    rows = [row.old for row in (*contrib.ROWS, *core.ROWS) if row.since not in BEFORE_1_15]
    assert len(rows) > 500
    assert [old for old in [*rows, *core.MODULES] if not existed(old)] == []


def test_no_name_stands_twice_in_the_tables():
    names = [row.old for row in contrib.ROWS]
    assert sorted(set(names)) == sorted(names)


UNKNOWN = """
import tf1_wd, tf1_wd.legacy
tf1_wd.legacy.install()
import tensorflow as tf

def outcome(code):
    try:
        return "fine: %s" % eval(code) if "import" not in code else exec(code) or "fine"
    except Exception as error:
        kind = "AttributeError" if isinstance(error, AttributeError) else "ImportError"
        assert isinstance(error, tf1_wd.Tf1WdError) and isinstance(error, (AttributeError, ImportError)), error
        return "%s: %s" % (kind, error)

for code in CODES:
    print(outcome(code))
"""


def outcomes(*codes):
    return in_new_process(UNKNOWN.replace("CODES", repr(list(codes)))).splitlines()


@after_tf1
def test_a_name_without_a_stand_in_says_so_where_it_is_used_or_imported_by_name():
    told = outcomes(
        "tf.contrib.boosted_trees",
        "hasattr(tf.contrib.boosted_trees, 'estimator_batch')",
        "getattr(tf.contrib.seq2seq, 'Foo', 'a default')",
        "from tensorflow.contrib import boosted_trees",
        "from tensorflow.contrib.seq2seq.python.ops import decoder",
        "tf.contrib.seq2seq.Foo",
        "tf.contrib.nosuch",
        "from tensorflow.contrib.seq2seq import Foo",
        "from tensorflow.contrib import nosuch",
        "import tensorflow.contrib.nosuch.deep",
        "from tensorflow.contrib.layers.python.layers.layers import Foo",
    )
    assert told[0].startswith("fine: <module 'tensorflow.contrib.boosted_trees'")
    assert told[1:5] == ["fine: False", "fine: a default", "fine", "fine"]
    says = "%s: tensorflow.contrib.%s is gone from TensorFlow 2, and tf1_wd has no stand-in for it: leave it out"
    for line, kind, name in zip(
        told[5:],
        ["AttributeError"] * 2 + ["ImportError"] * 4,
        ["seq2seq.Foo", "nosuch", "seq2seq.Foo", "nosuch", "nosuch", "layers.python.layers.layers.Foo"],
    ):
        assert line.startswith(says % (kind, name)), line


@after_tf1
def test_a_stand_in_whose_package_is_missing_names_the_package():
    script = (
        "import sys; sys.modules['tf_slim'] = None\n"
        "import tf1_wd.legacy; tf1_wd.legacy.install()\n"
        "import tensorflow.contrib.layers as layers\n"
        "try:\n"
        "    layers.conv2d\n"
        "except tf1_wd.Tf1WdError as error:\n"
        "    print(error)"
    )
    assert in_new_process(script) == "tensorflow.contrib.layers.conv2d needs a package: pip install tf-slim"
