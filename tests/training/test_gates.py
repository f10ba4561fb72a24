"""Decay as often as the update: accumulated gradients, training loops, branches; control flow of both kinds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights
from tf1_wd import errors
from tf1_wd.graph.marks import is_decay
from tf1_wd.graph.walk import predecessors

MICRO = 3


def read(variable):
    return tf.identity(variable._ref()) if hasattr(variable, "_ref") else variable.read_value()


def accumulating_train_op(loss, w, optimizer, always=lambda: tf.no_op()):
    """An update by the mean of MICRO gradients, in a cond; the other runs only add up."""
    total = tf.get_variable("total", w.shape, w.dtype.base_dtype, tf.zeros_initializer(), trainable=False)
    count = tf.get_variable("count", initializer=0, trainable=False)
    raw = tf.gradients(loss, w)[0]
    with tf.control_dependencies([total.assign_add(raw)]):
        now = tf.identity(count.assign_add(1))

    def update():
        with tf.control_dependencies([optimizer.apply_gradients([(read(total) / MICRO, w)])]):
            return tf.group(total.assign(tf.zeros_like(total)), count.assign(0))

    with tf.control_dependencies([now]):
        return tf.cond(tf.equal(now, MICRO), update, always)


@pytest.mark.parametrize("optimizer", ["adam", "ftrl"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_accumulated_gradients_decay_once_an_update(optimizer, order, flow, backend):
    w, x = weights(regularizer=l2()), tf.placeholder(tf.float64, [])
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend):
        train_op = accumulating_train_op(x * data_loss(w), w, oracle.tf_optimizer(tf, optimizer, LR))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for updates in range(1, 4):
            for factor in (0.5, 1.0, 1.5):
                before = session.run(w)
                session.run(train_op, {x: factor})
                if factor < 1.5:
                    np.testing.assert_array_equal(session.run(w), before)
            assert_close(session.run(w), oracle.train(optimizer, LR, W0, gradient, updates, order, RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_penalty_in_an_accumulated_loss_takes_the_rate_that_is_given(order, flow):
    w = weights()
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    with pytest.raises(errors.AmbiguousRateError, match=r"gradient of w .*rates=.*averaged.*\(0.0625\)"):
        with tf1_wd.decoupled_weight_decay(order=order):
            accumulating_train_op(loss, w, tf.train.AdamOptimizer(LR))
    with tf.variable_scope("again"), tf1_wd.decoupled_weight_decay(order=order, rates=RATE):
        train_op = accumulating_train_op(loss, w, tf.train.AdamOptimizer(LR))
    assert_close(run(*[train_op] * MICRO * 2, w), oracle.train("adam", LR, W0, gradient, 2, order, RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_loss_fetched_with_a_gated_update_is_that_of_the_weights_the_step_began_from(order, flow):
    w = weights(value=np.full((64, 64), 1.0))
    loss = tf.nn.l2_loss(w - 2.0) + RATE * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay(order=order):
        optimizer = tf.train.GradientDescentOptimizer(LR)
        pairs = optimizer.compute_gradients(loss)
        taken = tf.placeholder_with_default(True, [])
        train_op = tf.cond(taken, lambda: optimizer.apply_gradients([(0.5 * g, v) for g, v in pairs]), tf.no_op)
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(50):
            session.run(initialize)
            assert session.run([loss, train_op])[0] == pytest.approx(64 * 64 * (1 + RATE) / 2)


@pytest.mark.parametrize("place", ["loss", "collection", "collection, inside"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_training_loop_in_the_graph_decays_in_every_turn(place, order, flow, backend):
    w = weights(regularizer=l2() if place == "collection" else None)

    def step(i):
        loss = data_loss(w)
        if place != "collection":
            penalty = RATE * tf.nn.l2_loss(w)
            if place == "loss":
                loss += penalty
            else:
                tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, penalty)
        with tf1_wd.decoupled_weight_decay(order=order, backend=backend):
            train_op = tf.train.MomentumOptimizer(LR, 0.9).minimize(loss)
        with tf.control_dependencies([train_op]):
            return i + 1

    loop = tf.while_loop(lambda i: i < 5, step, [tf.constant(0)], parallel_iterations=1)
    assert_close(run(loop, loop, w), oracle.train("momentum", LR, W0, gradient, 10, order, RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_coefficient_computed_in_the_loop_decays_by_its_value(order, flow):
    w = weights()

    def step(i):
        loss = data_loss(w) + RATE * tf.cast(i + 1, tf.float64) * tf.nn.l2_loss(w)
        with tf1_wd.decoupled_weight_decay(order=order):
            train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
        with tf.control_dependencies([train_op]):
            return i + 1

    loop = tf.while_loop(lambda i: i < 5, step, [tf.constant(0)], parallel_iterations=1)
    want = oracle.train("sgd", LR, W0, gradient, 5, order, RATE, lambda t: t + 1.0)
    assert_close(run(loop, w), want)


@pytest.mark.parametrize("order", ["after", "before"])
def test_an_update_built_inside_a_branch_decays_when_the_branch_is_taken(order, flow):
    w, taken = weights(), tf.placeholder(tf.bool, [])
    optimizer = tf.train.AdamOptimizer(LR)

    def update():
        with tf1_wd.decoupled_weight_decay(order=order):
            return optimizer.minimize(data_loss(w) + RATE * tf.nn.l2_loss(w))

    train_op = tf.cond(taken, update, tf.no_op)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for value in (False, True, False, True, False):
            session.run(train_op, {taken: value})
        assert_close(session.run(w), oracle.train("adam", LR, W0, gradient, 2, order, RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_gradients_from_outside_of_a_branch_keep_their_multipliers(order, flow):
    w = weights()
    with tf1_wd.decoupled_weight_decay(order=order):
        optimizer = tf.train.GradientDescentOptimizer(LR)
        raw = [tf.gradients(data_loss(w) + 2 * i * RATE * tf.nn.l2_loss(w), w)[0] for i in range(2)]
        taken = tf.placeholder(tf.bool, [])
        train_op = tf.cond(taken, lambda: optimizer.apply_gradients([(tf.add_n(raw) / 2, w)]), tf.no_op)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for value in (False, True, False, True, False):
            session.run(train_op, {taken: value})
        assert_close(session.run(w), oracle.train("sgd", LR, W0, gradient, 2, order, RATE))


def test_l2_in_a_gradient_from_outside_of_the_scope_is_seen_in_a_branch(flow):
    w = weights("kernel")
    raw = tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)[0]
    optimizer = tf.train.GradientDescentOptimizer(LR)
    with pytest.raises(errors.CoupledPenaltyError, match="kernel"), tf1_wd.decoupled_weight_decay(rates=RATE):
        tf.cond(tf.placeholder(tf.bool, []), lambda: optimizer.apply_gradients([(2.0 * raw, w)]), tf.no_op)


def test_a_decay_before_the_step_waits_for_the_gradients_that_come_out_of_a_loop(flow, graph, backend):
    w = weights(regularizer=l2())
    loss = tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s + data_loss(w)), [0, tf.zeros([], w.dtype)])[1]
    optimizer = tf.train.GradientDescentOptimizer(LR)
    with tf1_wd.decoupled_weight_decay(order="before", backend=backend):
        grads_and_vars = optimizer.compute_gradients(loss)
        optimizer.apply_gradients(grads_and_vars)
    decays = [op for op in graph.get_operations() if is_decay(op)]
    assert decays
    for op in decays:
        assert grads_and_vars[0][0].op in predecessors([op])


def test_gradients_added_up_in_a_loop_ask_for_the_net_rate():
    w = weights("kernel")
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    with pytest.raises(errors.Tf1WdError, match=r"kernel.*rates="), tf1_wd.decoupled_weight_decay():
        raw = tf.gradients(loss, w)[0]
        total = tf.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + raw), [0, tf.zeros_like(w)])[1]
        tf.train.GradientDescentOptimizer(LR).apply_gradients([(total, w)])
