"""Checkpoints pass between programs with and without tf1_wd."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, W0, data_loss, l2, weights


def program(decoupled, kind):
    """(graph, train_op, saver, names of all variables) of one program, with and without the decorator."""
    with tf.Graph().as_default() as graph, tf.variable_scope("net", use_resource=kind == "resource"):
        w = weights(regularizer=l2())
        build = tf.train.AdamOptimizer(LR).minimize
        if decoupled:
            build = tf1_wd.decoupled_weight_decay(build)
        train_op = build(data_loss(w), global_step=tf.train.get_or_create_global_step())
        return graph, train_op, tf.train.Saver(), w


@pytest.mark.parametrize("first", [False, True])
def test_a_checkpoint_of_one_restores_in_the_other(first, kind, tmp_path):
    graph, train_op, saver, w = program(first, kind)
    with tf.Session(graph=graph) as session:
        with graph.as_default():
            session.run(tf.global_variables_initializer())
        session.run(train_op)
        trained = session.run(w)
        path = saver.save(session, str(tmp_path / "model"))
    assert not np.array_equal(trained, W0)
    graph, train_op, saver, w = program(not first, kind)
    with tf.Session(graph=graph) as session:
        saver.restore(session, path)
        np.testing.assert_array_equal(session.run(w), trained)
        session.run(train_op)


def test_no_variable_is_added_or_renamed(kind):
    def names(decoupled):
        with program(decoupled, kind)[0].as_default():
            return [v.name for v in tf.global_variables()]

    assert names(True) == names(False)
