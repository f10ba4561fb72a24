"""Strategies of tf.contrib.distribute under its arguments."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class MirroredStrategy(tf.distribute.MirroredStrategy):
    """tf.distribute.MirroredStrategy that also takes a number of GPUs."""

    def __init__(self, devices=None, num_gpus=None, num_gpus_per_worker=None, cross_device_ops=None, **kwargs):
        count = num_gpus if num_gpus is not None else num_gpus_per_worker
        if devices is not None and count is not None:
            raise ValueError("Must only specify one of `devices` and `num_gpus`.")
        if kwargs:
            raise ValueError("MirroredStrategy of TensorFlow 2 does not know %s: leave it out" % ", ".join(kwargs))
        if count is not None:
            devices = ["/device:GPU:%d" % i for i in range(count)] or ["/device:CPU:0"]
        super().__init__(devices=devices, cross_device_ops=cross_device_ops)


class OneDeviceStrategy(tf.distribute.OneDeviceStrategy):
    """tf.distribute.OneDeviceStrategy, on the first CPU if no device is named."""

    def __init__(self, device="/device:CPU:0", num_gpus_per_worker=None):
        super().__init__(device)
