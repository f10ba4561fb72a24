"""Optimizers of tf1_wd over those of TensorFlow, and what each must train to."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, gradient

DECAYS = ("Tf1WdDecay", "Tf1WdResourceDecay")
BASES = {
    "sgd": tf.train.GradientDescentOptimizer,
    "momentum": tf.train.MomentumOptimizer,
    "adam": tf.train.AdamOptimizer,
    "rmsprop": tf.train.RMSPropOptimizer,
    "adagrad": tf.train.AdagradOptimizer,
    "ftrl": tf.train.FtrlOptimizer,
}


def optimizer(name="sgd", rate=RATE, backend="auto"):
    """An optimizer of ours over the one that the oracle calls `name`."""
    if name == "adam":
        made = tf1_wd.AdamWOptimizer(rate, LR)
    elif name == "momentum":
        made = tf1_wd.MomentumWOptimizer(rate, LR, 0.9)
    else:
        made = tf1_wd.extend_with_decoupled_weight_decay(BASES[name])(rate, LR)
    made.backend = backend
    return made


def wanted(name, steps, rate=RATE, scale=1.0, start=W0):
    return oracle.train(name, LR, start, gradient, steps, "before", rate, scale)


def operations(types):
    return [op for op in tf.get_default_graph().get_operations() if op.type in types]


def schedule(t):
    return 1.0 / (1.0 + t)


RATES = {
    "float": (lambda count: 0.25, 1.0),
    "NumPy": (lambda count: np.float32(0.25), 1.0),
    "variable": (lambda count: tf.get_variable("rate", initializer=0.25, trainable=False), 1.0),
    "Tensor of the step": (lambda count: 0.25 * schedule(tf.cast(count, tf.float64)), schedule),
    "piecewise_constant": (
        lambda count: tf.train.piecewise_constant(count, [0, 2], [0.25, 0.125, 0.0]),
        lambda t: [1.0, 0.5, 0.5, 0.0, 0.0][t],
    ),
    "function of nothing": (lambda count: lambda: 0.25, 1.0),
    "function of nothing, a Tensor": (lambda count: lambda: 0.25 * schedule(tf.cast(count, tf.float64)), schedule),
    "function of the step": (lambda count: lambda t: 0.25 * schedule(tf.cast(t, tf.float64)), schedule),
    "function of a default": (lambda count: lambda rate=0.25: rate, 1.0),
    "schedule": (lambda count: tf.keras.optimizers.schedules.InverseTimeDecay(0.25, 1, 1.0), schedule),
}
