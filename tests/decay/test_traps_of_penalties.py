"""Programs in which it is hard to tell what is a penalty, and what only looks like one."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.python.framework import function

import tf1_wd
from support.programs import RATE, TARGET, W0, assert_close, data_loss, one_step, run, sgd, weights
from support.wrappers import functional_control_flow
from tf1_wd import errors

GUARDS = {
    "where": lambda loss: tf.where(tf.is_nan(loss), tf.zeros_like(loss), loss),
    "clip": lambda loss: tf.clip_by_value(loss, 0.0, 1e6),
    "minimum": lambda loss: tf.minimum(loss, 1e6),
}


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("rates", [None, RATE])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_guarded_loss_is_decoupled_too(guard, rates, order, kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay(rates=rates, order=order):
        train_op = sgd().minimize(GUARDS[guard](data_loss(w) + RATE * tf.nn.l2_loss(w)))
    assert_close(run(train_op, w), one_step(order))


def test_weight_normalization_inside_a_cond_is_welcome(kind):
    v, w = weights("v", value=W0[0]), weights("w")
    flag = tf.placeholder_with_default(True, [])
    normalized = tf.cond(flag, lambda: tf.nn.l2_normalize(v, 0), lambda: v)
    with tf1_wd.decoupled_weight_decay() as decay:
        sgd().minimize(tf.reduce_sum(normalized * W0[1]) + data_loss(w) + RATE * tf.nn.l2_loss(w))
    assert [d.name for d in decay.plan.decaying] == ["w"]


def test_the_norm_in_a_weight_normalization_is_no_penalty(kind):
    v = weights()
    loss = data_loss(2.0 * v / tf.norm(v)) + 0.0 * tf.reduce_sum(tf.placeholder_with_default(np.float64(0.0), []))
    want = run(sgd().minimize(loss), v)
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = sgd().minimize(loss)
    assert_close(run(train_op, v), (1 - RATE) * want)


def test_a_squared_norm_is_a_penalty(kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay():
        train_op = sgd().minimize(data_loss(w) + RATE / 2 * tf.norm(w) ** 2)
    assert_close(run(train_op, w), one_step())


def test_a_learned_coefficient_gets_its_gradient_from_the_old_weights(kind):
    w, s = weights(value=np.full((64, 64), 1.0)), tf.get_variable("s", initializer=np.float64(-3.0))
    loss = tf.nn.l2_loss(w - 2.0) + tf.exp(s) * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay():
        train_op = sgd(1e-3).minimize(loss)
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(50):
            session.run(initialize)
            session.run(train_op)
            assert session.run(s) == pytest.approx(-3.0 - 1e-3 * np.exp(-3.0) * 64 * 64 / 2)


def test_l2_inside_a_cond_is_refused(kind):
    w = weights("kernel")
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, RATE * tf.nn.l2_loss(w))
    flag = tf.placeholder_with_default(True, [])
    loss = tf.cond(flag, lambda: data_loss(w) + RATE * tf.nn.l2_loss(w), lambda: data_loss(w))
    with pytest.raises(errors.UnsupportedUpdateError, match="L2 of kernel is computed inside a cond"):
        with tf1_wd.decoupled_weight_decay():
            sgd().minimize(loss)


def in_a_cond(w, flag):
    return tf.cond(flag, lambda: RATE * tf.nn.l2_loss(w), lambda: tf.constant(0.0, tf.float64))


# where L2 is computed under control flow v2: functions of the weights and a flag
FUNCTIONAL = {
    "cond": in_a_cond,
    "cond of a cond": lambda w, flag: tf.cond(flag, lambda: in_a_cond(w, flag), lambda: tf.constant(0.0, tf.float64)),
    "case": lambda w, flag: tf.switch_case(
        tf.cast(flag, tf.int32), [lambda: tf.constant(0.0, tf.float64), lambda: RATE * tf.nn.l2_loss(w)]
    ),
    "loop": lambda w, flag: tf.while_loop(
        lambda t: t < 1.0, lambda t: t + RATE * tf.nn.l2_loss(w), [tf.constant(0.0, tf.float64)]
    ),
}


@pytest.mark.parametrize("rates", [None, 0.25])
@pytest.mark.parametrize("where", FUNCTIONAL)
def test_l2_inside_a_cond_of_control_flow_v2_is_refused(where, rates, kind):
    """It stayed in the gradient, with a warning, and a rate came on top."""
    w, v, flag = weights("kernel"), weights("v"), tf.placeholder_with_default(True, [])
    with functional_control_flow():
        l2 = FUNCTIONAL[where](w, flag)
    loss = data_loss(w) + data_loss(v) + RATE * tf.nn.l2_loss(v) + l2
    with pytest.raises(errors.UnsupportedUpdateError, match="L2 of kernel is computed inside a cond or a loop"):
        with tf1_wd.decoupled_weight_decay(rates=rates):
            sgd().minimize(loss)
    with pytest.warns(errors.UndecayedWarning, match="holds L2 or is given it: it stays in the gradient"):
        with tf1_wd.decoupled_weight_decay(rates=rates, exclude="kernel") as decay:
            sgd().minimize(loss)
    assert [d.name for d in decay.plan.decaying] == ["v"]


@pytest.mark.parametrize("is_l2", [True, False])
def test_l2_inside_a_function_is_named_and_a_squared_error_is_not(is_l2, kind):
    @function.Defun(tf.float64)
    def inside(x):
        return RATE * tf.nn.l2_loss(x if is_l2 else x - TARGET)

    w = weights()
    loss = data_loss(w) + inside(tf.convert_to_tensor(w))
    with pytest.warns(errors.UndecayedWarning, match="inside.* holds L2") if is_l2 else tf.name_scope(""):
        with tf1_wd.decoupled_weight_decay(rates=0.25):
            sgd().minimize(loss)


@pytest.mark.parametrize("taken", [True, False])
def test_l2_that_goes_through_a_cond_of_control_flow_v2_decays_where_it_is_taken(taken, kind):
    w, flag = weights(), tf.placeholder_with_default(taken, [])
    l2 = RATE * tf.nn.l2_loss(w)
    with functional_control_flow():
        term = tf.cond(flag, lambda: l2 + 0.0, lambda: tf.constant(0.0, tf.float64))
    with tf1_wd.decoupled_weight_decay():
        train_op = sgd().minimize(data_loss(w) + term)
    assert_close(run(train_op, w), one_step(rate=RATE if taken else 0.0))


@pytest.mark.parametrize("v2", [True, False])
def test_a_squared_error_inside_a_cond_is_no_l2(v2, kind):
    w, flag = weights("kernel"), tf.placeholder_with_default(True, [])
    x = tf.placeholder_with_default(np.ones((3, 1)), [3, 1])
    with functional_control_flow() if v2 else tf.name_scope(""):
        error = tf.cond(flag, lambda: tf.nn.l2_loss(tf.matmul(w, x)), lambda: tf.nn.l2_loss(tf.matmul(w, x) - 1.0))
    with tf1_wd.decoupled_weight_decay() as decay:
        sgd().minimize(error + RATE * tf.nn.l2_loss(w))
    assert [d.rate for d in decay.plan.decaying] == [RATE]


def test_a_data_loss_inside_a_cond_is_welcome(kind):
    w = weights()
    flag = tf.placeholder_with_default(True, [])
    loss = tf.cond(flag, lambda: data_loss(w), lambda: 2.0 * data_loss(w)) + RATE * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay():
        train_op = sgd().minimize(loss)
    assert_close(run(train_op, w), one_step())


def test_terms_of_variables_alone_that_stay_in_the_loss_are_in_the_plan(kind):
    w, other = weights(), weights("other")
    x = tf.placeholder_with_default(np.ones((3, 1)), [3, 1])
    loss = tf.reduce_sum(tf.matmul(w, x)) + RATE * tf.nn.l2_loss(other) + 0.1 * tf.reduce_sum(tf.abs(w))
    with tf1_wd.decoupled_weight_decay() as decay:
        sgd().minimize(loss)
    assert "stays in the loss, and its gradient goes through the optimizer" in str(decay.plan)


@pytest.mark.parametrize("coefficient", ["placeholder", "variable"])
def test_a_term_of_the_collection_with_a_run_time_coefficient_is_only_decay(coefficient, kind):
    wd = (
        tf.placeholder_with_default(np.float64(RATE), [])
        if coefficient == "placeholder"
        else tf.get_variable("wd", initializer=np.float64(RATE), trainable=False)
    )
    w = weights(regularizer=lambda v: wd * tf.nn.l2_loss(v))
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = sgd().minimize(data_loss(w))
    assert not decay.plan.terms
    assert_close(run(train_op, w), one_step())
