"""What every test starts from: a graph of its own, without v2 behavior."""

from __future__ import annotations

import importlib.util
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "benchmarks"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tf_keras") is not None:  # TensorFlow 2.15 and before need not have it
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import pytest
import tensorflow.compat.v1 as tf
from tensorflow.python.ops import control_flow_util

# tf.contrib is in TensorFlow 1 alone, Keras AdamW in TensorFlow 2
collect_ignore = ["others/test_the_others_%s.py" % ("keras" if tf.__version__.startswith("1.") else "contrib")]

tf.disable_v2_behavior()
# Two devices for the replicas of training/test_replicas.py; it must be said before TensorFlow looks at any device.
tf.config.experimental.set_virtual_device_configuration(
    tf.config.experimental.list_physical_devices("CPU")[0], [tf.config.experimental.VirtualDeviceConfiguration()] * 2
)
tf.logging.set_verbosity(tf.logging.ERROR)


@pytest.fixture(autouse=True)
def graph():
    """A graph of its own for every test."""
    with tf.Graph().as_default() as fresh:
        tf.set_random_seed(1)
        yield fresh


@pytest.fixture(params=["reference", "resource"])
def kind(request):
    """Runs the test on both kinds of variables."""
    with tf.variable_scope(tf.get_variable_scope(), use_resource=request.param == "resource"):
        yield request.param


@pytest.fixture(params=["switch, reference", "switch, resource", "function, resource"])
def flow(request, monkeypatch):
    """Control flow as Switch and Merge (TF 1), or as functions (TF 2's default, which knows no reference variables)."""
    monkeypatch.setattr(control_flow_util, "ENABLE_CONTROL_FLOW_V2", request.param.startswith("function"))
    with tf.variable_scope(tf.get_variable_scope(), use_resource=request.param.endswith("resource")):
        yield request.param


@pytest.fixture(params=["native", "tensorflow"])
def backend(request):
    """Runs the test with the compiled op and with its twin."""
    return request.param
