"""Each variable takes its L2 from one place: that of the loss, of whatever kind, else that of the collection alone."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.other_words import MASK, RATE, fed_loss, run
from support.programs import LR, W0, assert_close, gradient, weights
from tf1_wd.plan.reasons import Fate, Reason

LAST = np.concatenate([np.zeros_like(W0[:1]), np.ones_like(W0[1:])])

# words -> (the term, what the decay multiplies the weights by)
L2 = {
    "a multiple": (tf.nn.l2_loss, 1.0),
    "a mask": (lambda w: tf.nn.l2_loss(MASK * w), MASK**2),
    "rows": (lambda w: tf.nn.l2_loss(w[1:]), LAST),
}


def collected(term):
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, term)


def trained(w, loss, **options):
    with tf1_wd.decoupled_weight_decay(**options) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    return run(train_op, w, 1), decay.plan


# two terms of one structure are one, which the loss adds
PAIRS = [(a, b) for a in L2 for b in L2 if a != b or a == "a multiple"]


@pytest.mark.parametrize(("in_loss", "alone"), PAIRS)
def test_l2_of_the_loss_takes_the_place_of_that_of_the_collection_alone(in_loss, alone, kind):
    w = weights()
    collected(0.5 * L2[alone][0](w))
    got, plan = trained(w, fed_loss(w) + RATE * L2[in_loss][0](w))
    assert_close(got, (1.0 - RATE * L2[in_loss][1]) * (W0 - LR * gradient(W0)))
    fates = [fate for _, fate in plan.terms]
    assert fates == [Fate.OWN_L2] * (in_loss != "a multiple") + [Fate.LEFT_OUT] * (alone != "a multiple")


@pytest.mark.parametrize("in_loss", L2)
def test_source_collection_takes_that_of_the_collection(in_loss, kind):
    w = weights()
    collected(RATE * tf.nn.l2_loss(w))
    got, _ = trained(w, fed_loss(w) + 0.5 * L2[in_loss][0](w), source="collection")
    assert_close(got, (1.0 - RATE) * (W0 - LR * gradient(W0)))


def test_a_distance_from_other_weights_takes_the_place_of_nothing(kind):
    w = weights()
    collected(RATE * tf.nn.l2_loss(w))
    got, _ = trained(w, fed_loss(w) + 0.25 * tf.nn.l2_loss(w - 0.5))
    stepped = W0 - LR * gradient(W0)
    assert_close(got, stepped - RATE * stepped - 0.25 * (stepped - 0.5))


def test_the_plan_tells_that_the_collection_gives_way(kind):
    w = weights()
    collected(0.5 * tf.nn.l2_loss(w))
    _, plan = trained(w, fed_loss(w) + RATE * tf.nn.l2_loss(MASK * w))
    (decay,) = plan.decays
    assert (decay.rate, decay.reason) == (None, Reason.NO_RATE)
    assert decay.why.endswith("the penalty in the collection alone gives way to that of the loss")
    assert "0 of 1 variables decay" in str(plan)
    assert "and what 1 term of L2 takes by a step of its own" in str(plan)


def test_a_variable_whose_l2_takes_a_step_of_its_own_is_not_said_to_have_none(kind):
    w = weights()
    _, plan = trained(w, fed_loss(w) + RATE * tf.nn.l2_loss(MASK * w))
    assert plan.decays[0].why == "no rate as a whole: its L2 takes a step of its own, see the terms"


def test_a_part_of_one_row_decays_as_the_other_parts_do(kind):
    start = np.array([1.0, -2.0, 0.5])
    w = tf.get_variable(
        "parts",
        [3],
        tf.float64,
        lambda shape, dtype=None, partition_info=None: start[partition_info.var_offset[0] :][: shape[0]],
        partitioner=tf.fixed_size_partitioner(2),
    )
    assert [v.shape.as_list() for v in w] == [[2], [1]]
    whole = tf.convert_to_tensor(w)
    collected(0.5 * tf.add_n([tf.nn.l2_loss(row) for row in tf.unstack(whole)]))
    data = tf.placeholder_with_default(2.0 * np.ones(3), [3])
    got, plan = trained(whole, tf.reduce_sum(data * whole) + RATE * tf.norm(whole) ** 2)
    assert_close(got, (1.0 - 2.0 * RATE) * (start - LR * 2.0))
    assert [d.rate for d in plan.decays] == [2.0 * RATE, 2.0 * RATE]
