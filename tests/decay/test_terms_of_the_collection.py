"""What a plan says of terms of the loss collection that an update does not apply."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, run, sgd, weights
from tf1_wd.errors import Tf1WdWarning
from tf1_wd.plan.reasons import Fate


def collect(term):
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, term)
    return term.op.name


def plan_of(w, **options):
    """The plan of an update that trains one variable alone."""
    with tf1_wd.decoupled_weight_decay(rates={"^w$": RATE}, **options) as decay:
        sgd().minimize(data_loss(w), var_list=[w])
    return decay.plan


def test_a_term_of_what_another_update_trains_is_named(kind):
    w, v = weights("w"), weights("v")
    name = collect(tf.reduce_sum(tf.abs(v)))
    assert plan_of(w).terms == ((name, Fate.NO_VARIABLE),)


def test_l2_and_a_rest_of_what_another_update_trains_is_not_named(kind):
    w, v = weights("w"), weights("v")
    collect(tf.nn.l2_loss(v) + tf.reduce_sum(tf.abs(v)))
    assert plan_of(w).terms == ()


def test_a_term_that_depends_on_inputs_is_warned_of_by_name(kind):
    w = weights("w")
    name = collect(tf.reduce_sum(tf.abs(w)) * tf.placeholder_with_default(w.dtype.as_numpy_dtype(1.0), []))
    with pytest.warns(Tf1WdWarning, match="%s of the loss collection depends on inputs" % re.escape(name)):
        assert plan_of(w).terms == ((name, Fate.NOT_APPLIED),)


def trained_once(w, **options):
    """(the weights after a step, the plan), with the rates of the collection."""
    with tf1_wd.decoupled_weight_decay(**options) as decay:
        train_op = sgd().minimize(data_loss(w))
    return run(train_op, w), decay.plan


STEPPED = W0 - LR * gradient(W0)


def test_l2_in_other_words_that_is_taken_off_is_no_decay(kind):
    w = weights()
    name = collect(-RATE * tf.nn.l2_loss(-w))
    got, plan = trained_once(w)
    assert_close(got, (1 + RATE) * STEPPED)
    assert plan.terms == ((name, Fate.OWN_STEP),)


def test_l2_that_no_gradient_comes_through_moves_nothing(kind):
    w = weights()
    collect(RATE * tf.reduce_sum(tf.abs(w)) + tf.stop_gradient(tf.nn.l2_loss(w)))
    got, plan = trained_once(w)
    assert_close(got, STEPPED - RATE * np.sign(STEPPED))
    assert plan.decaying == ()


def test_l2_whose_coefficient_a_loop_makes_decays_by_it(kind):
    w = weights()
    collect(tf.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t * 0.5), [0, tf.nn.l2_loss(w)])[1])
    got, plan = trained_once(w)
    assert_close(got, (1 - 0.125) * STEPPED)
    assert plan.terms == ()
