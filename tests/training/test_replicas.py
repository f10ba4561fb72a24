"""MirroredStrategy in graph mode, two replicas on two virtual CPUs: every copy of a variable decays once."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, weights
from support.replicas import REPLICAS, assert_all, copies, in_replicas, run
from tf1_wd import errors
from tf1_wd.plan.reasons import Fate


@pytest.fixture
def strategy():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        yield strategy


class Unknown(tf.train.GradientDescentOptimizer):
    """An optimizer whose step may read the weights, for all that tf1_wd knows (FTRL's does; on 1.15 TF refuses it)."""


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "unknown"])
@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("scope", ["in the replicas", "around them"])
def test_every_copy_decays_once(optimizer, order, scope, strategy, backend):
    w = weights()

    def step():
        loss = (data_loss(w) + RATE * tf.nn.l2_loss(w)) / REPLICAS
        chosen = Unknown(LR) if optimizer == "unknown" else oracle.tf_optimizer(tf, optimizer, LR)
        return chosen.minimize(loss)

    decay = tf1_wd.decoupled_weight_decay(order=order, backend=backend)
    if scope == "around them":
        with decay:
            train_op = in_replicas(strategy, step)
    else:
        train_op = in_replicas(strategy, decay(step))
    rule = "sgd" if optimizer == "unknown" else optimizer
    assert_all(run(train_op, 3, w)[0], oracle.train(rule, LR, W0, gradient, 3, order, RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_the_plan_shows_the_net_rate_once(order, strategy):
    w = weights("kernel")
    with tf1_wd.decoupled_weight_decay(order=order) as decay:
        in_replicas(
            strategy,
            lambda: tf.train.AdamOptimizer(LR).minimize((data_loss(w) + RATE * tf.nn.l2_loss(w)) / REPLICAS),
        )
    assert [(d.name, d.rate) for d in decay.plan.decays] == [("kernel", pytest.approx(RATE))]
    assert "again" not in str(decay.plan)


@pytest.mark.parametrize("made", ["in the replicas", "before"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_rate_of_the_collection_counts_once_for_all_replicas(made, order, strategy):
    if made == "before":
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, RATE * tf.nn.l2_loss(weights()))
    regularizer = l2() if made == "in the replicas" else None

    @tf1_wd.decoupled_weight_decay(order=order)
    def step():
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            w = tf.get_variable("w", W0.shape, tf.float64, tf.constant_initializer(W0), regularizer)
        return tf.train.AdamOptimizer(LR).minimize(data_loss(w) / REPLICAS)

    train_op = in_replicas(strategy, step)
    w = tf.trainable_variables()[0]
    assert_all(run(train_op, 3, w)[0], oracle.train("adam", LR, W0, gradient, 3, order, RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_given_rates_exclusion_and_names_hold_on_every_replica(order, strategy):
    w, bias, other = weights("w"), weights("bias"), weights("other")

    @tf1_wd.decoupled_weight_decay(rates={"^w$": 0.25, "other": 0.125, "bias": 0.5}, exclude=["^bias$"], order=order)
    def step():
        loss = (data_loss(w) + data_loss(bias) + data_loss(other)) / REPLICAS
        return tf.train.GradientDescentOptimizer(LR).minimize(loss)

    got = run(in_replicas(strategy, step), 3, w, bias, other)
    for values, rate in zip(got, (0.25, 0.0, 0.125)):
        assert_all(values, oracle.train("sgd", LR, W0, gradient, 3, order, rate))


def test_a_variable_of_the_strategy_may_be_named_by_itself(strategy):
    w, frozen = weights("w"), weights("frozen")

    @tf1_wd.decoupled_weight_decay(rates=0.25, exclude=[frozen])
    def step():
        return tf.train.GradientDescentOptimizer(LR).minimize((data_loss(w) + data_loss(frozen)) / REPLICAS)

    got = run(in_replicas(strategy, step), 2, w, frozen)
    assert_all(got[0], oracle.train("sgd", LR, W0, gradient, 2, "after", 0.25))
    assert_all(got[1], oracle.train("sgd", LR, W0, gradient, 2, "after", 0.0))


@pytest.mark.parametrize("order", ["after", "before"])
def test_the_scale_learning_rate_and_schedules_hold_on_every_replica(order, strategy):
    w, step_number = weights(), tf.train.get_or_create_global_step()

    @tf1_wd.decoupled_weight_decay(rates=0.5, scale="learning_rate", order=order)
    def step():
        rate = tf.train.piecewise_constant(step_number, [0], [0.25, 0.125])
        return tf.train.GradientDescentOptimizer(rate).minimize(data_loss(w) / REPLICAS, step_number)

    w1 = W0
    for rate in (0.25, 0.125, 0.125):
        stepped = w1 - rate * gradient(w1)
        w1 = (1 - 0.5 * rate) * stepped if order == "after" else stepped - 0.5 * rate * w1
    assert_all(run(in_replicas(strategy, step), 3, w)[0], w1)


def test_a_callable_scale_sees_the_step_before_its_increment(strategy):
    w, step_number = weights(), tf.train.get_or_create_global_step()

    @tf1_wd.decoupled_weight_decay(rates=0.25, scale=lambda s: tf.cast(tf.equal(s, 0), tf.float64))
    def step():
        return tf.train.GradientDescentOptimizer(0.0).minimize(data_loss(w), step_number)

    assert_all(run(in_replicas(strategy, step), 3, w)[0], 0.75 * W0)


@pytest.mark.parametrize("order", ["after", "before"])
def test_other_data_on_every_replica_leave_the_copies_equal(order, strategy):
    w = weights(value=np.full((64, 64), 1.0))

    @tf1_wd.decoupled_weight_decay(order=order)
    def step():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        data = tf.cast(tf.convert_to_tensor(number) + 1, tf.float64) * tf.reduce_sum(w)
        return tf.train.GradientDescentOptimizer(LR).minimize((data + RATE * tf.nn.l2_loss(w)) / REPLICAS)

    train_op, initialize = in_replicas(strategy, step), tf.global_variables_initializer()
    want = np.full((64, 64), oracle.train("sgd", LR, 1.0, lambda w: 1.5, 1, order, RATE))
    with tf.Session() as session:
        for _ in range(50):
            session.run(initialize)
            session.run(train_op)
            for value in session.run(copies(w)):
                np.testing.assert_allclose(value, want, rtol=1e-12)


def test_frozen_copies_keep_their_weights(strategy):
    w, frozen = weights("w"), weights("frozen")

    @tf1_wd.decoupled_weight_decay
    def step():
        loss = data_loss(w) + data_loss(frozen) + RATE * (tf.nn.l2_loss(w) + tf.nn.l2_loss(frozen))
        return tf.train.GradientDescentOptimizer(LR).minimize(loss / REPLICAS, var_list=[w])

    for value in run(in_replicas(strategy, step), 3, frozen)[0]:
        np.testing.assert_array_equal(value, W0)


def test_a_term_that_is_not_l2_and_in_no_loss_is_refused(strategy):
    w = weights()

    def step():
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.reduce_sum(tf.abs(w)))
        return tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) / REPLICAS)

    with pytest.raises(errors.UnsupportedUpdateError, match=r"not L2 .* distribution strategy"):
        with tf1_wd.decoupled_weight_decay():
            in_replicas(strategy, step)


def test_an_update_outside_of_the_replicas_is_refused(strategy):
    w = weights()
    with pytest.raises(errors.UnsupportedUpdateError, match="in the function that the strategy runs"):
        with tf1_wd.decoupled_weight_decay(rates=RATE):
            tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))


def test_one_device_is_a_strategy_too():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        w = weights()
        with tf1_wd.decoupled_weight_decay():
            train_op = in_replicas(
                strategy, lambda: tf.train.AdamOptimizer(LR).minimize(data_loss(w) + RATE * tf.nn.l2_loss(w))
            )
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run([train_op])
            assert_close(session.run(copies(w))[0], oracle.train("adam", LR, W0, gradient, 1, "after", RATE))


def test_a_strategy_that_is_not_known_is_refused():
    strategy = tf.distribute.experimental.CentralStorageStrategy(["/cpu:0", "/cpu:1"], "/cpu:0")
    with strategy.scope():
        w = weights()
        with pytest.raises(errors.UnsupportedUpdateError, match="CentralStorageStrategy"):
            with tf1_wd.decoupled_weight_decay(rates=RATE):
                in_replicas(strategy, lambda: tf.train.AdamOptimizer(LR).minimize(data_loss(w)))


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_loss_scale_optimizer_skips_the_decay_of_every_copy(order, strategy):
    from tensorflow.python.training.experimental import loss_scale, loss_scale_optimizer

    w, factor = weights(dtype=np.float32), tf.placeholder_with_default(np.float32(1.0), [])
    scale = loss_scale.DynamicLossScale(initial_loss_scale=8.0)
    optimizer = loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(tf.train.GradientDescentOptimizer(LR), scale)

    def step():
        return optimizer.minimize((factor * data_loss(w) + RATE * tf.nn.l2_loss(w)) / REPLICAS)

    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = in_replicas(strategy, step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {factor: np.inf})
        for value in session.run(copies(w)):
            np.testing.assert_array_equal(value, W0.astype(np.float32))
        session.run(train_op)
        assert_all(session.run(copies(w)), oracle.train("sgd", LR, W0, gradient, 1, order, RATE))


def test_a_wrapper_that_moves_to_other_replicas_says_where_the_scope_belongs(strategy):
    from tensorflow.python.training.experimental import loss_scale, loss_scale_optimizer

    w, scale = weights(dtype=np.float32), loss_scale.DynamicLossScale()
    optimizer = loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(tf.train.GradientDescentOptimizer(LR), scale)
    with pytest.raises(errors.UnsupportedUpdateError, match="around the strategy's call"):
        in_replicas(strategy, tf1_wd.decoupled_weight_decay(rates=RATE)(lambda: optimizer.minimize(data_loss(w))))


def test_attach_does_not_decay_one_copy_alone(strategy):
    w = weights("kernel")
    train_op = in_replicas(strategy, lambda: tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w)))
    with pytest.raises(errors.UnsupportedUpdateError, match=r"kernel.* has 2 copies"):
        tf1_wd.attach(train_op, rates=RATE)


def test_rows_that_decay_late_on_each_replica_by_itself_are_refused(strategy):
    table = weights("table")

    @tf1_wd.decoupled_weight_decay(rates=RATE, sparse="lazy")
    def step():
        return tf.train.GradientDescentOptimizer(LR).minimize(tf.reduce_sum(tf.gather(table, [0])))

    with pytest.raises(errors.UnsupportedUpdateError, match=r"sparse='lazy'.*another sparse="):
        in_replicas(strategy, step)


@pytest.mark.parametrize("order", ["after", "before"])
def test_all_rows_of_every_copy_of_a_table_decay(order, strategy):
    table = weights("table")

    @tf1_wd.decoupled_weight_decay(rates=RATE, order=order)
    def step():
        return tf.train.GradientDescentOptimizer(LR).minimize(tf.reduce_sum(tf.gather(table, [0])) / REPLICAS)

    step_of_rows = np.array([[1.0] * 3, [0.0] * 3])
    assert_all(
        run(in_replicas(strategy, step), 2, table)[0],
        oracle.train("sgd", LR, W0, lambda w: step_of_rows, 2, order, RATE),
    )


@pytest.mark.parametrize("scope", ["in the replicas", "around them"])
def test_a_summary_shows_the_decay_of_all_replicas_once(scope, strategy):
    w = weights()

    def step():
        return tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) / REPLICAS)

    decay = tf1_wd.decoupled_weight_decay(rates=0.25, scale=0.5, summary=True)
    if scope == "in the replicas":
        in_replicas(strategy, decay(step))
    else:
        with decay:
            in_replicas(strategy, step)
    with tf.Session() as session:
        entries = tf.Summary.FromString(session.run(tf.summary.merge_all())).value
    assert {entry.tag: entry.simple_value for entry in entries} == {
        "weight_decay/scale": 0.5,
        "weight_decay/largest_rate": 0.125,
    }


def test_l2_in_the_gradients_of_replicas_is_refused(strategy):
    w = weights()

    @tf1_wd.coupled_weight_decay(rates=0.25)
    def step():
        return tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) / REPLICAS)

    with pytest.raises(errors.UnsupportedUpdateError, match="leave L2 in the loss"):
        in_replicas(strategy, step)


def test_l2_in_other_words_decays_on_every_replica_and_what_is_no_multiple_stays_coupled(strategy):
    w, mask = weights(), np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])

    def step():
        loss = data_loss(w + tf.placeholder_with_default(np.zeros([2, 3]), [2, 3]))
        loss += RATE * tf.nn.l2_loss(-w) + RATE * tf.nn.l2_loss(mask * w)
        return tf.train.GradientDescentOptimizer(LR).minimize(loss / REPLICAS)

    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = in_replicas(strategy, step)
    assert_all(run(train_op, 1, w)[0], (1 - RATE) * (W0 - LR * (gradient(W0) + RATE * mask * W0)))
    assert {fate for _, fate in decay.plan.terms} == {Fate.STAYS}


def test_other_terms_take_no_step_of_their_own_on_replicas_and_stay_as_the_refusal_says(strategy):
    w = weights()

    def step():
        loss = data_loss(w + tf.placeholder_with_default(np.zeros([2, 3]), [2, 3]))
        loss += RATE * tf.nn.l2_loss(w) + RATE * tf.reduce_sum(tf.abs(w))
        return tf.train.GradientDescentOptimizer(LR).minimize(loss / REPLICAS)

    with pytest.raises(errors.UnsupportedUpdateError, match="leave others= out, and the term stays in the loss"):
        with tf1_wd.decoupled_weight_decay(others="decouple"):
            in_replicas(strategy, step)
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = in_replicas(strategy, step)
    assert_all(run(train_op, 1, w)[0], (1 - RATE) * (W0 - LR * (gradient(W0) + RATE * np.sign(W0))))
    assert {fate for _, fate in decay.plan.terms} == {Fate.STAYS}


def test_others_may_be_decoupled_on_replicas_where_there_are_none(strategy):
    w = weights()

    def step():
        loss = data_loss(w + tf.placeholder_with_default(np.zeros([2, 3]), [2, 3])) + RATE * tf.nn.l2_loss(w)
        return tf.train.GradientDescentOptimizer(LR).minimize(loss / REPLICAS)

    with tf1_wd.decoupled_weight_decay(others="decouple"):
        train_op = in_replicas(strategy, step)
    assert_all(run(train_op, 1, w)[0], (1 - RATE) * (W0 - LR * gradient(W0)))
