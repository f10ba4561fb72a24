"""L2 that a program adds element by element, before all of the loss is summed up, decays as any other; NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, assert_close, run, sgd, weights
from tf1_wd.plan.reasons import Fate

W = np.array([1.0, -2.0, 0.5])
X = np.array([0.5, 0.75, -0.25])
RATE, GIVEN = 0.25, 0.375


def half_squares(w):
    return RATE / 2 * tf.square(w)


# what the loss is -> the gradient of what is fed, and the rate that its L2 gives
LOSSES = {
    "sum": (lambda w, x: tf.reduce_sum(x * w + half_squares(w)), X, RATE),
    "mean": (lambda w, x: tf.reduce_mean(x * w + half_squares(w)), X / 3, RATE / 3),
    "half": (lambda w, x: 0.5 * tf.reduce_sum(RATE / 2 * w**2 + x * w), X / 2, RATE / 2),
    "difference": (lambda w, x: -tf.reduce_sum(-x * w - RATE / 2 * w * w), X, RATE),
    "list": (lambda w, x: tf.reduce_sum(tf.add_n([x * w, half_squares(w), half_squares(-w)])), X, 2 * RATE),
    "batch": (lambda w, x: tf.reduce_mean(tf.reduce_sum(tf.stack([x, x]) * w + half_squares(w), 1)), X, RATE),
    "batch of any size": (lambda w, x: tf.reduce_sum(any_batch(x) * w + half_squares(w)), 2 * X, 2 * RATE),
    "fed": (lambda w, x: tf.reduce_sum(x * w + fed(RATE / 2) * w**2), X, RATE),
    "loss scale": (lambda w, x: fed(2.0) * tf.reduce_sum(x * w + half_squares(w)), 2 * X, 2 * RATE),
    "twice": (lambda w, x: twice(tf.reduce_sum(x * w + half_squares(w))), 2 * X, 2 * RATE),
}


def fed(number):
    return tf.placeholder_with_default(np.float64(number), [])


def any_batch(x):
    return tf.placeholder_with_default(tf.stack([x, x]), [None, 3])


def twice(loss):
    return loss + loss


def step(loss, **options):
    """The weights after a step of gradient descent in a scope, and the scope's plan."""
    w, x = weights("w", value=W), tf.placeholder_with_default(X, [3])
    with tf1_wd.decoupled_weight_decay(**options) as decay:
        train_op = sgd().minimize(loss(w, x))
    return run(train_op, w), decay.plan


@pytest.mark.parametrize("words", LOSSES)
def test_it_decays_at_the_rate_of_the_loss(words, kind, backend):
    loss, gradient, rate = LOSSES[words]
    got, plan = step(loss, backend=backend)
    assert_close(got, (1 - rate) * (W - LR * gradient))
    assert plan.terms == ()


@pytest.mark.parametrize("words", LOSSES)
def test_rates_take_its_place(words, kind):
    loss, gradient, _ = LOSSES[words]
    got, plan = step(loss, rates=GIVEN)
    assert_close(got, (1 - GIVEN) * (W - LR * gradient))
    assert plan.terms == ()


def l1(w, x):
    return tf.reduce_sum(x * w + RATE * tf.abs(w))


def masked(w, x):
    return tf.reduce_sum(x * w + RATE / 2 * tf.square(np.array([1.0, 0.0, 1.0]) * w))


def test_l1_stays_in_the_gradient_and_is_named(kind):
    got, plan = step(l1, rates=GIVEN)
    assert_close(got, (1 - GIVEN) * (W - LR * (X + RATE * np.sign(W))))
    assert [fate for _, fate in plan.terms] == [Fate.STAYS]


def test_l1_takes_a_step_of_its_own_where_others_are_decoupled(kind):
    got, plan = step(l1, rates=GIVEN, others="decouple")
    stepped = W - LR * X
    assert_close(got, (1 - GIVEN) * stepped - RATE * np.sign(stepped))
    assert [fate for _, fate in plan.terms] == [Fate.DECOUPLED]


def test_masked_l2_takes_a_step_of_its_own(kind):
    got, plan = step(masked)
    assert_close(got, (W - LR * X) * (1 - RATE * np.array([1.0, 0.0, 1.0])))
    assert [fate for _, fate in plan.terms] == [Fate.OWN_L2]


def masked_loss(w, x):
    return tf.reduce_sum(np.array([1.0, 0.0, 1.0]) * (x * w + half_squares(w)))


def test_l2_under_a_mask_of_the_loss_stays_and_is_named(kind):
    mask = np.array([1.0, 0.0, 1.0])
    got, plan = step(masked_loss, rates=GIVEN)
    assert_close(got, (1 - GIVEN) * (W - LR * mask * (X + RATE * W)))
    assert [fate for _, fate in plan.terms] == [Fate.STAYS]


MODELS = {
    "weighted by example": lambda w, x: tf.reduce_sum(fed(2.0) * x * (x * w + tf.square(w))),
    "bias": lambda w, x: tf.reduce_sum(x + 2.0 * w),
    "squared afterwards": lambda w, x: tf.reduce_sum(tf.square(x * w + tf.square(w))),
    "weighted by data": lambda w, x: tf.reduce_sum(x * (x * w + tf.square(w))),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_part_of_the_model_stays_in_it_and_is_not_named(name, kind):
    w = weights("plain", value=W)
    (of_plain,) = tf.gradients(MODELS[name](w, tf.constant(X)), w)
    got, plan = step(MODELS[name], rates=GIVEN)
    assert_close(got, (1 - GIVEN) * (W - LR * run(of_plain)))
    assert plan.terms == ()
