"""`import keras` gives Keras 2 in every spelling, with the classes that train in graph mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support.versions import IS_TF1

MODULES = """
activations applications.mobilenetv2 applications.resnet50 backend.common backend.tensorflow_backend callbacks
constraints datasets.mnist engine.base_layer engine.input_layer engine.network engine.saving engine.sequential
engine.topology engine.training engine.training_utils initializers layers.advanced_activations layers.convolutional
layers.convolutional_recurrent layers.core layers.cudnn_recurrent layers.embeddings layers.local layers.merge
layers.noise layers.normalization layers.pooling layers.recurrent layers.wrappers legacy.interfaces losses metrics
models objectives optimizers preprocessing.image preprocessing.sequence preprocessing.text regularizers utils.conv_utils
utils.data_utils utils.generic_utils utils.io_utils utils.layer_utils utils.multi_gpu_utils utils.np_utils
utils.training_utils utils.vis_utils wrappers.scikit_learn
"""

# old name: the same object in tf.keras, if it has a name there
NAMES = {
    "layers.core.Dense": "layers.Dense",
    "layers.convolutional.Convolution2D": "layers.Conv2D",
    "layers.convolutional.Deconvolution2D": "layers.Conv2DTranspose",
    "layers.convolutional_recurrent.ConvLSTM2D": "layers.ConvLSTM2D",
    "layers.normalization.BatchNormalization": "layers.BatchNormalization",
    "layers.merge.concatenate": "layers.concatenate",
    "layers.merge._Merge": "",
    "layers.pooling.MaxPooling2D": "layers.MaxPooling2D",
    "layers.embeddings.Embedding": "layers.Embedding",
    "layers.recurrent.LSTM": "layers.LSTM",
    "layers.wrappers.TimeDistributed": "layers.TimeDistributed",
    "layers.noise.GaussianNoise": "layers.GaussianNoise",
    "layers.local.LocallyConnected1D": "layers.LocallyConnected1D",
    "layers.advanced_activations.LeakyReLU": "layers.LeakyReLU",
    "layers.CuDNNLSTM": "layers.CuDNNLSTM",
    "layers.cudnn_recurrent.CuDNNGRU": "layers.CuDNNGRU",
    "utils.np_utils.to_categorical": "utils.to_categorical",
    "utils.vis_utils.plot_model": "utils.plot_model",
    "utils.generic_utils.Progbar": "utils.Progbar",
    "utils.data_utils.get_file": "utils.get_file",
    "utils.layer_utils.print_summary": "",
    "utils.conv_utils.conv_output_length": "",
    "utils.multi_gpu_model": "",
    "utils.training_utils.multi_gpu_model": "",
    "engine.Layer": "layers.Layer",
    "engine.topology.InputSpec": "layers.InputSpec",
    "engine.topology.Container": "",
    "engine.training.Model": "models.Model",
    "engine.saving.load_weights_from_hdf5_group_by_name": "",
    "backend.tensorflow_backend.set_session": "backend.set_session",
    "backend.tf.placeholder": "",
    "backend.control_flow_ops.cond": "",
    "backend.image_dim_ordering": "",
    "legacy.interfaces.legacy_dense_support": "",
    "objectives.mean_squared_error": "losses.mean_squared_error",
    "constraints.maxnorm": "constraints.max_norm",
    "optimizers.Adam": "optimizers.Adam",
    "optimizers.SGD": "optimizers.SGD",
}

# Prints {spelling: why it fails}
SPELLINGS = """
import json, operator, sys
import tf1_wd.legacy
tf1_wd.legacy.install()
import tensorflow as tf
modules, names = json.loads(sys.argv[1])
failed = {}

def attempt(spelling, wanted):
    try:
        scope = {}
        exec(spelling, scope)
        assert not wanted or scope["found"] is operator.attrgetter(wanted)(tf.compat.v1.keras), scope["found"]
    except BaseException as error:
        failed[spelling] = "%s: %s" % (type(error).__name__, error)

for module in modules:
    parent, _, last = ("keras." + module).rpartition(".")
    attempt("import keras.%s; found = keras.%s.__name__" % (module, module), "")
    attempt("import keras.%s as found" % module, "")
    attempt("from %s import %s as found" % (parent, last), "")
    attempt("import keras; found = keras." + module, "")
for name, wanted in names.items():
    module, _, last = name.rpartition(".")
    attempt("import keras; found = keras." + name, wanted)
    if module not in ("backend.tf", "backend.control_flow_ops"):
        attempt("from keras.%s import %s as found" % (module, last), wanted)
        attempt("import keras.%s as m; found = m.%s" % (module, last), wanted)
attempt("from keras.layers import *; found = Dense", "layers.Dense")
attempt("from keras.models import *; found = Sequential", "models.Sequential")
attempt("from keras import *; found = layers.Dense", "layers.Dense")
attempt("from keras import Model as found", "Model")
attempt("import keras; assert keras.__version__ >= '2'", "")
print(json.dumps(failed))
"""


def in_new_process(script, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_every_module_and_name_imports_in_every_spelling():
    assert json.loads(in_new_process(SPELLINGS, json.dumps([MODULES.split(), NAMES]))) == {}


TRAINS = """
import json
import tf1_wd.legacy
tf1_wd.legacy.install()
import numpy as np
from keras.layers.core import Dense
from keras.models import Sequential
from keras.optimizers import SGD, Adam
from keras import backend as K

found = {}
for name, optimizer in {"sgd": SGD(lr=0.1, momentum=0.5), "adam": Adam(lr=0.1), "text": "sgd"}.items():
    model = Sequential([Dense(1, use_bias=False, kernel_initializer="ones", input_shape=(1,))])
    model.compile(optimizer, loss=lambda y, prediction: prediction)
    if name == "text":
        K.set_value(model.optimizer.lr, 0.2)
    model.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=2, verbose=0)
    found[name] = model.get_weights()[0].item()
print(json.dumps(found))
"""


def test_its_optimizers_train_in_graph_mode():
    # gradient 1 in each of two steps
    right = {"sgd": 1 - 0.1 - 0.15, "adam": 1 - 0.1 - 0.1, "text": 1 - 0.2 - 0.2}
    assert json.loads(in_new_process(TRAINS)) == pytest.approx(right, abs=1e-5)


OWN = """
import warnings
import tf1_wd.legacy
tf1_wd.legacy.install()
import keras
from keras import backend as K
from keras.legacy import interfaces

assert K.image_dim_ordering() == "tf"
K.set_image_dim_ordering("th")
assert K.image_data_format() == "channels_first" and K.image_dim_ordering() == "th"
assert interfaces.legacy_conv2d_support(len) is len
assert K.tf.Session
if not hasattr(keras.backend.tf.keras.utils, "multi_gpu_model"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert keras.utils.multi_gpu_model("a model", gpus=2) == "a model"
    assert "one device" in str(caught[0].message)
try:
    keras.layers.Highway
except AttributeError as error:
    print(error)
"""


def test_what_is_gone_from_tf_keras_is_there_or_says_so():
    assert in_new_process(OWN) == "keras.layers.Highway is gone from Keras: leave it out, or run on TensorFlow 1.15"


@pytest.mark.skipif(IS_TF1, reason="there is no other Keras beside TensorFlow 1")
def test_a_keras_that_is_installed_is_as_before_afterwards():
    script = (
        "import sys, tensorflow, keras, tf1_wd.legacy\n"
        "before = dict(sys.modules)\n"
        "with tf1_wd.legacy.install():\n"
        "    assert not [name for name in before if name not in sys.modules and name.split('.')[0] != 'keras']\n"
        "    import keras.layers.core\n"
        "    assert keras.layers.core.Dense is tensorflow.compat.v1.keras.layers.Dense\n"
        "print(all(sys.modules[name] is module for name, module in before.items()))\n"
    )
    assert in_new_process(script) == "True"
