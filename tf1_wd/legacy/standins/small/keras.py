"""What Keras 2 had and tf.keras has not: of its backend, its utilities and its interfaces of Keras 1."""

from __future__ import annotations

import warnings

import tensorflow as tf
from tensorflow.python.client import device_lib  # noqa: F401
from tensorflow.python.ops import control_flow_ops, ctc_ops, functional_ops, tensor_array_ops  # noqa: F401
from tensorflow.python.training import moving_averages  # noqa: F401

ctc = ctc_ops
_ORDERINGS = {"channels_last": "tf", "channels_first": "th"}


def image_dim_ordering():
    """The data format in the words of Keras 1: "tf" or "th"."""
    return _ORDERINGS[tf.keras.backend.image_data_format()]


def set_image_dim_ordering(dim_ordering):
    """Sets the data format in the words of Keras 1: "tf" or "th"."""
    (data_format,) = [new for new, old in _ORDERINGS.items() if old == dim_ordering]
    tf.keras.backend.set_image_data_format(data_format)


def multi_gpu_model(model, gpus=None, cpu_merge=True, cpu_relocation=False):
    """The model itself: it trains on one device, with the same loss of the whole batch."""
    warnings.warn("multi_gpu_model is gone from Keras: the model trains on one device", stacklevel=2)
    return model


def __getattr__(name):
    """The decorators of keras.legacy.interfaces translated arguments of Keras 1. Here they change nothing."""
    if name.startswith("legacy_") and name.endswith("_support"):
        return lambda function: function
    raise AttributeError(name)
