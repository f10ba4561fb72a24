"""tf.estimator, real, with a decorated model_fn; on TensorFlow 2.16 and later it is what legacy.install() puts back."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.from_imports import names_from_tensorflow
from support.programs import CURVATURE, LR, RATE, TARGET, W0, assert_close, data_loss, gradient, l2, weights
from tf1_wd import errors
from tf1_wd.errors import GoneError
from tf1_wd.legacy import install
from tf1_wd.legacy.tables.moves import GONE

VERSION = tuple(map(int, tf.version.VERSION.split(".")[:2]))
LOST = VERSION >= (2, 16)  # TensorFlow has no tf.estimator of its own


@pytest.fixture(scope="module", autouse=True)
def estimators():
    """tf.estimator is there during these tests."""
    with install():
        yield


def input_fn(params=None):
    """Three inputs that the loss does not look at."""
    x = np.arange(3.0)
    return tf.data.Dataset.from_tensors(({"x": x}, x)).repeat(3)


def model_fn(features, labels, mode, params, config, kind):
    """A model of one variable; its loss holds L2 of it."""
    with tf.variable_scope("net", use_resource=kind == "resource"):
        w = weights(regularizer=l2())
    predictions = {"w": tf.expand_dims(w, 0)}
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions)
    loss = data_loss(w) + tf.losses.get_regularization_loss()
    if mode == tf.estimator.ModeKeys.EVAL:
        return tf.estimator.EstimatorSpec(mode, predictions, loss)
    train_op = tf.train.AdamOptimizer(params["lr"]).minimize(loss, tf.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, predictions, loss, train_op)


def make(function, directory, **options):
    config = tf.estimator.RunConfig(save_checkpoints_steps=2, tf_random_seed=1, **options)
    return tf.estimator.Estimator(function, str(directory), config, {"lr": LR})


def total_loss(w):
    return 0.5 * np.sum(CURVATURE * (w - TARGET) ** 2) + RATE * 0.5 * np.sum(w**2)


def decorated(kind, how):
    """model_fn on variables of this kind, decorated bare or with arguments."""

    def build(features, labels, mode, params, config):
        return model_fn(features, labels, mode, params, config, kind)

    return tf1_wd.decoupled_weight_decay(build) if how is None else tf1_wd.decoupled_weight_decay(**how)(build)


@pytest.mark.parametrize(
    "how",
    [None, {"order": "after"}, {"order": "before"}, {"convention": "adamw"}],
    ids=["bare", "after", "before", "adamw"],
)
def test_a_decorated_model_fn_decays_once_a_step(how, kind, tmp_path):
    function = decorated(kind, how)
    estimator = make(function, tmp_path).train(input_fn, steps=5)
    order = "after" if how is None else how.get("order", "before")
    scale = LR if how == {"convention": "adamw"} else 1.0
    assert_close(estimator.get_variable_value("net/w"), oracle.train("adam", LR, W0, gradient, 5, order, RATE, scale))
    assert [d.name for d in function.decay.plan.decaying] == ["net/w"]


def test_training_that_goes_on_from_a_checkpoint_goes_on_as_if_never_stopped(kind, tmp_path):
    function = decorated(kind, None)
    make(function, tmp_path).train(input_fn, steps=3)
    estimator = make(function, tmp_path).train(input_fn, max_steps=7)
    assert estimator.get_variable_value("global_step") == 7
    assert_close(estimator.get_variable_value("net/w"), oracle.train("adam", LR, W0, gradient, 7, "after", RATE))


def test_evaluation_and_prediction_decay_nothing_and_report_the_loss_with_its_penalties(kind, tmp_path):
    function = decorated(kind, None)
    estimator = make(function, tmp_path).train(input_fn, steps=2)
    want = oracle.train("adam", LR, W0, gradient, 2, "after", RATE)
    assert estimator.evaluate(input_fn, steps=1)["loss"] == pytest.approx(total_loss(want), rel=1e-5)
    assert not function.decay.plan.decays
    assert_close(next(estimator.predict(input_fn))["w"], want)
    assert_close(estimator.get_variable_value("net/w"), want)


def test_train_and_evaluate_decays_once_a_step(kind, tmp_path):
    estimator = make(decorated(kind, None), tmp_path)
    results, _ = tf.estimator.train_and_evaluate(
        estimator, tf.estimator.TrainSpec(input_fn, max_steps=4), tf.estimator.EvalSpec(input_fn, steps=1)
    )
    want = oracle.train("adam", LR, W0, gradient, 4, "after", RATE)
    assert_close(estimator.get_variable_value("net/w"), want)
    assert results["loss"] == pytest.approx(total_loss(want), rel=1e-5)


def test_attach_takes_the_spec_of_a_model_fn(kind, tmp_path):
    def function(features, labels, mode, params, config):
        with tf.variable_scope("net", use_resource=kind == "resource"):
            w = weights(regularizer=l2())
        loss = data_loss(w)
        spec = tf.estimator.EstimatorSpec(
            mode, loss=loss, train_op=tf.train.AdamOptimizer(LR).minimize(loss, tf.train.get_global_step())
        )
        return tf1_wd.attach(spec)

    estimator = make(function, tmp_path).train(input_fn, steps=4)
    assert_close(estimator.get_variable_value("net/w"), oracle.train("adam", LR, W0, gradient, 4, "after", RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_tpu_estimator_without_a_tpu_decays_once_a_step(order, kind, tmp_path):
    @tf1_wd.decoupled_weight_decay(order=order)
    def function(features, labels, mode, params, config):
        with tf.variable_scope("net", use_resource=kind == "resource"):
            w = weights(regularizer=l2())
        loss = data_loss(w) + tf.losses.get_regularization_loss()
        train_op = tf.train.AdamOptimizer(LR).minimize(loss, tf.train.get_global_step())
        return tf.estimator.tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = tf.estimator.tpu.TPUEstimator(
        function,
        config=tf.estimator.tpu.RunConfig(model_dir=str(tmp_path)),
        params={},
        use_tpu=False,
        train_batch_size=3,
    )
    estimator.train(input_fn, steps=4)
    assert_close(estimator.get_variable_value("net/w"), oracle.train("adam", LR, W0, gradient, 4, order, RATE))


def test_a_model_fn_without_any_penalty_is_an_error_of_train(tmp_path):
    @tf1_wd.decoupled_weight_decay
    def function(features, labels, mode):
        loss = data_loss(weights())
        train_op = tf.train.AdamOptimizer(LR).minimize(loss, tf.train.get_global_step())
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    with pytest.raises(errors.NothingToDecayError):
        tf.estimator.Estimator(function, str(tmp_path)).train(input_fn, steps=1)


# --- what legacy.install() puts back


def test_what_is_gone_is_back_while_installed_and_only_then():
    script = (
        "import importlib.util, tf1_wd.legacy\n"
        "import tensorflow as tf2, tensorflow.compat.v1 as tf\n"
        "from tensorflow.python.util import tf_export\n"
        "from tf1_wd.legacy.tables.moves import GONE\n"
        "def there(): return [importlib.util.find_spec(g.module) is not None for g in GONE], [\n"
        "    'estimator' in vars(tf), 'estimator' in vars(tf2), hasattr(tf_export, 'ESTIMATOR_API_NAME'),\n"
        "    'estimator' in tf_export.API_ATTRS, 'estimator' in tf_export.API_ATTRS_V1]\n"
        "before = there()\n"
        "with tf1_wd.legacy.install():\n"
        "    with tf1_wd.legacy.install(): pass\n"
        "    during = there()\n"
        "    tf.estimator.Estimator, tf2.estimator.Estimator\n"
        "print(before, during, there() == before, sep='\\n')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    output = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True).splitlines()
    modules = [tuple(map(int, gone.release.split("."))) >= VERSION for gone in GONE]
    assert output == [str((modules, [not LOST] * 5)), str(([True] * len(GONE), [True] * 5)), "True"]


def test_every_tensorflow_name_that_the_estimator_uses_is_there():
    package = importlib.import_module("tensorflow_estimator.python.estimator")
    used = set()
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.ispkg and "test" not in found.name.split(".")[-1]:
            used.update(names_from_tensorflow(found.module_finder.find_spec(found.name).origin))
    missing = []
    for module, name in used:
        try:
            owner = importlib.import_module(module)
        except ImportError:  # a function or class, not a module
            continue
        if not hasattr(owner, name):
            missing.append("%s.%s" % (module, name))
    assert len(used) > 100
    assert missing == []


def test_what_rests_on_a_stand_in_says_that_it_is_gone():
    refusal = pytest.raises(GoneError, match=r"no distribution strategy in tf\.estimator.*use TensorFlow 2\.15")
    with refusal if LOST else contextlib.nullcontext():
        tf.estimator.RunConfig(train_distribute=tf.distribute.MirroredStrategy(["/cpu:0"]))
