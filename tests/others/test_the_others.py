"""What the snippet (a second SGD step on REGULARIZATION_LOSSES, see README) does, measured on every TensorFlow.

docs/guide/when-it-decays.md cites these facts, right or wrong, and those of test_the_others_contrib.py and
test_the_others_keras.py. Where nothing else is said, weights start as 1 and have no data gradient, so that each decay
multiplies them by KEEPS.
"""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

from support.other_decays import (
    KEEPS,
    RATE,
    clipped,
    every_second,
    facts,
    l2,
    loss_scaled,
    nothing,
    ones,
    restarted,
    rows,
    sgd,
    skip_then_step,
    snippet,
    towers,
)
from support.programs import run
from support.versions import IS_TF1
from tf1_wd.graph.walk import predecessors

# --- the rule itself


def test_the_snippet_decays_updated_reference_variables():
    with tf.variable_scope("net", use_resource=False):
        w = ones()
    got = run(snippet(sgd().minimize(0.5 * tf.reduce_sum(w))), w)
    np.testing.assert_array_equal(got, np.full(2, KEEPS * 0.5))


def penalty_waits_for_update(w):
    """True if the snippet's penalty reads the weights after the update, False if the two are unordered."""
    update = sgd().minimize(nothing(w))
    second = next(op for op in predecessors([snippet(update)]) if "ApplyGradientDescent" in op.type)
    penalty = [op for op in predecessors([second.inputs[2].op]) if op.type == "L2Loss"]
    return update in predecessors(penalty[0].inputs[0].op.control_inputs)


def test_the_snippet_does_not_order_its_decay_of_resource_variables_behind_the_update():
    with tf.variable_scope("net", use_resource=True):
        w = tf.get_variable("w", [2], initializer=tf.ones_initializer())
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, l2(w))  # as layers do
    assert not penalty_waits_for_update(w)


def test_the_snippet_orders_its_decay_behind_the_update_where_get_variable_makes_its_regularizer_anew():
    with tf.variable_scope("net", use_resource=True):
        w = ones()
    assert penalty_waits_for_update(w) == (not IS_TF1)


# --- skipped steps


def test_the_snippet_decays_on_a_skipped_step(kind):
    got = skip_then_step(ones(), lambda loss: snippet(loss_scaled(sgd(), loss)))
    assert got == [KEEPS, KEEPS**2]


# --- frozen variables


def test_the_snippet_decays_frozen_variables(kind):
    w, frozen = ones("w"), ones("frozen")
    train_op = snippet(sgd().minimize(nothing(w, frozen), var_list=[w]))
    np.testing.assert_array_equal(run(train_op, frozen), np.full(2, KEEPS))


# --- several optimizers


def test_the_snippet_of_one_optimizer_decays_the_weights_of_the_other(kind):
    d, g = ones("d"), ones("g")
    d_step = snippet(sgd().minimize(nothing(d), var_list=[d]))
    np.testing.assert_array_equal(run(d_step, g), np.full(2, KEEPS))


# --- replicas


def test_the_snippet_decays_once_per_replica_of_a_mirrored_strategy_or_fails_there():
    assert facts("mirrored")["snippet"] == ("ValueError" if IS_TF1 else [1 - 2 * RATE] * 2)


# --- accumulated steps


def test_the_snippet_decays_on_every_micro_step_of_an_accumulation(kind):
    w = ones()
    gradient = tf.gradients(nothing(w), w)[0]
    train_op = snippet(every_second(lambda: sgd().apply_gradients([(gradient, w)])))
    np.testing.assert_array_equal(run(*[train_op] * 4, w), np.full(2, KEEPS**4))


# --- averages of weights


def test_the_snippet_and_an_ema_behind_the_update_are_unordered(kind):
    w = ones()
    update = sgd().minimize(nothing(w))
    average = tf.train.ExponentialMovingAverage(0.75)
    with tf.control_dependencies([update]):
        averaged = average.apply([w])
    decayed = snippet(update)
    before, after = list(predecessors([decayed])), list(predecessors([averaged]))
    assert decayed not in after
    assert averaged not in before


# --- towers


def test_the_snippet_decays_once_with_towers_that_share_variables(kind):
    train_op, w = towers(sgd(), term=False)
    np.testing.assert_array_equal(run(snippet(train_op), w), np.full(2, KEEPS))


def test_the_snippet_decays_once_per_tower_that_adds_its_terms(kind):
    train_op, w = towers(sgd(), term=True)
    np.testing.assert_array_equal(run(snippet(train_op), w), np.full(2, 1 - 2 * RATE))


# --- sparse gradients


def test_the_snippet_decays_all_rows(kind):
    np.testing.assert_array_equal(rows(sgd(), snippet), np.full(3, KEEPS))


# --- clipping, and penalties that stay in the loss


def test_the_snippet_is_not_clipped_and_comes_on_top_of_l2_in_the_loss():
    with tf.variable_scope("net", use_resource=False):
        w = ones(shape=(1,))
    np.testing.assert_array_equal(run(snippet(clipped(sgd(), w)), w), [KEEPS * (1 - 2.0**-10)])


# --- restarts


def test_the_snippet_continues_from_a_checkpoint_as_if_nothing_had_been(tmp_path):
    assert restarted(lambda loss: snippet(tf.train.AdamOptimizer(0.125).minimize(loss)), tmp_path)
