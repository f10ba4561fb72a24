"""Every block of docs/guide/selective-and-dynamic.md runs."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.pages import of, runs_all
from support.programs import run
from support.versions import IS_TF1

BLOCKS = [block.text for block in of("docs/guide/selective-and-dynamic.md", "python")]
IN_TF2 = [block for block in BLOCKS if "import tensorflow" in block]
IN_GRAPHS = [block for block in BLOCKS if block not in IN_TF2]


def program():
    """The names that the page takes from the reader's program, and the kernels."""
    net = tf.ones([4, 3])
    for layer in ("fc1", "fc2"):
        with tf.variable_scope(layer):
            kernel = tf.get_variable("kernel", initializer=np.full((3, 3), 0.5, np.float32))
            net = tf.matmul(net, kernel) + tf.get_variable("bias", initializer=np.full(3, 0.5, np.float32))
    names = {"tf": tf, "tf1_wd": tf1_wd, "loss": 0.0 * tf.reduce_sum(net)}  # so what moves the weights is decay alone
    names.update(optimizer=tf.train.GradientDescentOptimizer(0.5), global_step=tf.train.get_or_create_global_step())
    return names


@runs_all("docs/guide/selective-and-dynamic.md", "python")
@pytest.mark.parametrize("number", range(len(IN_GRAPHS)))
def test_a_block_of_the_page_builds_a_train_op_that_decays(number, kind):
    names = program()
    exec(IN_GRAPHS[number], names)
    steps = [names["train_op"]] * 2 + ([names["summaries"]] if "summaries" in names else [])
    values = dict(zip(["fc1/kernel", "fc1/bias", "fc2/kernel", "fc2/bias"], run(*steps, tf.trainable_variables())))
    assert (values["fc1/kernel"] < 0.5).all()
    if "bias_and_norm" in IN_GRAPHS[number]:
        assert (values["fc1/bias"] == 0.5).all()
    if "multipliers" in IN_GRAPHS[number]:
        np.testing.assert_allclose(values["fc2/kernel"], 0.5 * (1 - 1e-3) ** 2, rtol=1e-6)


def test_the_schedules_of_the_page_are_what_they_are_called():
    names = program()
    exec(next(block for block in IN_GRAPHS if "after_1000_steps" in block), names)
    for step, want in ((999, (0.0, 1.0)), (1000, (1.0, 1.0)), (1001, (1.0, 0.1)), (3000, (1.0, 0.01))):
        at = tf.constant(step, tf.int64)
        np.testing.assert_allclose(run([names["after_1000_steps"](at), names["in_steps"](at)]), want)


@pytest.mark.skipif(IS_TF1, reason="the block is for TensorFlow 2")
def test_the_block_for_tensorflow_2_runs():
    assert len(IN_TF2) == 1
    # TensorFlow traces a function that makes variables, as the optimizer does, twice; then no step is traced again.
    check = "count = train_step.experimental_get_tracing_count()\ntrain_step()\n"
    check += "assert train_step.experimental_get_tracing_count() == count <= 2\nprint('trained')\n"
    environment = dict(os.environ, TF_USE_LEGACY_KERAS="0")
    done = subprocess.run(
        [sys.executable, "-c", IN_TF2[0] + check], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "trained\n", done.stderr[-2000:]
