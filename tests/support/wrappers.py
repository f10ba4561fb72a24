"""Optimizers that hand over to another one, and what must be there for them."""

from __future__ import annotations

import contextlib

import pytest
import tensorflow.compat.v1 as tf

from support.versions import IS_TF1

# tf.contrib is there on 1.x alone, tf.mixed_precision on 2.x alone
HAS_CONTRIB = IS_TF1
contrib_warns = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ImportWarning")


def contrib():
    import tensorflow

    return tensorflow.contrib


def mixed_precision(optimizer):
    """The class that all names of 1.15 and 2.x lead to."""
    scale = tf.train.experimental.DynamicLossScale(initial_loss_scale=8.0)
    return tf.train.experimental.MixedPrecisionLossScaleOptimizer(optimizer, scale)


@contextlib.contextmanager
def functional_control_flow():
    """tf.cond makes an If op with functions for branches, as in TensorFlow 2 with no more than eager mode disabled."""
    tf.enable_control_flow_v2()
    try:
        yield
    finally:
        tf.disable_control_flow_v2()
