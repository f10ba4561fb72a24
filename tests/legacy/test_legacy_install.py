"""install() puts back what tf-slim needs, where it is missing, and takes it back when asked."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf
import tf_slim as slim

from support.from_imports import names_from_tensorflow
from support.versions import BEFORE_1_15
from tf1_wd.legacy import install, runtime
from tf1_wd.legacy.imports.contrib_finder import load
from tf1_wd.legacy.tables.core import ROWS

# slim and the layers under it warn of themselves
pytestmark = pytest.mark.filterwarnings("ignore:`.*` is deprecated:UserWarning")

VERSION = tuple(map(int, tf.version.VERSION.split(".")[:2]))


def in_new_process(script):
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    return subprocess.check_output([sys.executable, "-c", script], env=environment, text=True).strip()


def owner_and_name(row):
    module, _, name = row.old.rpartition(".")
    return importlib.import_module(module), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ".".join(row.old.split(".")[-2:]))
def test_a_moved_name_is_back_while_installed_and_only_then(row):
    owner, name = owner_and_name(row)
    before = vars(owner).get(name)
    with install():
        if before is None and VERSION >= (2, 0):
            assert getattr(owner, name) is load(row)
        else:
            assert vars(owner).get(name) is before
    assert vars(owner).get(name) is before


def test_all_names_are_where_they_were_in_tensorflow_1_15_and_slim_misses_some_later():
    missing = {row.old for row in ROWS if not hasattr(*owner_and_name(row)) and row.since not in BEFORE_1_15}
    if VERSION < (2, 0):
        assert missing == set()
    else:
        assert {
            "tensorflow.python.framework.ops.Tensor",
            "tensorflow.python.ops.control_flow_ops.case",
            "tensorflow.python.ops.variable_scope.variable",
        } <= missing


def test_close_puts_the_normalization_module_back():
    normalization = importlib.import_module("tensorflow.python.layers.normalization")
    before = vars(normalization).get("normalization")
    installation = install()
    slim.batch_norm(tf.zeros([2, 3]))
    installation.close()
    assert vars(normalization).get("normalization") is before


def test_a_second_install_changes_nothing_and_its_end_neither():
    control_flow = importlib.import_module("tensorflow.python.ops.control_flow_ops")
    with install():
        with install():
            pass
        assert control_flow.case


def test_every_tensorflow_name_that_slim_uses_is_there():
    used = set()
    for found in pkgutil.walk_packages(slim.__path__, "tf_slim."):
        if not found.ispkg and not found.name.endswith("_test"):
            used.update(names_from_tensorflow(found.module_finder.find_spec(found.name).origin))
    missing = []
    with install():
        for module, name in used:
            try:
                owner = importlib.import_module(module)
            except ImportError:  # a function or class, not a module
                continue
            if not hasattr(owner, name):
                missing.append("%s.%s" % (module, name))
    assert len(used) > 100
    assert missing == []


@pytest.mark.parametrize("updates", [tf.GraphKeys.UPDATE_OPS, None], ids=["update_ops", "in_place"])
@pytest.mark.parametrize("fused", [False, True])
def test_slim_batch_norm_trains_with_installed_names(updates, fused):
    with install():
        images = tf.random_normal([4, 5, 5, 2])
        output = slim.batch_norm(images, is_training=True, fused=fused, updates_collections=updates)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert abs(session.run(tf.reduce_mean(output))) < 1e-5


def test_slim_create_train_op_takes_gradient_multipliers():
    with install():
        w = tf.get_variable("w", initializer=1.0)
        sgd = tf.train.GradientDescentOptimizer(0.5)
        train_op = slim.learning.create_train_op(w * 1.0, sgd, gradient_multipliers={"w": tf.constant(0.5)})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        assert session.run(w) == 0.75


def test_the_slim_example_decoder_builds():
    with install():
        decoder = slim.tfexample_decoder.TFExampleDecoder(
            {
                "image/encoded": tf.FixedLenFeature((), tf.string),
                "image/format": tf.FixedLenFeature((), tf.string, default_value="png"),
            },
            {"image": slim.tfexample_decoder.Image()},
        )
        (image,) = decoder.decode(tf.constant(b""), ["image"])
    assert image.dtype == tf.uint8


def test_importing_legacy_imports_no_tensorflow():
    assert in_new_process("import sys, tf1_wd.legacy; print('tensorflow' in sys.modules)") == "False"


@pytest.mark.parametrize("first", ["", "import tensorflow; "], ids=["before_tensorflow", "after_tensorflow"])
def test_tf_layers_and_rnn_cells_work_after_install(first):
    script = first + (
        "import tf1_wd.legacy; tf1_wd.legacy.install()\n"
        "import tensorflow.compat.v1 as tf\n"
        "with tf.Graph().as_default():\n"
        "    print(tf.layers.dense(tf.zeros([2, 3]), 4).shape, tf.nn.rnn_cell.LSTMCell(5).output_size)"
    )
    assert in_new_process(script) == "(2, 4) 5"


def test_a_program_that_uses_keras_3_already_is_told_so():
    script = (
        "import tensorflow as tf, tf1_wd.legacy\n"
        "tf.keras.layers\n"
        "try:\n"
        "    tf1_wd.legacy.install()\n"
        "except tf1_wd.Tf1WdError as error:\n"
        "    print(error)"
    )
    output = in_new_process(script)
    assert ("Keras 3 is in use already" in output) == (VERSION >= (2, 16))


def test_close_leaves_the_environment_as_it_was():
    script = (
        "import os, tf1_wd.legacy\n"
        "before = dict(os.environ)\n"
        "with tf1_wd.legacy.install():\n"
        "    during = os.environ.get('TF_USE_LEGACY_KERAS')\n"
        "print(during, os.environ.get('TF_USE_LEGACY_KERAS') == before.get('TF_USE_LEGACY_KERAS'))"
    )
    assert in_new_process(script) == "%s True" % ("1" if VERSION >= (2, 16) else None)


@pytest.mark.skipif(VERSION < (2, 0), reason="TensorFlow 1 has no Keras but its own")
def test_keras_is_keras_2_for_the_program_and_as_before_afterwards():
    script = (
        "import importlib.util, sys, tf1_wd.legacy\n"
        "stack = tf1_wd.legacy.install()\n"
        "import tensorflow as tf\n"
        "if importlib.util.find_spec('tf_keras') or tf.__version__ < '2.16':\n"
        "    from keras.layers import Dense\n"
        "    from keras.models import Sequential\n"
        "    import keras.layers as layers\n"
        "    assert layers.Dense is Dense is tf.keras.layers.Dense\n"
        "    assert isinstance(Sequential([Dense(3, input_shape=(2,))]).output, tf.Tensor)\n"
        "stack.close()\n"
        "print(sorted(name for name, module in sys.modules.items()\n"
        "             if name.split('.')[0] == 'keras' and module.__name__.startswith('tf_keras')))"
    )
    assert in_new_process(script).splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("release", "source"),
    [
        ((2, 1), "tensorflow.python.keras"),
        ((2, 5), "tensorflow.python.keras"),
        ((2, 6), "keras"),
        ((2, 12), "keras"),
        ((2, 13), "keras.src"),
    ],
)
def test_keras_2_is_where_that_tensorflow_has_it(monkeypatch, release, source):
    monkeypatch.setattr(runtime, "_release", lambda: release)
    monkeypatch.setattr(runtime, "_keras_2", lambda: "keras")
    assert runtime._keras_source() == source
