"""Entries of the loss collection that are not L2: kept where they are in the loss, replayed where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights
from tf1_wd import errors

SQUARE = np.array([[1.0, 2.0], [3.0, -1.0]])


def l1(scale):
    return lambda w: scale * tf.reduce_sum(tf.abs(w))


def collect(term):
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, term)


def after(w, extra):
    stepped = w - LR * gradient(w)
    return stepped - RATE * stepped - extra(stepped)


@pytest.mark.parametrize("order", ["after", "before"])
def test_l1_of_the_collection_takes_the_snippets_step(order, kind, backend):
    w = weights(regularizer=lambda v: l2()(v) + l1(0.03)(v))
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    want = W0
    for _ in range(5):
        stepped = want - LR * gradient(want)
        basis = stepped if order == "after" else want
        want = stepped - RATE * basis - 0.03 * np.sign(basis)
    assert_close(run(*[train_op] * 5, w), want)
    assert "its own SGD step" in str(decay.plan)


def test_terms_of_two_variables_move_both_from_the_same_weights(kind):
    w, v = weights("w", l2()), weights("v")
    collect(0.25 * tf.reduce_sum(w * v))
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) + data_loss(v))
    got_w, got_v = run(train_op, [w, v])
    stepped = W0 - LR * gradient(W0)
    assert_close(got_w, (1 - RATE) * stepped - 0.25 * stepped)
    assert_close(got_v, stepped - 0.25 * stepped)


def test_terms_alone_are_something_to_do(kind):
    w = weights(regularizer=l1(0.125))
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    stepped = W0 - LR * gradient(W0)
    assert_close(run(train_op, w), stepped - 0.125 * np.sign(stepped))


def test_the_scale_multiplies_terms_too(kind):
    w = weights(regularizer=l1(0.125))
    with tf1_wd.decoupled_weight_decay(scale=0.5):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    stepped = W0 - LR * gradient(W0)
    assert_close(run(train_op, w), stepped - 0.0625 * np.sign(stepped))


@pytest.mark.parametrize("idiom", ["get_total_loss", "written again"])
def test_terms_in_the_loss_stay_there(idiom, kind):
    w = weights(regularizer=lambda v: l2()(v) + l1(0.03)(v))
    loss = data_loss(w)
    if idiom == "get_total_loss":
        loss += tf.losses.get_regularization_loss()
    else:
        loss += l2()(w) + l1(0.03)(w)
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    stepped = W0 - LR * (gradient(W0) + 0.03 * np.sign(W0))
    assert_close(run(train_op, w), (1 - RATE) * stepped)


def test_activity_terms_outside_of_the_loss_are_warned_of(kind):
    w = weights(regularizer=l2())
    collect(tf.reduce_sum(tf.square(w * tf.placeholder_with_default(np.float64(2.0), []))))
    with pytest.warns(errors.UndecayedWarning, match="depends on inputs"), tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    assert_close(run(train_op, w), (1 - RATE) * (W0 - LR * gradient(W0)))


def test_l2_toward_other_weights_is_not_decay(kind):
    w = weights(regularizer=lambda v: 0.125 * tf.nn.l2_loss(v - 1.0))
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    stepped = W0 - LR * gradient(W0)
    assert_close(run(train_op, w), stepped - 0.125 * (stepped - 1.0))
    assert not decay.plan.decaying


def test_l2_of_activations_stays_in_the_loss(kind):
    w = weights(regularizer=l2())
    activity = 0.125 * tf.nn.l2_loss(tf.matmul(w, tf.ones([3, 1], tf.float64)))
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) + activity)
    step = LR * (gradient(W0) + 0.125 * W0.sum(axis=1, keepdims=True))
    assert_close(run(train_op, w), (1 - RATE) * (W0 - step))
