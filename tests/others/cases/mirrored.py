"""Weights of 1, one a replica, after a step of other systems under MirroredStrategy in graph mode, rate 0.25; JSON."""

from __future__ import annotations

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow.compat.v1 as tf

RATE = 0.25

tf.disable_v2_behavior()
devices = tf.config.experimental
devices.set_virtual_device_configuration(
    devices.list_physical_devices("CPU")[0], [devices.VirtualDeviceConfiguration()] * 2
)


def train(step):
    """The copies after a step, or the name of the error."""
    with tf.Graph().as_default():
        strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice())
        run = getattr(strategy, "run", None) or strategy.experimental_run_v2
        try:
            with strategy.scope():
                train_op = tf.group(*strategy.experimental_local_results(run(lambda: step(weights()))))
        except ValueError as error:
            return type(error).__name__
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(train_op)
            copies = strategy.experimental_local_results(tf.trainable_variables()[0])
            return [float(session.run(copy)[0]) for copy in copies]


def weights():
    return tf.get_variable("w", [2], initializer=tf.ones_initializer(), regularizer=lambda v: RATE * tf.nn.l2_loss(v))


def snippet(w):
    with tf.control_dependencies([tf.train.GradientDescentOptimizer(1.0).minimize(0.0 * tf.reduce_sum(w))]):
        sgd = tf.train.GradientDescentOptimizer(learning_rate=1.0)
        return sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


def contrib(w):
    from tensorflow.contrib import opt

    return opt.AdamWOptimizer(RATE, 0.1).minimize(0.0 * tf.reduce_sum(w))


if __name__ == "__main__":
    result = {"snippet": train(snippet)}
    if tf.__version__.startswith("1."):
        result["contrib"] = train(contrib)
    json.dump(result, sys.stdout)
