"""Trains by lines of TensorFlow Addons, in eager mode; see convention_program.py."""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
import tensorflow_addons as tfa
from convention_program import main


def train(case, w0, gradient):
    w = tf.Variable(w0)
    optimizer = eval(case["line"], {"tfa": tfa, "lr": case["lr"][0], "rate": case["rate"]})
    for lr in case["lr"]:
        optimizer.learning_rate = lr
        optimizer.apply_gradients([(tf.constant(gradient(w)), w)])
        yield w


main(train)
