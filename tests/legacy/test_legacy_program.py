"""After install(), programs as they were written for TensorFlow 1 run on TensorFlow 2 as they are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from support.versions import IS_TF1

after_tf1 = pytest.mark.skipif(IS_TF1, reason="there install() changes nothing")
MISSES_KERAS_2 = tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 16)
INSTALL = "import tf1_wd.legacy; stack = tf1_wd.legacy.install()\n"


def printed(script):
    """What a script prints in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout.split()


PROGRAM = """
import numpy as np
import tensorflow as tf
import tensorflow.contrib as tc
import tensorflow.contrib.slim as slim
from tensorflow.contrib import layers, rnn
from tensorflow.contrib.framework.python.ops.variables import get_or_create_global_step
from tensorflow.contrib.slim.python.slim.nets import resnet_v1
from tensorflow.python.framework import ops
from tensorflow.python.ops import array_ops, control_flow_ops
from tensorflow.python import pywrap_tensorflow
from tensorflow.python.training import training_ops

FLAGS = tf.app.flags.FLAGS
tf.app.flags.DEFINE_float("rate", 0.5, "learning rate")

def main(_):
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    hparams = tc.training.HParams(units=3).parse("units=5")
    with slim.arg_scope([slim.fully_connected], weights_regularizer=layers.l2_regularizer(0.1)):
        net = slim.fully_connected(x, hparams.units, weights_initializer=tf.contrib.layers.xavier_initializer())
    cell = rnn.MultiRNNCell([rnn.BasicLSTMCell(5), rnn.BasicLSTMCell(5)])
    outputs, _ = rnn.static_rnn(cell, [net, net], dtype=tf.float32)
    net = tf.layers.batch_normalization(outputs[-1], training=True)
    loss = tf.reduce_mean(tf.square(net)) + tf.losses.get_regularization_loss()
    step = get_or_create_global_step()
    optimizer = tf.train.GradientDescentOptimizer(FLAGS.rate)
    train = slim.learning.create_train_op(loss, optimizer, global_step=step)
    assert isinstance(loss, ops.Tensor) and array_ops.unstack is tf.unstack and control_flow_ops.case is tf.case
    with tf.Session(config=tf.ConfigProto()) as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train, {x: np.ones([2, 4])})
        kind = type(tf.trainable_variables()[0]).__name__
        print(session.run(step), tf.executing_eagerly(), kind, len(tf.get_collection("regularization_losses")))

if __name__ == "__main__":
    tf.app.run()
"""


def test_a_program_of_tensorflow_1_runs_as_it_is():
    assert printed(INSTALL + PROGRAM) == ["3", "False", "RefVariable", "1"]


@after_tf1
def test_modules_of_tensorflow_are_the_same_under_all_their_names():
    script = """
import tensorflow as tf
import tensorflow.compat.v1 as v1
import tensorflow.nn as nn
import tensorflow.keras as keras
import tensorflow.keras.layers
from tensorflow.keras.layers import Dense
from tensorflow.keras import layers
from tensorflow.train import AdamOptimizer
from tensorflow import estimator
import tensorflow.compat.v2 as v2
dense = Dense is layers.Dense is tf.keras.layers.Dense is v2.keras.layers.Dense
same = [nn is tf.nn is v1.nn, keras is tf.keras, dense,
        AdamOptimizer is v1.train.AdamOptimizer, estimator.Estimator is v1.estimator.Estimator, v1.nn.__spec__.name]
print(*same)
"""
    *same, spec = printed(INSTALL + script)
    assert same == ["True"] * 5
    assert spec != "tensorflow.nn"


@after_tf1
def test_libraries_that_use_tensorflow_2_keep_working():
    script = """
import tensorflow as tf
print(tf.__version__[0], tf.function.__name__, tf.Module.__name__, hasattr(tf, "nosuch"), "contrib" in dir(tf))
import tf_slim, tensorflow_estimator
from tensorflow.python.ops import gradients_util
from tensorflow.lite.python import lite
print(tf_slim.conv2d.__name__, lite.__name__)
"""
    assert printed(INSTALL + script) == [
        "2",
        "function",
        "Module",
        "False",
        "True",
        "convolution2d",
        "tensorflow.lite.python.lite",
    ]


@after_tf1
def test_close_takes_everything_back():
    script = """
import sys, importlib
import tensorflow
before = tensorflow, set(sys.meta_path), tensorflow.executing_eagerly()
"""
    after = """
import tensorflow.contrib.slim, tensorflow.nn, tensorflow.examples.tutorials.mnist.input_data
assert sys.modules["tensorflow"] is not before[0] and not tensorflow.executing_eagerly()
stack.close()
import tensorflow as again
print((again, set(sys.meta_path), again.executing_eagerly()) == before, hasattr(again, "placeholder"))
print([name for name in sys.modules if name.startswith(("tensorflow.contrib", "tensorflow.examples"))])
try:
    import tensorflow.contrib
except ImportError:
    print("gone")
"""
    assert printed(script + INSTALL + after) == ["True", "False", "[]", "gone"]


@after_tf1
def test_v2_behavior_stays_off_where_tensorflow_cannot_switch_it_on_again():
    script = """
import tensorflow as tf
tf.constant(1.0)
stack.close()
import tensorflow as again
print(again.executing_eagerly(), again.compat.v1.resource_variables_enabled())
"""
    assert printed(INSTALL + script) == ["False", "False"]


@pytest.mark.skipif(not IS_TF1, reason="TensorFlow 2 has no tf.contrib")
@pytest.mark.parametrize("has_keras", [True, False])
def test_on_tensorflow_1_install_changes_nothing_at_all_where_a_keras_is(has_keras, tmp_path):
    """Where none is, it adds a finder behind all others, for `import keras`."""
    if has_keras:
        (tmp_path / "keras.py").write_text("")
    script = (
        "import sys; sys.path.append(%r)" % str(tmp_path)
        + """
import sys, os
import tensorflow
before = dict(sys.modules), list(sys.meta_path), dict(os.environ), tensorflow.resource_variables_enabled()
"""
        + INSTALL
        + """
new = [name for name in sys.modules if name not in before[0] and not name.startswith("tf1_wd")]
finders = sys.meta_path[: len(before[1])] if HAS_NO_KERAS else sys.meta_path
same = [finders == before[1], dict(os.environ) == before[2], sys.modules["tensorflow"] is tensorflow]
import tensorflow.contrib.layers
real = os.path.dirname(os.path.dirname(tensorflow.__file__))
print([n for n in new if "tensorflow" in n], *same, tensorflow.contrib.layers.__file__.startswith(real))
""".replace("HAS_NO_KERAS", str(not has_keras))
    )
    assert printed(script) == ["[]", "True", "True", "True", "True"]


@after_tf1
def test_what_tensorflow_1_took_and_gave_it_takes_and_gives():
    script = (
        INSTALL
        + """
import numpy as np
import tensorflow as tf
import tensorflow.contrib.tfprof as tfprof
from tensorflow import Tensor
from tensorflow.contrib.tfprof import model_analyzer
from tensorflow.python.data.experimental.ops import stats_ops, threadpool
from tensorflow.python.framework import ops

x = tf.constant([1.0])
seen = []
def look(value):
    seen.append(isinstance(value, tf.Tensor) and not isinstance(value, Tensor))
    return value
eager = tf.py_function(look, [x], tf.float32)

four = tf.constant(4, tf.int32)
data = tf.data.Dataset.range(8).map(lambda x: x + 1, num_parallel_calls=four).skip(four)
data = data.shuffle(np.int32(1)).interleave(lambda x: tf.data.Dataset.from_tensors(x), four, 1).batch(four).repeat(four)
data = threadpool.override_threadpool(data, threadpool.PrivateThreadPool(2, display_name="own"))
data = data.prefetch(np.int32(1))
values = tf.data.make_one_shot_iterator(data).get_next()

tf.get_variable("w", [3])
counted = model_analyzer.print_model_analysis(
    tf.get_default_graph(), tfprof_options=dict(model_analyzer.TRAINABLE_VARS_PARAMS_STAT_OPTIONS, output="none")
).total_parameters
with tf.Session() as session:
    _, values = session.run([eager, values])
try:
    stats_ops.set_stats_aggregator("an aggregator")
except tf1_wd.Tf1WdError as error:
    said = str(error)
assert said.startswith("tensorflow.python.data.experimental.ops.stats_ops.set_stats_aggregator is gone"), said
assert said.endswith("use TensorFlow 1.15"), said
print(type(x) is tf.Tensor is Tensor is ops.Tensor, seen, values.tolist(), counted)
"""
    )
    assert " ".join(printed(script)).endswith("True [True] [5, 6, 7, 8] 3")


@after_tf1
@pytest.mark.parametrize(
    ("package", "said"),
    [
        (
            "tf_keras",
            """
            tf.layers.dense: tensorflow.layers.dense needs a package: pip install tf-keras
            tf.nn.rnn_cell.LSTMCell: tensorflow.nn.rnn_cell.LSTMCell needs a package: pip install tf-keras
            tf.keras.models.Sequential: tensorflow.keras.models needs a package: pip install tf-keras
            from keras.models import Sequential: keras.models.Sequential needs a package: pip install tf-keras
            from keras import Model: keras.Model needs a package: pip install tf-keras
            from keras.layers.core import Dense: keras.layers.core needs a package: pip install tf-keras
            tf.contrib.slim.batch_norm(tf.zeros([1, 2, 2, 1])): tensorflow.layers.BatchNormalization needs a package: pip install tf-keras
            tf.keras.utils.to_categorical: fine
            tf.contrib.slim.conv2d: fine
            tf.estimator.Estimator: fine
            """,  # noqa: E501
        ),
        (
            "tensorflow_estimator",
            """
            tf.estimator.Estimator: tensorflow.estimator.Estimator needs a package: pip install tensorflow-estimator==2.15.0
            tf.contrib.tpu.TPUEstimator: tensorflow.estimator.tpu needs a package: pip install tensorflow-estimator==2.15.0
            from tensorflow.python.estimator import estimator: tensorflow.python.estimator needs a package: pip install tensorflow-estimator==2.15.0
            tf.layers.dense: fine
            """,  # noqa: E501
        ),
    ],
)
def test_a_missing_package_is_named_where_something_of_it_is_asked_for(package, said):
    if not MISSES_KERAS_2:
        pytest.skip("TensorFlow 2.15 has its own Keras and estimator")
    lines = [line.strip() for line in said.strip().splitlines()]
    script = (
        "import sys; sys.modules[%r] = None\n" % package
        + INSTALL
        + "import tensorflow as tf\n"
        + "for code in %r:\n" % [line.split(": ")[0] for line in lines]
        + "    try:\n"
        + "        exec(code)\n"
        + "        print(code + ': fine')\n"
        + "    except tf1_wd.errors.MissingPackageError as error:\n"
        + "        print('%s: %s' % (code, error))\n"
    )
    assert " ".join(printed(script)) == " ".join(lines)
