"""Trains by lines of the Keras that TensorFlow 2 brings, in eager mode; see convention_program.py."""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.pop("TF_USE_LEGACY_KERAS", None)

import keras
import tensorflow as tf
from convention_program import main


def train(case, w0, gradient):
    w = tf.Variable(w0)
    optimizer = eval(case["line"], {"keras": keras, "lr": case["lr"][0], "rate": case["rate"]})
    for lr in case["lr"]:
        optimizer.learning_rate = lr
        optimizer.apply_gradients([(tf.constant(gradient(w)), w)])
        yield w


main(train)
