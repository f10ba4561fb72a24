"""What the snippet (a second SGD step on REGULARIZATION_LOSSES, see README) does, measured on every TensorFlow.

docs/guide/when-it-decays.md cites these facts, right or wrong, and those of test_the_others_contrib.py and
test_the_others_keras.py. Where nothing else is said, weights start as 1 and have no data gradient, so that each decay
multiplies them by KEEPS.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import numpy as np
import tensorflow.compat.v1 as tf
from conftest import run

from tf1_wd.applied import everything_behind

RATE, KEEPS = 0.25, 0.75
TF1 = tf.__version__.startswith("1.")


@functools.lru_cache(None)
def facts(case):
    """The JSON that tests/cases/<case>.py prints."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", case + ".py")
    out = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return json.loads(out.stdout)


def ones(name="w", shape=(2,)):
    return tf.get_variable(
        name, shape, initializer=tf.ones_initializer(), regularizer=lambda v: RATE * tf.nn.l2_loss(v)
    )


def nothing(*variables):
    """A loss without a data gradient."""
    return tf.add_n([0.0 * tf.reduce_sum(v) for v in variables])


def sgd(rate=1.0):
    return tf.train.GradientDescentOptimizer(rate)


def snippet(train_op):
    with tf.control_dependencies([train_op]):
        return sgd().minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


# --- the rule itself


def test_the_snippet_decays_updated_reference_variables():
    with tf.variable_scope("net", use_resource=False):
        w = ones()
    got = run(snippet(sgd().minimize(0.5 * tf.reduce_sum(w))), w)
    np.testing.assert_array_equal(got, np.full(2, KEEPS * 0.5))


def penalty_waits_for_update(w):
    """True if the snippet's penalty reads the weights after the update, False if the two are unordered."""
    update = sgd().minimize(nothing(w))
    second = next(op for op in everything_behind([snippet(update)]) if "ApplyGradientDescent" in op.type)
    penalty = [op for op in everything_behind([second.inputs[2].op]) if op.type == "L2Loss"]
    return update in everything_behind(penalty[0].inputs[0].op.control_inputs)


def test_the_snippet_does_not_order_its_decay_of_resource_variables_behind_the_update():
    with tf.variable_scope("net", use_resource=True):
        w = tf.get_variable("w", [2], initializer=tf.ones_initializer())
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, l2(w))  # as layers do
    assert not penalty_waits_for_update(w)


def test_the_snippet_orders_its_decay_behind_the_update_where_get_variable_makes_its_regularizer_anew():
    with tf.variable_scope("net", use_resource=True):
        w = ones()
    assert penalty_waits_for_update(w) == (not TF1)


# --- skipped steps


def loss_scaled(optimizer, loss):
    from tensorflow.python.training.experimental import loss_scale, loss_scale_optimizer

    scale = loss_scale.DynamicLossScale(initial_loss_scale=8.0)
    return loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(optimizer, scale).minimize(loss)


def skip_then_step(w, decayed):
    factor = tf.placeholder(tf.float32, [])
    train_op = decayed(factor * tf.reduce_sum(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = []
        for value in (np.inf, 0.0):
            session.run(train_op, {factor: value})
            found.append(session.run(w)[0])
        return found


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
    assert facts("mirrored")["snippet"] == ("ValueError" if TF1 else [1 - 2 * RATE] * 2)


# --- accumulated steps


def every_second(apply):
    count = tf.get_variable("count", initializer=0, trainable=False).assign_add(1)
    return tf.cond(
        tf.equal(tf.floormod(count, 2), 0), lambda: tf.group(apply()), lambda: tf.no_op(), name="every_second"
    )


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
    before, after = everything_behind([decayed]), everything_behind([averaged])
    assert decayed not in after
    assert averaged not in before


# --- towers


def towers(optimizer, term):
    """The train_op of two towers whose gradients are averaged, and their weights."""
    pairs = []
    for i in range(2):
        with tf.variable_scope("net", reuse=i > 0):
            w = tf.get_variable("w", [2], initializer=tf.ones_initializer(), regularizer=None if term else l2)
        if term:
            tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, l2(w))
        pairs.append(optimizer.compute_gradients(nothing(w)))
    mean = (pairs[0][0][0] + pairs[1][0][0]) / 2.0
    return optimizer.apply_gradients([(mean, w)]), w


def l2(w):
    return RATE * tf.nn.l2_loss(w)


def test_the_snippet_decays_once_with_towers_that_share_variables(kind):
    train_op, w = towers(sgd(), term=False)
    np.testing.assert_array_equal(run(snippet(train_op), w), np.full(2, KEEPS))


def test_the_snippet_decays_once_per_tower_that_adds_its_terms(kind):
    train_op, w = towers(sgd(), term=True)
    np.testing.assert_array_equal(run(snippet(train_op), w), np.full(2, 1 - 2 * RATE))


# --- sparse gradients


def rows(optimizer, decayed):
    table = ones("table", (3, 1))
    loss = 0.0 * tf.reduce_sum(tf.nn.embedding_lookup(table, [0, 0]))
    return run(decayed(optimizer.minimize(loss)), table)[:, 0]


def test_the_snippet_decays_all_rows(kind):
    np.testing.assert_array_equal(rows(sgd(), snippet), np.full(3, KEEPS))


# --- clipping, and penalties that stay in the loss


def clipped(optimizer, w):
    """A step whose gradient is L2 of the loss alone, clipped to a norm of 2^-10."""
    loss = nothing(w) + tf.losses.get_regularization_loss()
    return optimizer.apply_gradients([(tf.clip_by_norm(tf.gradients(loss, w)[0], 2.0**-10), w)])


def test_the_snippet_is_not_clipped_and_comes_on_top_of_l2_in_the_loss():
    with tf.variable_scope("net", use_resource=False):
        w = ones(shape=(1,))
    np.testing.assert_array_equal(run(snippet(clipped(sgd(), w)), w), [KEEPS * (1 - 2.0**-10)])


# --- restarts


def restarted(build, folder):
    """True if three steps, a checkpoint, and three steps in a new graph end as six steps do."""

    def graph(start, steps, save=None, restore=None):
        with tf.Graph().as_default(), tf.variable_scope("net", use_resource=False):
            w = tf.get_variable("w", initializer=np.float32([1.0, 2.0]), regularizer=l2)
            t = tf.placeholder(tf.float32, [])
            train_op, saver = build(tf.reduce_sum(w * tf.sin(t))), tf.train.Saver()
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                if restore:
                    saver.restore(session, restore)
                for i in range(start, start + steps):
                    session.run(train_op, {t: i})
                if save:
                    saver.save(session, save)
                return session.run(w)

    path = str(folder / "model")
    graph(0, 3, save=path)
    return np.array_equal(graph(0, 6), graph(3, 3, restore=path))


def test_the_snippet_continues_from_a_checkpoint_as_if_nothing_had_been(tmp_path):
    assert restarted(lambda loss: snippet(tf.train.AdamOptimizer(0.125).minimize(loss)), tmp_path)
