"""L2 that a program adds to its gradients by itself is refused before a decay comes on top of it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, one_step, run, sgd, weights
from tf1_wd import errors


def plain(g, v):
    return g + RATE * v


def scaled(g, v):
    return 2.0 * (g + v * tf.placeholder_with_default(np.float64(RATE), []))


def clipped(g, v):
    return tf.clip_by_norm(tf.add_n([g, RATE * tf.identity(v)]), 1e6)


def masked(g, v):
    return g + tf.where(W0 > 0.0, RATE * v, tf.zeros_like(v))


def of_a_penalty(g, v):
    return g + tf.gradients(RATE * tf.nn.l2_loss(v), v)[0]


ADDED = [plain, scaled, clipped, masked]


def build(change, w):
    optimizer = sgd()
    pairs = optimizer.compute_gradients(data_loss(w), [w])
    return optimizer.apply_gradients([(change(g, v), v) for g, v in pairs])


@pytest.mark.parametrize("options", [{}, {"rates": RATE}], ids=["", "rates"])
@pytest.mark.parametrize("change", ADDED)
def test_it_is_refused_with_its_variable(change, options, kind):
    w = weights("w")
    with pytest.raises(errors.CoupledPenaltyError, match="leave that out and pass rates=") as refused:
        with tf1_wd.decoupled_weight_decay(**options):
            build(change, w)
    assert refused.value.variable == "w"


def test_rates_in_its_place_decay(kind):
    w = weights("w")
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = build(lambda g, v: g, w)
    assert_close(run(train_op, w), one_step())


@pytest.mark.parametrize("options", [{"exclude": "^w$"}, {"rates": {"other": RATE}, "exclude": "^w$"}])
def test_it_stays_as_it_is_in_a_variable_that_is_excluded(options, kind):
    w, other = weights("w"), weights("other")
    with tf1_wd.decoupled_weight_decay(**{"rates": RATE, **options}):
        train_op = build(plain, w), sgd().minimize(data_loss(other))
    assert_close(run(train_op, w), W0 - LR * (gradient(W0) + RATE * W0))
    assert_close(run(train_op, other), one_step())


def test_l2_by_gradients_of_a_penalty_decays(kind):
    w = weights("w")
    with tf1_wd.decoupled_weight_decay():
        train_op = build(of_a_penalty, w)
    assert_close(run(train_op, w), one_step())


NONE = {
    "a clip by the norm of the weights": lambda g, v: tf.clip_by_norm(g, 1e6 * tf.norm(v)),
    "a distance from other weights": lambda g, v: g + 0.0 * (v - W0),
    "a trust ratio": lambda g, v: g * tf.norm(v) / tf.norm(v),
    "a guard": lambda g, v: tf.where(tf.is_finite(g), g, tf.zeros_like(v)),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_l2_is_none(name, kind):
    w = weights("w")
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = build(NONE[name], w)
    assert_close(run(train_op, w), one_step())
