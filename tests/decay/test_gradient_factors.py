"""What a program multiplied gradients by on their way to the optimizer: a table."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.programs import W0, data_loss, weights
from tf1_wd.decay.scope.gradient_factors import factors_of
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.errors import AmbiguousRateError
from tf1_wd.graph.variables import variable_op
from tf1_wd.penalties.gradient_call import GradientCall

FED = 3.0


def fed():
    return tf.placeholder_with_default(np.float64(FED), [])


def in_each_branch(on_true, on_false):
    return tf.cond(tf.placeholder_with_default(True, []), on_true, on_false)


def kept(gradient):
    """A sum in a reference variable; of those in resource variables, see test_net_rate.py."""
    with tf.variable_scope(tf.get_variable_scope(), use_resource=False):
        return weights("total", trainable=False).assign_add(gradient)


def added_in_a_loop(gradient, start):
    return tf.while_loop(lambda i, total: i < 2, lambda i, total: (i + 1, total + gradient), [0, start])[1]


# what is done to a gradient -> the factor
OF_ONE = {
    "nothing": (lambda g: g, 1.0),
    "a multiple": (lambda g: 0.5 * g, 0.5),
    "a multiple, on the right": (lambda g: g * 0.5, 0.5),
    "a quotient": (lambda g: g / 4.0, 0.25),
    "several": (lambda g: -2.0 * (g / 8.0), -0.25),
    "a number that is fed": (lambda g: g * fed(), FED),
    "one over a number that is fed": (lambda g: 6.0 * g / fed(), 6.0 / FED),
    "the opposite": (lambda g: -g, -1.0),
    "ones": (lambda g: 2.0 * (g * tf.ones_like(g)), 2.0),
    "a copy": (lambda g: tf.identity(tf.stop_gradient(g)), 1.0),
    "the second of several copies": (lambda g: tf.identity_n([4.0 * g, 2.0 * g])[1], 2.0),
    "a check": (lambda g: tf.check_numerics(g, "no number"), 1.0),
    "a cast": (lambda g: tf.cast(tf.cast(g, tf.float32), tf.float64), 1.0),
    "another shape": (lambda g: tf.reshape(tf.reshape(g, [-1]), W0.shape), 1.0),
    "parts, and together again": (lambda g: tf.concat(tf.split(g, W0.shape[0]), 0), 1.0),
    "its sum with itself": (lambda g: g + 0.5 * g, 1.5),
    "its sum with others": (lambda g: g + tf.random_normal(W0.shape, dtype=tf.float64), 1.0),
    "less its mean": (lambda g: g - tf.reduce_mean(g, axis=0, keepdims=True), 1.0),
    "zeros for what is not finite": (lambda g: tf.where(tf.is_finite(g), g, tf.zeros_like(g)), 1.0),
    "a multiple of that": (lambda g: 2.0 * tf.where(tf.is_finite(g), 0.25 * g, tf.zeros_like(g)), 0.5),
    "a mask": (lambda g: g * (W0 > 0).astype(np.float64), 1.0),
    "a clip of values": (lambda g: 0.25 * tf.clip_by_value(g, -0.5, 0.5), 0.25),
    "a clip of the norm": (lambda g: 0.25 * tf.clip_by_norm(g, 0.5), 0.25),
    "a clip of the global norm": (lambda g: 0.25 * tf.clip_by_global_norm([g], 0.5)[0][0], 0.25),
    "its own norm": (lambda g: g / tf.norm(g), 1.0),
    "steps of one size": (lambda g: 0.125 * tf.sign(g), 1.0),
    "a cond of equal factors": (lambda g: in_each_branch(lambda: 2.0 * g, lambda: g * 2.0), 2.0),
}
# what is done to two gradients -> the factor of each
OF_TWO = {
    "a sum": (lambda g, h: g + h, [1.0, 1.0]),
    "a sum of a list": (lambda g, h: tf.add_n([g, 0.25 * h]), [1.0, 0.25]),
    "a difference": (lambda g, h: g - h, [1.0, -1.0]),
    "a mean": (lambda g, h: (g + h) / 2.0, [0.5, 0.5]),
    "a weighted mean": (lambda g, h: 0.25 * g + 0.75 * h, [0.25, 0.75]),
    "a mean of a stack": (lambda g, h: tf.reduce_mean(tf.stack([g, h]), 0), [0.5, 0.5]),
    "a mean of a copy of a stack": (lambda g, h: tf.reduce_mean(tf.identity(tf.stack([g, h])), 0), [0.5, 0.5]),
    "a sum of a stack": (lambda g, h: tf.reduce_sum(tf.stack([g, h]), 0), [1.0, 1.0]),
    "a mean of what is concatenated": (
        lambda g, h: tf.reduce_mean(tf.concat([tf.expand_dims(t, 0) for t in (g, h)], 0), 0),
        [0.5, 0.5],
    ),
    "one of them": (lambda g, h: 2.0 * h, [0.0, 2.0]),
}
NOT_KNOWN = {
    "a maximum": (lambda g, h: tf.maximum(g, h), "combined by"),
    "a product": (lambda g, h: g * h, "combined by"),
    "a stack": (lambda g, h: tf.stack([g, h]), "combined by"),
    "a sum of steps": (lambda g, h: tf.sign(g) + h, "combined by"),
    "a variable": (lambda g, h: kept(g), "goes through a variable"),
    "a loop": (lambda g, h: added_in_a_loop(g, h), "goes through a loop"),
    "factors of their own in a cond": (lambda g, h: in_each_branch(lambda: 2.0 * g, lambda: 3.0 * g), "each branch"),
    "one of them in each branch": (lambda g, h: in_each_branch(lambda: 2.0 * g, lambda: 2.0 * h), "each branch"),
    "a multiple of another op": (lambda g, h: 2.0 * tf.cumsum(g), "multiplied behind it"),
}


def factors(build, count):
    w = weights("w")
    calls, gradients = [], []
    for _ in range(count):
        loss = data_loss(w)
        call = GradientCall(loss, [w], None)
        gradients += call.keep(tf.gradients(loss, [w]))
        calls.append(call)
    found = factors_of(build(*gradients), gradients, variable_op(w), Upstream(calls))
    with tf.Session() as session:
        return [session.run(f) if tf.is_tensor(f) else f for f in found]


@pytest.mark.parametrize("change", OF_ONE)
def test_the_factor_of_a_gradient(change, kind):
    build, factor = OF_ONE[change]
    assert factors(build, 1) == pytest.approx([factor])


@pytest.mark.parametrize("change", OF_TWO)
def test_the_factors_of_two_gradients(change, kind):
    build, expected = OF_TWO[change]
    assert factors(build, 2) == pytest.approx(expected)


@pytest.mark.parametrize("change", NOT_KNOWN)
def test_a_factor_that_is_not_known_is_refused(change, kind):
    build, words = NOT_KNOWN[change]
    with pytest.raises(AmbiguousRateError, match="(?s)%s.*rates=" % words):
        factors(build, 2)
