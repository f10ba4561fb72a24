"""A decay tied to a train_op that exists already."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights
from tf1_wd import errors


@pytest.mark.parametrize("optimizer", oracle.OPTIMIZERS)
@pytest.mark.parametrize("order", ["after", "before"])
def test_an_operation_gets_its_decay(optimizer, order, kind, backend):
    w = weights(regularizer=l2())
    train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(data_loss(w))
    attached = tf1_wd.attach(train_op, order=order, backend=backend)
    assert isinstance(attached, tf.Operation)
    assert_close(run(*[attached] * 5, w), oracle.train(optimizer, LR, W0, gradient, 5, order, RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_loss_valued_tensor_keeps_its_value(order, kind):
    w = weights(regularizer=l2())
    loss = data_loss(w)
    with tf.control_dependencies([loss]):
        minimized = tf.train.AdamOptimizer(LR).minimize(loss)
    with tf.control_dependencies([minimized]):
        train_tensor = tf.identity(loss)
    attached = tf1_wd.attach(train_tensor, order=order)
    assert isinstance(attached, tf.Tensor)
    want = 0.5 * np.sum(
        np.array([[1.0, 0.5, 2.0], [0.25, 1.5, 1.0]]) * (W0 - np.array([[0.3, 0.7, -0.2], [-1, 2, 0.1]])) ** 2
    )
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run(attached), want, rtol=1e-6)
        assert_close(session.run(w), oracle.train("adam", LR, W0, gradient, 1, order, RATE))


def test_an_object_with_a_train_op_comes_back_as_its_kind():
    Spec = collections.namedtuple("Spec", "mode train_op")
    w = weights(regularizer=l2())
    spec = tf1_wd.attach(Spec("train", tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))))
    assert isinstance(spec, Spec)
    assert spec.mode == "train"
    assert_close(run(spec.train_op, w), (1 - RATE) * (W0 - LR * gradient(W0)))


def test_only_the_variables_behind_the_train_op_decay(kind):
    w, other = weights("w", l2()), weights("other", l2())
    loss = data_loss(w) + data_loss(other)
    attached = tf1_wd.attach(tf.train.AdamOptimizer(LR).minimize(loss, var_list=[w]))
    np.testing.assert_array_equal(run(attached, other), W0)


@pytest.mark.parametrize("order", ["after", "before"])
def test_the_scale_learning_rate_is_that_of_each_update_op(order, kind):
    slow, fast = weights("slow", l2(0.5)), weights("fast", l2(0.5))
    train_op = tf.group(
        tf.train.GradientDescentOptimizer(0.0625).minimize(data_loss(slow)),
        tf.train.AdamOptimizer(0.25).minimize(data_loss(fast)),
    )
    attached = tf1_wd.attach(train_op, order=order, scale="learning_rate")
    got_slow, got_fast = run(*[attached] * 5, [slow, fast])
    assert_close(got_slow, oracle.train("sgd", 0.0625, W0, gradient, 5, order, 0.5, 0.0625))
    assert_close(got_fast, oracle.train("adam", 0.25, W0, gradient, 5, order, 0.5, 0.25))


def test_sparse_updates_are_seen(kind):
    table = weights(regularizer=l2())
    train_op = tf.train.AdamOptimizer(LR).minimize(tf.reduce_sum(tf.nn.embedding_lookup(table, [0, 0])))
    got = run(tf1_wd.attach(train_op), table)
    np.testing.assert_allclose(got[1], W0[1] * (1 - RATE), rtol=1e-6)


def test_the_report_gets_the_plan():
    plans = []
    w = weights(regularizer=l2())
    tf1_wd.attach(tf.train.AdamOptimizer(LR).minimize(data_loss(w)), report=plans.append)
    assert [d.name for d in plans[0].decaying] == ["w"]


@pytest.mark.parametrize("penalty", [tf.nn.l2_loss, lambda w: tf.reduce_sum(tf.square(w))], ids=["l2_loss", "Keras"])
@pytest.mark.parametrize("clip", [False, True])
def test_l2_in_the_gradient_is_refused(penalty, clip, kind):
    w = weights("kernel", regularizer=l2())
    optimizer = tf.train.AdamOptimizer(LR)
    pairs = optimizer.compute_gradients(data_loss(w) + RATE * penalty(w))
    if clip:
        clipped, _ = tf.clip_by_global_norm([g for g, _ in pairs], 1.0)
        pairs = list(zip(clipped, [w]))
    with pytest.raises(errors.CoupledPenaltyError, match="kernel"):
        tf1_wd.attach(optimizer.apply_gradients(pairs))


def test_a_second_decay_is_refused(backend):
    w = weights(regularizer=l2())
    attached = tf1_wd.attach(tf.train.AdamOptimizer(LR).minimize(data_loss(w)), backend=backend)
    with pytest.raises(errors.UnsupportedUpdateError, match="decay every weight twice"):
        tf1_wd.attach(attached)


def test_a_train_op_out_of_a_scope_is_refused_too():
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w))
    with pytest.raises(errors.UnsupportedUpdateError, match="has a decay already"):
        tf1_wd.attach(train_op)


def test_attach_inside_a_scope_is_refused():
    w = weights(regularizer=l2())
    train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w))
    with pytest.raises(errors.NestedScopeError, match="use one of the two"), tf1_wd.decoupled_weight_decay():
        tf1_wd.attach(train_op)


def test_sync_replicas_seen_from_outside_is_refused(kind):
    w, step = weights(regularizer=l2()), tf.train.get_or_create_global_step()
    optimizer = tf.train.SyncReplicasOptimizer(tf.train.GradientDescentOptimizer(LR), 2, 2)
    train_op = optimizer.minimize(data_loss(w), global_step=step)
    with pytest.raises(errors.UnsupportedUpdateError, match="SyncReplicasOptimizer"):
        tf1_wd.attach(train_op)


def test_an_update_inside_a_cond_is_refused(kind):
    w = weights(regularizer=l2())
    gradients = tf.gradients(data_loss(w), w)
    optimizer = tf.train.GradientDescentOptimizer(LR)
    train_op = tf.cond(
        tf.placeholder_with_default(True, []),
        lambda: tf.group(optimizer.apply_gradients([(gradients[0], w)])),
        lambda: tf.no_op(),
    )
    with pytest.raises(errors.UnsupportedUpdateError, match="may be skipped"):
        tf1_wd.attach(train_op)


def test_no_rates_is_nothing_to_decay():
    w = weights()
    with pytest.raises(errors.NothingToDecayError, match="rates="):
        tf1_wd.attach(tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w)))


def test_something_else_than_a_train_op_is_refused():
    with pytest.raises(errors.InvalidOptionError, match="EstimatorSpec"):
        tf1_wd.attach([1, 2])
