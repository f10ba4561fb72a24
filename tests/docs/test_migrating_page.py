"""docs/migrating-to-tf2: each block runs as it stands, and those that belong together train to the same weights.

The blocks of TensorFlow 1 run here, those of TensorFlow 2 in a process that executes eagerly, one for each Keras that
is installed: see cases/migrating_page.py. Both are held against NumPy (migrating_oracle.py).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support import migrating
from support.migrating import GROUPS, MISTAKES, Mistake
from support.migrating_oracle import START, averages, of_embedding, off, squares_of_rows, train
from support.pages import runs_all
from support.versions import IS_TF1

needs_tf2 = pytest.mark.skipif(IS_TF1, reason="the other block needs TensorFlow 2")
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")  # of tf.layers in slim, from 2.15 on
KERAS = ["keras"] if importlib.util.find_spec("tf_keras") is None else ["keras", "tf-keras"]


def in_steps(t):
    return 0.1 * 0.5 ** (t // 5)


def smoothly(t):
    return 0.1 * 0.5 ** (t / 5)


def warm_up(t):
    return min(t / 10, 1.0)


TABLE = dict(gradients=of_embedding, start=[START[0], START[2], START[3]], order="before")
DEFAULT = functools.partial(train, "adam", rates=0.1)
WANTED = {
    "L2 in the loss, written by hand": lambda: train("adam", l2=0.5),
    "L2 from the regularizers of layers": lambda: train("momentum", l2=0.5),
    "A second SGD step": DEFAULT,
    "A second SGD step 2": lambda: DEFAULT(order="before"),
    "tf1_wd with the convention of AdamW": lambda: train("adam", rates=0.5, order="before", scale="lr"),
    "tf1_wd by default, and a rate for each variable": lambda: train("adam", rates=[0.1, 0.0, 0.05, 0.0]),
    "tf.contrib.opt": lambda: train("adam", rates=0.05, order="before"),
    "tf.contrib.opt 2": lambda: train("momentum", rates=0.05, order="before"),
    "tf.contrib.opt 3": lambda: train("adam", smoothly, rates=0.05, order="before"),
    "SGD and Momentum": lambda: train("sgd", l2=0.5),
    "SGD and Momentum 2": lambda: train("momentum", smoothly, l2=0.5),
    "RMSProp and Adagrad": lambda: train("rmsprop", l2=0.5),
    "RMSProp and Adagrad 2": lambda: train("adagrad", l2=0.5),
    "Schedules": lambda: train("adam", in_steps, rates=0.5, order="before", scale="lr"),
    "Schedules 2": lambda: train("adam", in_steps, rates=0.5, scale="lr"),
    "Schedules 3": lambda: DEFAULT(scale=warm_up),
    "Clipping": lambda: train("momentum", l2=0.5, clip=1.0),
    "Clipping 2": lambda: train("momentum", rates=0.5, order="before", scale="lr", clip=1.0),
    "Frozen layers, and two optimizers": lambda: train(
        [None, None, "adam", "adam"], rates=0.5, order="before", scale="lr"
    ),
    "Frozen layers, and two optimizers 2": lambda: train(
        ["sgd", "sgd", "adam", "adam"], [0.1, 0.1, 0.2, 0.2], rates=0.5, order="before", scale="lr"
    ),
    "Accumulated gradients": lambda: DEFAULT(micro_steps=4),
    "Skipped steps": lambda: DEFAULT(skipped=[7]),
    "Moving averages of the weights": lambda: [averages(DEFAULT())],
    "Embeddings": lambda: train("adam", rates=[0.5, 0.0, 0.0], scale="lr", **TABLE),
    "Embeddings 2": lambda: train("adam", rates=[0.1, 0.0, 0.0], touched=True, **TABLE),
    "From a checkpoint of TensorFlow 1": DEFAULT,
    "Estimators, monitored sessions, towers": DEFAULT,
    "Estimators, monitored sessions, towers 2": lambda: train("momentum", rates=0.1),
}
ONE_KIND = {"A second SGD step": "reference"}  # on the other kind of variables the block is a race
# What the figures in the text are of: {heading: (group, what stands in a block, what else might)}
FIGURES = {
    "A second SGD step": (
        "A second SGD step 2",
        "    tf1_wd.tf2.decay(kernels, 0.1)\n    optimizer.apply_gradients(zip(gradients, weights))\n",
        "    optimizer.apply_gradients(zip(gradients, weights))\n    tf1_wd.tf2.decay(kernels, 0.1)\n",
    ),
    "Accumulated gradients": (
        "Accumulated gradients",
        "        tf1_wd.tf2.decay(kernels, 0.1)\n        for s in sums:\n            s.assign(tf.zeros_like(s))\n",
        "        for s in sums:\n            s.assign(tf.zeros_like(s))\n    tf1_wd.tf2.decay(kernels, 0.1)\n",
    ),
    "Skipped steps": (
        "Skipped steps",
        "        tf1_wd.tf2.decay(kernels, 0.1)\n",
        "    tf1_wd.tf2.decay(kernels, 0.1)\n",
    ),
    "Moving averages of the weights": (
        "Moving averages of the weights",
        "    tf1_wd.tf2.decay(kernels, 0.1)\n    for average, w in zip(averages, weights):\n"
        "        average.assign(0.9 * average + 0.1 * w)\n",
        "    for average, w in zip(averages, weights):\n"
        "        average.assign(0.9 * average + 0.1 * w)\n    tf1_wd.tf2.decay(kernels, 0.1)\n",
    ),
    "From a checkpoint of TensorFlow 1": (
        "From a checkpoint of TensorFlow 1",
        'optimizer.iterations.assign(saved.get_tensor("global_step"))\n',
        "optimizer = tf.keras.optimizers.Adam(0.1, epsilon=1e-8)\n",
    ),
}
STATED = [*MISTAKES, *(Mistake(*FIGURES[h], off) for h, off in migrating.figures() if h in FIGURES)]
# Those that are the same in each Keras are measured in one
MEASURED = [(n, keras) for keras in KERAS for n, m in enumerate(STATED) if keras == "keras" or "Keras" in m.off]


def within(name):
    """Keras's Adam multiplies by 0.001 where TensorFlow 1 has 1 - beta2 in float32, a part of 1.3e-5 less."""
    return 1e-4 if "Adam" in GROUPS[name].tf1 else 1e-5


@contextlib.contextmanager
def folder():
    """A working directory to leave files in."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as path:
        os.chdir(path)
        try:
            yield path
        finally:
            os.chdir(here)


@functools.lru_cache(None)
def trained(block, kind="reference"):
    """The weights that a block of TensorFlow 1 trains, in a graph of its own."""
    with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
        names = {}
        exec(migrating.BEGIN_TF1 + block, names)
        return names["after"]


@functools.lru_cache(None)
def wanted(name):
    return WANTED[name]()[-1]


def blocks_with_mistakes(keras):
    blocks = [migrating.with_mistake(STATED[n]) for n, where in MEASURED if where == keras]
    return [block for block in blocks if block and block.startswith(migrating.TF2)]


@functools.lru_cache(None)
def process(keras):
    """cases/migrating_page.py, run beside the checkpoint of a block of TensorFlow 1."""
    program = pathlib.Path(__file__).resolve().with_name("cases") / "migrating_page.py"
    environment = dict(os.environ, TF_USE_LEGACY_KERAS="1" if keras == "tf-keras" else "0")
    with folder() as path:
        trained.__wrapped__(GROUPS["From a checkpoint of TensorFlow 1"].tf1)
        return subprocess.run(
            [sys.executable, str(program)],
            input=json.dumps(blocks_with_mistakes(keras)),
            cwd=path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
        )


def found(keras):
    """{"groups": {name: [weights of each block]}, "mistakes": {block: weights}, "keras": its version}"""
    assert process(keras).returncode == 0, process(keras).stderr[-2000:]
    printed = json.loads(process(keras).stdout)
    return dict(printed, mistakes=dict(zip(blocks_with_mistakes(keras), printed["mistakes"])))


def check(weights):
    """The weights of a block of TensorFlow 2, or its traceback as an error."""
    assert not isinstance(weights, str), weights
    return weights


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("kind", ["reference", "resource"])
def test_the_block_of_tensorflow_1_trains_as_its_rule_says(name, kind):
    if ONE_KIND.get(name, kind) != kind:
        pytest.skip("a race on %s variables, as the page says" % kind)
    with folder():
        assert off(trained(GROUPS[name].tf1, kind), wanted(name)) < 1e-5


@needs_tf2
@pytest.mark.parametrize("keras", KERAS)
@pytest.mark.parametrize("name", GROUPS)
def test_the_blocks_of_tensorflow_2_train_to_the_same_weights(name, keras):
    with folder():
        old = trained(GROUPS[name].tf1)
    assert len(found(keras)["groups"][name]) == len(GROUPS[name].tf2) >= 1
    for weights in found(keras)["groups"][name]:
        assert off(check(weights), old) < within(name)
        assert off(weights, wanted(name)) < within(name)


@pytest.mark.parametrize(("number", "keras"), MEASURED, ids=lambda x: STATED[x].group if isinstance(x, int) else x)
def test_what_is_written_differently_trains_to_weights_that_are_as_far_off_as_the_page_says(number, keras):
    mistake = STATED[number]
    block = migrating.with_mistake(mistake)
    assert block is not None, mistake
    version = "Keras %s" % ("2" if IS_TF1 else found(keras)["keras"][0])
    if block.startswith(migrating.TF1):
        weights = trained(block)
    elif IS_TF1:
        pytest.skip("the block needs TensorFlow 2")
    else:
        weights = check(found(keras)["mistakes"][block])
    measured = 100.0 * off(weights, wanted(mistake.group))
    figures = re.findall(r"([\d.]+) %(?: in (Keras \d))?", mistake.off)
    assert figures
    for figure, of in figures:
        if of in ("", version):
            assert measured == pytest.approx(float(figure), rel=0.05, abs=0.004)
    largest = max(float(figure) for figure, _ in figures)
    assert largest > 10_000 * within(mistake.group) or "epsilon" in mistake.old


@needs_tf2
def test_keras_3_squares_each_occurrence_of_a_row_by_itself():
    if found("keras")["keras"][0] == "2":
        pytest.skip("needs Keras 3")
    block = migrating.with_mistake(next(mistake for mistake in STATED if mistake.group == "Embeddings"))
    rule = train("adam", rates=[0.5, 0.0, 0.0], scale="lr", squares=squares_of_rows, **TABLE)[-1]
    assert off(check(found("keras")["mistakes"][block]), rule) < 1e-4


def test_what_the_constants_of_keras_change_in_a_step_is_what_the_page_says():
    text, beta2 = migrating.text(), np.float64(np.float32(0.999))
    assert "step of Keras's %.4f %% different" % (100 * (np.sqrt(0.001 / (1 - beta2)) - 1)) in text
    assert "at most %.5f %% shorter" % (100 * (1 - np.sqrt(0.1 / (0.1 + 1e-7)))) in text


def test_every_pair_has_a_mistake_that_it_would_show():
    assert {mistake.group for mistake in STATED} == set(GROUPS)


def test_every_figure_in_the_text_is_measured():
    assert [heading for heading, _ in migrating.figures()] == list(FIGURES)


def test_the_index_links_to_every_page():
    assert {"README.md", *migrating.indexed()} == {page.name for page in migrating.FOLDER.iterdir()}


@runs_all("docs/migrating-to-tf2/*.md", "python")
def test_every_block_of_the_pages_is_run():
    blocks = [migrating.BEGIN_TF1, migrating.BEGIN_TF2, *(b for g in GROUPS.values() for b in [g.tf1, *g.tf2])]
    assert len(blocks) == migrating.text().count("```python")
    assert set(WANTED) == set(GROUPS)
    for group in GROUPS.values():
        assert group.tf1.startswith(migrating.TF1)
        assert all(block.startswith(migrating.TF2) for block in group.tf2)
