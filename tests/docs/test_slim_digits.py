"""The example is TF1 code as its author left it: real data, L2 in the loss, and no word of tf1_wd."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.environments import interpreter
from support.pages import runs
from support.paths import ROOT
from support.versions import IS_TF1
from tf1_wd.commands.demo import train
from tf1_wd.legacy import install

# slim and the layers under it warn of themselves
pytestmark = pytest.mark.filterwarnings("ignore:`.*` is deprecated:UserWarning")

EXAMPLES = str(ROOT / "legacy_examples")
SCRIPT = os.path.join(EXAMPLES, "slim_digits.py")
INSTALL_AND_RUN = (
    "import runpy, sys, tf1_wd.legacy; tf1_wd.legacy.install(); sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@runs("legacy_examples/data/README.md", block="digits = sklearn")
def test_the_code_of_their_page_makes_the_data(block, tmp_path):
    code = "import numpy as np\nimport sklearn.datasets\n" + block.text
    subprocess.run([interpreter("TF1_WD_SKLEARN_PYTHON"), "-c", code], cwd=str(tmp_path), check=True)
    places = str(tmp_path), os.path.join(EXAMPLES, "data")
    made, data = (dict(np.load(os.path.join(place, "optical_digits.npz"))) for place in places)
    assert {name: made[name].dtype for name in made} == {name: data[name].dtype for name in data}
    for name in data:
        np.testing.assert_array_equal(made[name], data[name])


@pytest.fixture(scope="module")
def example():
    with install():
        yield train.load_example("slim_digits")


def test_the_script_runs_alone_and_learns(tmp_path):
    # tf-slim's batch_norm is broken on TF 2.14 and later: there, what it needs is put back first
    start = [SCRIPT] if IS_TF1 else ["-c", INSTALL_AND_RUN, SCRIPT]
    environment = dict(os.environ, PYTHONPATH=os.path.dirname(EXAMPLES))
    environment.pop("TF_USE_LEGACY_KERAS", None)
    output = subprocess.check_output(
        [sys.executable, *start, "--steps", "150"], cwd=str(tmp_path), env=environment, text=True
    )
    assert re.search(r"step 100: loss \d+\.\d+", output)
    assert float(re.search(r"test accuracy (\S+)", output).group(1)) > 0.9


def test_the_script_does_not_know_of_this_package():
    with open(SCRIPT) as file:
        assert "tf1_wd" not in file.read()


def test_the_data_are_the_1797_digits():
    with np.load(os.path.join(EXAMPLES, "data", "optical_digits.npz")) as data:
        images, labels = data["images"], data["labels"]
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    # the class distribution that UCI gives for the testing set
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_train_and_test_are_fixed_parts_of_the_data(example):
    (train_images, train_labels), (test_images, test_labels) = example.load_digits()
    assert train_images.shape == (1000, 8, 8, 1)
    assert test_images.shape == (797, 8, 8, 1)
    assert (len(train_labels), len(test_labels)) == (1000, 797)
    assert 0.0 <= train_images.min() < train_images.max() == 1.0


def test_an_epoch_of_batches_holds_every_image_at_most_once(example):
    images, labels = np.arange(100), np.arange(100)
    batches = example.batches(images, labels, batch_size=32, seed=0)
    epoch = np.concatenate([next(batches)[0] for _ in range(3)])
    assert len(set(epoch)) == 96


def test_the_loss_contains_the_l2_of_all_five_weights(example):
    images, labels = tf.zeros([4, 8, 8, 1]), tf.zeros([4], tf.int64)
    loss = example.build_loss(example.inference(images, is_training=False, weight_decay=0.5), labels)
    weights = [v for v in tf.trainable_variables() if v.op.name.endswith("/weights")]
    l2 = 0.5 * tf.add_n([tf.nn.l2_loss(w) for w in weights])
    data_loss = tf.losses.get_total_loss(add_regularization_losses=False)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        total, data_loss, l2 = session.run([loss, data_loss, l2])
    assert len(weights) == 5
    np.testing.assert_allclose(total, data_loss + l2, rtol=1e-5)


def test_a_step_updates_the_batch_norm_statistics(example):
    images, labels = tf.ones([4, 8, 8, 1]), tf.zeros([4], tf.int64)
    loss = example.build_loss(example.inference(images, is_training=True), labels)
    train_op = example.build_train_op(loss, tf.train.get_or_create_global_step())
    variance = next(v for v in tf.global_variables() if v.op.name == "conv1/BatchNorm/moving_variance")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        assert np.all(session.run(variance) < 1.0)
