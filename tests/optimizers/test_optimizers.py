"""AdamWOptimizer and its kin: the rule against NumPy, and what may be the weight decay."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.optimizers import DECAYS, RATES, operations, optimizer, wanted
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights
from tf1_wd import errors
from tf1_wd.graph.walk import predecessors

# --- the rule


@pytest.mark.parametrize("name", oracle.OPTIMIZERS)
def test_the_weights_that_the_step_began_from_decay(name, kind, backend):
    w, other = weights(), weights("other", value=2 * W0)
    train_op = optimizer(name, backend=backend).minimize(data_loss(w) + data_loss(other))
    got = run(*[train_op] * 10, [w, other])
    assert_close(got[0], wanted(name, 10))
    assert_close(got[1], wanted(name, 10, start=2 * W0))


def test_all_variables_decay_in_one_op_after_all_gradients_and_before_all_updates(kind):
    names = ["a", "b", "c"]
    loss = tf.add_n([data_loss(weights(name)) for name in names])
    made = optimizer("adam", backend="native")
    pairs = made.compute_gradients(loss)
    made.apply_gradients(pairs)
    (decay,) = operations(DECAYS)
    updates = operations(("ApplyAdam", "ResourceApplyAdam"))
    assert len(updates) == 3
    assert {g.op for g, _ in pairs} <= set(predecessors([decay]))
    assert all(decay in predecessors([update]) for update in updates)


def test_a_gradient_that_reads_another_weight_reads_it_before_it_decays(kind, backend):
    a, b = weights("a"), weights("b")
    train_op = optimizer(backend=backend).minimize(tf.reduce_sum(tf.square(a) * b))
    x, y = W0, W0
    for _ in range(5):
        x, y = x - LR * 2 * x * y - RATE * x, y - LR * x * x - RATE * y
    got = run(*[train_op] * 5, [a, b])
    assert_close(got[0], x)
    assert_close(got[1], y)


def test_nesterov_momentum_and_half_precision_decay_too(kind, backend):
    w = weights(value=W0, dtype=np.float16)
    made = tf1_wd.MomentumWOptimizer(0.25, LR, 0.9, use_nesterov=True)
    made.backend = backend
    train_op = made.minimize(tf.reduce_sum(w))
    np.testing.assert_allclose(run(train_op, w), W0 - LR * 1.9 - 0.25 * W0, rtol=2e-3)


def test_l2_in_the_loss_stays_there_and_the_decay_comes_on_top(kind):
    w = weights(regularizer=l2(0.25))
    with pytest.warns(tf1_wd.Tf1WdWarning, match="the loss holds L2 of w, .* comes on top"):
        train_op = optimizer().minimize(data_loss(w) + tf.losses.get_regularization_loss())
    want = oracle.train("sgd", LR, W0, lambda w: gradient(w) + 0.25 * w, 3, "before", RATE)
    assert_close(run(*[train_op] * 3, w), want)


def test_of_l2_only_what_decays_too_is_warned_of(kind):
    w, other = weights(), weights("other")
    loss = data_loss(w) + data_loss(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error", tf1_wd.Tf1WdWarning)
        optimizer().minimize(loss)
        with_l2 = loss + RATE * tf.nn.l2_loss(w)
        optimizer().minimize(with_l2, decay_var_list=[other])
        tf1_wd.AdamWOptimizer(tf.zeros([]), LR).minimize(with_l2)


def test_a_constraint_sees_the_decayed_weights(kind):
    w = tf.get_variable("w", initializer=W0, constraint=lambda v: tf.maximum(v, 0.0))
    want = np.maximum(W0 - LR * gradient(W0) - RATE * W0, 0.0)
    assert_close(run(optimizer().minimize(data_loss(w)), w), want)


def test_the_train_op_has_the_name_and_the_global_step_that_it_would_have_without_decay(kind):
    count = tf.train.get_or_create_global_step()
    named = optimizer("adam").minimize(data_loss(weights()), name="train")
    assert named.name == "train"
    assert tf.get_collection(tf.GraphKeys.TRAIN_OP) == [named]
    counted = optimizer("adam").minimize(data_loss(weights("other")), count)
    assert run(counted, counted, count) == 2


# --- what may be the weight decay: the third defect of contrib, which knows no functions


@pytest.mark.parametrize("what", RATES)
def test_the_weight_decay_may_be_a(what, kind):
    make, scale = RATES[what]
    count = tf.train.get_or_create_global_step()
    w = weights()
    train_op = optimizer("adam", make(count)).minimize(data_loss(w), count)
    assert_close(run(*[train_op] * 5, w), wanted("adam", 5, 0.25, scale))


def test_a_variable_for_a_weight_decay_is_read_in_every_step(kind, backend):
    w, rate = weights(), tf.get_variable("rate", initializer=0.25, trainable=False)
    train_op = optimizer(rate=rate, backend=backend).minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for value in (0.25, 0.125, 0.0):
            rate.load(value, session)
            session.run(train_op)
        assert_close(session.run(w), wanted("sgd", 3, 1.0, lambda t: [0.25, 0.125, 0.0][t]))


def test_the_contrib_defect_of_callable_rates_is_gone_and_its_documented_schedule_trains():
    count = tf.train.get_or_create_global_step()
    rates = tf.train.piecewise_constant(count, [0, 2], [1e-0, 1e-1, 1e-2])
    w = weights()
    made = tf1_wd.MomentumWOptimizer(
        learning_rate=LR * tf.cast(rates, tf.float64), weight_decay=lambda: 0.25 * rates, momentum=0.9
    )
    train_op = made.minimize(data_loss(w), count)
    value, m = W0, 0.0
    for eta in (1.0, 0.1, 0.1, 0.01):
        m = 0.9 * m + gradient(value)
        value = value - eta * LR * m - 0.25 * eta * value
    assert_close(run(*[train_op] * 4, w), value)


def test_a_function_of_the_step_needs_one():
    with pytest.raises(errors.InvalidOptionError, match=r"the graph has none.*get_or_create_global_step"):
        optimizer(rate=lambda t: 0.25).minimize(data_loss(weights()))


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan"), float("inf"), None, "0.1", [0.1], 1 + 0j])
def test_a_weight_decay_that_would_not_shrink_weights_is_refused(rate):
    with pytest.raises(errors.InvalidRateError, match="weight_decay="):
        tf1_wd.AdamWOptimizer(rate)
    with pytest.raises(errors.InvalidRateError, match="weight_decay="):
        optimizer(rate=lambda: rate).minimize(data_loss(weights()))


def test_a_tensor_for_a_weight_decay_is_a_floating_scalar():
    for value in ([0.1], 0):
        with pytest.raises(errors.InvalidRateError, match="floating scalar"):
            tf1_wd.AdamWOptimizer(tf.constant(value))


def test_a_weight_decay_out_of_range_at_run_time_changes_nothing(kind, backend):
    w, rate = weights(), tf.placeholder(tf.float32, [])
    train_op = optimizer(rate=rate, backend=backend).minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"not in \[0, 1\)"):
            session.run(train_op, {rate: 1.5})
        np.testing.assert_array_equal(session.run(w), W0)
