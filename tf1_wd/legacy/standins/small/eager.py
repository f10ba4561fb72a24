"""What TF1 graphs used of tf.contrib.eager."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def Variable(*args, **kwargs):
    """A resource variable."""
    return tf.Variable(*args, use_resource=True, **kwargs)


def num_gpus():
    """How many GPUs TensorFlow sees."""
    return len(tf.config.experimental.list_physical_devices("GPU"))


def list_devices():
    """The names of the devices."""
    return [device.name for device in tf.config.experimental.list_logical_devices()]
