"""Programs that fooled an earlier attach, or would fool a simpler one."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, one_step, run, sgd, weights
from tf1_wd import errors


def test_attach_before_is_refused_once_there_is_a_session(kind):
    w = weights(regularizer=l2())
    train_op = sgd().minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(errors.UnsupportedUpdateError, match="Session"):
            tf1_wd.attach(train_op, order="before")
        attached = tf1_wd.attach(train_op, order="after")
        session.run(attached)
        assert_close(session.run(w), one_step())


def test_no_scale_by_a_function_is_attached_where_a_session_may_hold_the_graph():
    w, step = weights("w"), tf.train.get_or_create_global_step()
    train_op = sgd().minimize(data_loss(w), step)
    words = r"a tf\.Session on this graph exists already.* use order='after' and a scale that is no callable$"
    with tf.Session(), pytest.raises(tf1_wd.UnsupportedUpdateError, match=words):
        tf1_wd.attach(train_op, rates=RATE, scale=lambda step: tf.cast(step, tf.float32))


COUPLED = {
    "clip_by_value": (tf.nn.l2_loss, lambda g: tf.clip_by_value(g, -1.0, 1.0)),
    "where": (tf.nn.l2_loss, lambda g: tf.where(tf.is_finite(g), g, tf.zeros_like(g))),
    "check_numerics": (tf.nn.l2_loss, lambda g: tf.check_numerics(g, "bad")),
    "mean": (lambda w: tf.reduce_mean(tf.square(w)), lambda g: g),
    "power": (lambda w: tf.reduce_sum(w**2), lambda g: g),
    "product": (lambda w: tf.reduce_sum(w * w), lambda g: g),
    "reshape": (lambda w: tf.nn.l2_loss(tf.reshape(w, [-1])), lambda g: g),
    "concat": (lambda w: tf.nn.l2_loss(tf.concat([w, w], 0)), lambda g: g),
}


@pytest.mark.parametrize("case", COUPLED)
def test_attach_sees_l2_in_the_gradient_through_what_is_done_to_it(case, kind):
    penalty, change = COUPLED[case]
    w = weights("kernel", l2())
    optimizer = tf.train.AdamOptimizer(LR)
    pairs = optimizer.compute_gradients(data_loss(w) + RATE * penalty(w))
    with pytest.raises(errors.CoupledPenaltyError, match="kernel"):
        tf1_wd.attach(optimizer.apply_gradients([(change(g), v) for g, v in pairs]))


def test_attach_refuses_an_update_that_shrinks_the_weights_itself(kind):
    w = weights("kernel", l2())
    with tf.control_dependencies([sgd().minimize(data_loss(w))]):
        train_op = tf.group(w.assign(w.read_value() * (1 - RATE)))
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in Assign"):
        tf1_wd.attach(train_op)


def test_attach_refuses_a_decay_that_went_through_a_meta_graph(kind, backend, tmp_path):
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay(backend=backend):
        train_op = sgd().minimize(data_loss(w))
    tf.train.export_meta_graph(str(tmp_path / "model.meta"))
    with tf.Graph().as_default() as graph:
        tf.train.import_meta_graph(str(tmp_path / "model.meta"))
        with pytest.raises(errors.UnsupportedUpdateError, match="has a decay already"):
            tf1_wd.attach(graph.get_operation_by_name(train_op.name))


@pytest.mark.parametrize("order", ["after", "before"])
def test_attach_shows_a_callable_scale_the_step_before_its_increment(order, kind):
    w, step = weights(regularizer=l2()), tf.train.get_or_create_global_step()
    train_op = sgd(0.0).minimize(data_loss(w), step)
    attached = tf1_wd.attach(train_op, order=order, scale=lambda s: tf.cast(tf.equal(s, 0), tf.float64))
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(100):
            session.run(initialize)
            session.run(attached)
            np.testing.assert_array_equal(session.run(w), W0 * (1 - RATE))


def test_a_report_that_raises_leaves_the_train_op_as_it_was(kind):
    w = weights(regularizer=l2())
    train_op = sgd().minimize(data_loss(w))

    def report(plan):
        raise KeyError("report")

    with pytest.raises(KeyError):
        tf1_wd.attach(train_op, order="before", report=report)
    assert_close(run(train_op, w), W0 - LR * gradient(W0))
