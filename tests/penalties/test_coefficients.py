"""Coefficients are numbers where the program's arithmetic is constant, tensors where it is not."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from support.programs import run
from tf1_wd.penalties.coefficients import coefficients


@pytest.fixture
def penalty(kind):
    return tf.nn.l2_loss(tf.get_variable("w", [3]))


def nodes():
    return len(tf.get_default_graph().get_operations())


@pytest.mark.parametrize(
    ("loss", "coefficient"),
    [
        (lambda p: 0.25 * p, 0.25),
        (lambda p: (p + p) / 4.0, 0.5),
        (lambda p: tf.reduce_mean(tf.stack([p, 0.0, 0.0, p * 3.0])), 1.0),
        (lambda p: p * tf.cast(tf.shape(tf.zeros([8, 2]))[0], tf.float32), 8.0),
        (lambda p: tf.identity(p) * tf.exp(0.0) - 0.5 * p, 0.5),
        (lambda p: p * tf.placeholder_with_default(2.0, []) * 0.0 + p, None),
        (lambda p: tf.stop_gradient(p) + 1.0, "none"),
    ],
)
def test_constant_coefficients_are_numbers_and_leave_no_node(loss, coefficient, penalty):
    y = loss(penalty)
    before = nodes()
    (found,) = coefficients([y], [penalty])
    if coefficient == "none":
        assert found is None
    elif coefficient is None:
        assert isinstance(found, tf.Tensor)
        return
    else:
        assert found == pytest.approx(coefficient)
    assert nodes() == before


@pytest.mark.parametrize("fed", [tf.placeholder, tf.placeholder_with_default], ids=["placeholder", "with default"])
def test_a_fed_coefficient_is_a_tensor(fed, penalty):
    wd = fed(tf.float32, []) if fed is tf.placeholder else fed(0.5, [])
    (found,) = coefficients([wd * penalty + 1.0], [penalty])
    with tf.Session() as session:
        assert session.run(found, {wd: 0.125}) == 0.125


def test_a_coefficient_in_a_variable_is_a_tensor(penalty):
    wd = tf.get_variable("wd", initializer=0.5, trainable=False)
    (found,) = coefficients([wd * penalty], [penalty])
    assert run(found) == 0.5
    assert run(wd.assign(0.25), found) == 0.25


def test_a_coefficient_behind_a_cond_follows_the_branch(penalty):
    flag = tf.placeholder(tf.bool, [])
    (found,) = coefficients([tf.cond(flag, lambda: 0.5 * penalty, lambda: 0.25 * penalty)], [penalty])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(found, {flag: True}) == 0.5
        assert session.run(found, {flag: False}) == 0.25


def test_a_coefficient_does_not_wait_for_what_the_caller_waits_for(penalty):
    wd, never = tf.placeholder(tf.float32, []), tf.Assert(False, ["waited"])
    y = wd * penalty
    with tf.control_dependencies([never]):
        (found,) = coefficients([y], [penalty])
    with tf.Session() as session:
        assert session.run(found, {wd: 0.5}) == 0.5


def test_initial_gradients_multiply(penalty):
    (found,) = coefficients([0.5 * penalty], [penalty], [tf.constant(4.0)])
    assert found == pytest.approx(2.0)
