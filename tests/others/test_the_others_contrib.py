"""What the optimizers of tf.contrib.opt do, measured on TensorFlow 1.15; see test_the_others.py."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from tensorflow.contrib import opt

from support.other_decays import (
    KEEPS,
    RATE,
    clipped,
    every_second,
    facts,
    loss_scaled,
    nothing,
    ones,
    restarted,
    rows,
    skip_then_step,
    towers,
)
from support.programs import run
from support.trajectories import LR, W0, assert_is_its_row, betas, data_loss, lines, rate_of, weights_after_each
from tf1_wd.conventions import CONVENTIONS
from tf1_wd.graph.walk import predecessors


def adamw():
    return opt.AdamWOptimizer(RATE, 0.125)


def momentumw():
    return opt.MomentumWOptimizer(RATE, 0.125, 0.9)


@pytest.mark.parametrize("case", lines("contrib"), ids=" ".join)
def test_contrib_trains_as_its_row_says(case, kind):
    name, optimizer, _ = case
    w = tf.get_variable("w", initializer=W0)
    made = eval(CONVENTIONS[name].lines[optimizer], {"tf": tensorflow, "lr": LR, "rate": rate_of(name)})
    made._beta1, made._beta2 = betas()
    pairs = made.compute_gradients(data_loss(w))
    with tf.control_dependencies([pairs[0][0]]):  # for which the decay does not wait by itself: see below
        train_op = made.apply_gradients(pairs)
    assert_is_its_row(case, weights_after_each(train_op, w))


each_optimizer = pytest.mark.parametrize("optimizer", [adamw, momentumw])


def test_contrib_decays_the_weights_that_the_step_began_from(kind):
    w = ones()
    np.testing.assert_array_equal(run(momentumw().minimize(tf.reduce_sum(w)), w), np.full(2, 1.0 - 0.125 - RATE))


def test_contrib_adamw_does_not_order_its_decay_behind_the_gradient_that_reads_the_weights():
    w = ones()
    raw = tf.gradients(tf.nn.l2_loss(w - 2.0), w)[0]
    adamw().apply_gradients([(raw, w)])
    decay = next(op for op in tf.get_default_graph().get_operations() if op.type == "AssignSub")
    assert raw.op not in predecessors([decay])


def test_contrib_adamw_fails_on_the_callable_weight_decay_that_its_documentation_shows():
    with pytest.raises(TypeError):
        opt.AdamWOptimizer(lambda: RATE, 0.125).minimize(nothing(ones()))


@each_optimizer
def test_contrib_does_not_decay_on_a_skipped_step(optimizer, kind):
    assert skip_then_step(ones(), lambda loss: loss_scaled(optimizer(), loss)) == [1.0, KEEPS]


@each_optimizer
def test_contrib_keeps_frozen_variables(optimizer, kind):
    w, frozen = ones("w"), ones("frozen")
    train_op = optimizer().minimize(nothing(w, frozen), var_list=[w])
    np.testing.assert_array_equal(run(train_op, [w, frozen]), [[KEEPS] * 2, [1.0] * 2])


@each_optimizer
def test_contrib_adamw_decays_all_variables_despite_decay_var_list(optimizer, kind):
    a, b = ones("a"), ones("b")
    train_op = optimizer().minimize(nothing(a, b), decay_var_list=[a])
    np.testing.assert_array_equal(run(train_op, [a, b]), np.full((2, 2), KEEPS))


@each_optimizer
def test_contrib_decays_the_weights_of_its_own_optimizer_alone(optimizer, kind):
    d, g = ones("d"), ones("g")
    d_step = optimizer().minimize(nothing(d), var_list=[d])
    optimizer().minimize(nothing(g), var_list=[g])
    np.testing.assert_array_equal(run(d_step, [d, g]), [[KEEPS] * 2, [1.0] * 2])


def test_contrib_decays_each_copy_once_under_a_mirrored_strategy():
    assert facts("mirrored")["contrib"] == [KEEPS] * 2


@each_optimizer
def test_contrib_decays_once_an_accumulated_step(optimizer, kind):
    w = ones()
    gradient = tf.gradients(nothing(w), w)[0]
    train_op = every_second(lambda: optimizer().apply_gradients([(gradient, w)]))
    np.testing.assert_array_equal(run(*[train_op] * 4, w), np.full(2, KEEPS**2))


@each_optimizer
def test_contrib_is_seen_by_an_ema_behind_the_update(optimizer, kind):
    w = ones()
    average = tf.train.ExponentialMovingAverage(0.75)
    with tf.control_dependencies([optimizer().minimize(nothing(w))]):
        train_op = average.apply([w])
    np.testing.assert_array_equal(run(train_op, average.average(w)), np.full(2, 0.75 + 0.25 * KEEPS))


@each_optimizer
def test_contrib_decays_once_with_towers(optimizer, kind):
    train_op, w = towers(optimizer(), term=True)
    np.testing.assert_array_equal(run(train_op, w), np.full(2, KEEPS))


@each_optimizer
def test_contrib_decays_touched_rows_alone_and_once(optimizer, kind):
    np.testing.assert_array_equal(rows(optimizer(), lambda train_op: train_op), [KEEPS, 1.0, 1.0])


def test_contrib_is_not_clipped_and_comes_on_top_of_l2_in_the_loss(kind):
    w = ones(shape=(1,))
    np.testing.assert_array_equal(run(clipped(momentumw(), w), w), [KEEPS - 0.125 * 2.0**-10])


@each_optimizer
def test_contrib_continues_from_a_checkpoint_as_if_nothing_had_been(optimizer, tmp_path):
    assert restarted(lambda loss: optimizer().minimize(loss), tmp_path)
