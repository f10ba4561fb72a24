"""The variables of a Keras layer in mixed precision, which cast themselves, select the variables inside of them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import run

RATE, LR = 0.25, 0.125
KERNEL, BIAS = np.full([3, 2], 1.5), np.full([2], 1.5)
GRADIENT = 4.0  # of each weight: the sum over a batch of 4


def mixed_float16():
    experimental = getattr(tensorflow.keras.mixed_precision, "experimental", None)
    if experimental is not None:  # 1.15
        return experimental.Policy("mixed_float16", loss_scale=None)
    return tensorflow.keras.mixed_precision.Policy("mixed_float16")


@pytest.fixture(params=["of the graph", "of the layer"])
def layer(request):
    """(kernel, bias, loss, the variables that are trained) of a layer: those it makes, or those it shows."""
    start = tf.constant_initializer(1.5)
    made = tf.keras.layers.Dense(2, dtype=mixed_float16(), kernel_initializer=start, bias_initializer=start)
    loss = tf.reduce_sum(tf.cast(made(tf.ones([4, 3])), tf.float32))
    kernel, bias = made.weights
    assert "AutoCast" in type(kernel).__name__
    return kernel, bias, loss, None if request.param == "of the graph" else made.trainable_weights


def assert_decayed(train_op, kernel, bias, after):
    """Of kernel and bias, the first decayed, after the step or before it, and the second did not."""
    got, plain = run(train_op, [tf.identity(kernel), tf.identity(bias)])
    want = (1 - RATE) * (KERNEL - LR * GRADIENT) if after else KERNEL - LR * GRADIENT - RATE * KERNEL
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(plain, BIAS - LR * GRADIENT, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        lambda kernel, bias: {"rates": RATE, "exclude": [bias]},
        lambda kernel, bias: {"rates": RATE, "exclude": bias},
        lambda kernel, bias: {"rates": RATE, "include": kernel},
        lambda kernel, bias: {"rates": {kernel: RATE}},
        lambda kernel, bias: {"rates": RATE / 2, "multipliers": {kernel: 2.0, bias: 0.0}},
    ],
)
def test_options_of_a_scope_take_the_variables_of_a_layer(options, layer, backend):
    kernel, bias, loss, trained = layer
    with tf1_wd.decoupled_weight_decay(backend=backend, **options(kernel, bias)):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss, var_list=trained)
    assert_decayed(train_op, kernel, bias, after=True)


@pytest.mark.parametrize("listed", [lambda kernel: [kernel], lambda kernel: kernel])
def test_a_decay_var_list_takes_the_variables_of_a_layer(listed, layer, backend):
    kernel, bias, loss, trained = layer
    optimizer = tf1_wd.MomentumWOptimizer(RATE, LR, 0.0)
    optimizer.backend = backend
    train_op = optimizer.minimize(loss, var_list=trained, decay_var_list=listed(kernel))
    assert_decayed(train_op, kernel, bias, after=False)
