"""Penalties that the loss contains already."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.other_words import fed_loss
from support.programs import (
    CURVATURE,
    LR,
    RATE,
    TARGET,
    W0,
    assert_close,
    data_loss,
    gradient,
    l2,
    run,
    trained,
    weights,
)
from tf1_wd.plan.reasons import Fate

IN_THE_LOSS = {
    "add_n": lambda loss, w: tf.add_n([loss, *tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)]),
    "get_total_loss": lambda loss, w: (tf.losses.add_loss(loss), tf.losses.get_total_loss())[1],
    "wd * get_regularization_loss()": lambda loss, w: loss + RATE * tf.losses.get_regularization_loss(),
    "chain of +=": lambda loss, w: loss + RATE / 2 * tf.nn.l2_loss(w) + RATE / 4 * tf.nn.l2_loss(w) * 2.0,
    "hand-written": lambda loss, w: loss + RATE * tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()]),
    "Keras": lambda loss, w: loss + RATE / 2 * tf.reduce_sum(tf.square(w)),
    "Keras of TF 1": lambda loss, w: loss + tf.reduce_sum(RATE / 2 * tf.square(w)),
    "w ** 2": lambda loss, w: loss + RATE / 2 * tf.reduce_sum(w**2),
    "w * w": lambda loss, w: loss + RATE / 2 * tf.reduce_sum(w * w),
    "mean": lambda loss, w: loss + RATE * 3 * tf.reduce_mean(tf.square(w)),
    "sum of sums": lambda loss, w: loss + RATE / 2 * tf.reduce_sum(tf.reduce_sum(tf.square(w), axis=1)),
    "concat": lambda loss, w: loss + RATE * tf.nn.l2_loss(tf.concat([tf.reshape(w, [-1]), tf.reshape(w, [-1])], 0)) / 2,
    "cast": lambda loss, w: loss + tf.cast(RATE * tf.nn.l2_loss(tf.cast(w, tf.float32)), w.dtype),
    "loss scale": lambda loss, w: (loss * 8.0 + 8.0 * RATE * tf.nn.l2_loss(w)) / 8.0,
    "stack": lambda loss, w: tf.reduce_sum(tf.stack([loss, RATE * tf.nn.l2_loss(w)])),
    "mean over batch": lambda loss, w: tf.reduce_mean(tf.zeros([4], w.dtype) + loss + RATE * tf.nn.l2_loss(w)),
}
REGULARIZERS = {"add_n": l2(), "get_total_loss": l2(), "wd * get_regularization_loss()": l2(1.0)}


@pytest.mark.parametrize("idiom", IN_THE_LOSS)
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_penalty_in_the_loss_trains_as_one_that_is_not(idiom, order, kind):
    w = weights(regularizer=REGULARIZERS.get(idiom))
    loss = IN_THE_LOSS[idiom](data_loss(w), w)
    got = trained(lambda: tf.train.AdamOptimizer(LR).minimize(loss), order=order)
    assert_close(got, oracle.train("adam", LR, W0, gradient, 10, order, RATE))


@pytest.mark.parametrize("idiom", IN_THE_LOSS)
def test_the_fetched_loss_still_contains_its_penalties(idiom, kind):
    w = weights(regularizer=REGULARIZERS.get(idiom))
    loss = IN_THE_LOSS[idiom](data_loss(w), w)
    with tf1_wd.decoupled_weight_decay():
        tf.train.AdamOptimizer(LR).minimize(loss)
    want = 0.5 * np.sum(CURVATURE * (W0 - TARGET) ** 2) + RATE * 0.5 * np.sum(W0**2)
    np.testing.assert_allclose(run(loss), want, rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "ftrl"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_loss_fetched_with_the_train_op_is_that_of_the_weights_the_step_began_from(optimizer, order, graph):
    with tf.variable_scope("net", use_resource=True):
        layers = [weights("layer%d" % i, value=np.full((64, 64), 1.0)) for i in range(8)]
    data = tf.add_n([tf.nn.l2_loss(w - 2.0) for w in layers])
    loss = data + RATE * tf.add_n([tf.nn.l2_loss(w) for w in layers])
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(loss)
    want = 8 * 64 * 64 * (1 + RATE) / 2
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(100):
            session.run(initialize)
            assert session.run([loss, train_op])[0] == pytest.approx(want)


def test_a_coefficient_that_is_fed_decays_by_what_is_fed(kind, backend):
    w, wd = weights(), tf.placeholder(tf.float64, [])
    loss = data_loss(w) + wd * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay(backend=backend) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    assert "run time" in str(decay.plan)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        want = W0
        for value in (0.0, 0.25, 0.5):
            session.run(train_op, {wd: value})
            want = (1 - value) * (want - LR * gradient(want))
            np.testing.assert_allclose(session.run(w), want, rtol=1e-6)


def test_a_fed_rate_out_of_range_is_an_error_that_names_the_variable(backend):
    w, wd = weights("kernel"), tf.placeholder(tf.float64, [])
    with tf1_wd.decoupled_weight_decay(backend=backend):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) + wd * tf.nn.l2_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for value in (-0.5, 1.0, np.nan, np.inf):
            with pytest.raises(tf.errors.InvalidArgumentError, match="kernel"):
                session.run(train_op, {wd: value})


@pytest.mark.parametrize("first", ["single", "double"])
def test_two_fed_coefficients_of_different_dtypes_add_up(first, kind, backend):
    w = tf.get_variable("w", initializer=np.full(3, 2.0, np.float32))
    x, c = tf.placeholder(tf.float32, []), tf.placeholder_with_default(np.float32(0.125), [])
    wide = tf.placeholder_with_default(np.float64(0.0625), [])
    penalties = [c * tf.nn.l2_loss(w), tf.cast(wide * tf.nn.l2_loss(tf.cast(w, tf.float64)), tf.float32)]
    loss = tf.add_n([tf.reduce_sum(w) * x, *(penalties if first == "single" else penalties[::-1])])
    with tf1_wd.decoupled_weight_decay(backend=backend):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {x: 0.0})
        np.testing.assert_allclose(session.run(w), np.full(3, 2.0 * (1 - 0.1875)), rtol=1e-6)


def test_gradients_may_be_weighted_by_numbers(kind, backend):
    w = weights()
    with tf1_wd.decoupled_weight_decay(backend=backend):
        found = tf.gradients([data_loss(w), tf.nn.l2_loss(w)], [w], grad_ys=[np.float64(1.0), np.float64(RATE)])
        train_op = tf.train.AdamOptimizer(LR).apply_gradients(zip(found, [w]))
    assert_close(run(*[train_op] * 3, w), oracle.train("adam", LR, W0, gradient, 3, "after", RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_l2_with_a_trained_coefficient_decays_at_it_and_the_coefficient_keeps_its_gradient(order, kind):
    w, c = weights("w"), weights("c", value=-1.0)
    with tf1_wd.decoupled_weight_decay(order=order) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(fed_loss(w) + RATE * tf.exp(c) * tf.nn.l2_loss(w))
    got, coefficient = run(train_op, [w, c])
    rate = RATE * np.exp(-1.0)
    stepped = W0 - LR * gradient(W0)
    assert_close(got, (1 - rate) * stepped if order == "after" else stepped - rate * W0)
    assert_close(coefficient, -1.0 - LR * rate * np.sum(W0**2) / 2)
    assert [fate for _, fate in decay.plan.terms] == [Fate.COEFFICIENT]
