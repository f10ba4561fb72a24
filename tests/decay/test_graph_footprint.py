"""What the decay leaves in the graph: few nodes, no variables, no names changed."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf
from model_shapes import MODELS

import tf1_wd
from tf1_wd.graph import predecessors

FEW = [(3, 3, 8, 8), (8,), (8,)] * 4


def add_nodes(train, place, kind, shapes):
    """(nodes behind the train_op, new nodes of the graph) for variables of these shapes under Adam.

    train: function (optimizer, loss, penalty, variables) -> train_op. place: where the penalties are: in the
    collection alone, or in the loss too.
    """
    with tf.Graph().as_default() as graph:
        with tf.variable_scope("net", use_resource=kind == "resource"):
            variables = [
                tf.get_variable(
                    "v%d" % i,
                    shape,
                    regularizer=lambda w: 5e-4 * tf.nn.l2_loss(w),
                    initializer=tf.zeros_initializer(),
                )
                for i, shape in enumerate(shapes)
            ]
        loss = tf.add_n([tf.reduce_sum(tf.sin(v)) for v in variables])
        penalty = 0.5 * tf.losses.get_regularization_loss()
        loss = loss + penalty if place == "loss" else loss
        before = len(graph.get_operations())
        train_op = train(tf.train.AdamOptimizer(0.1), loss, penalty, variables)
        return len(list(predecessors([train_op]))), len(graph.get_operations()) - before


def decoupled(order):
    def train(optimizer, loss, penalty, variables):
        with tf1_wd.decoupled_weight_decay(order=order, backend="native") as decay:
            train_op = optimizer.apply_gradients(zip(tf.gradients(loss, variables), variables))
        assert len(decay.plan.decaying) == len(variables)
        return train_op

    return train


def without_decay(optimizer, loss, penalty, variables):
    gradients = tf.gradients(loss, variables, stop_gradients=[penalty])
    return optimizer.apply_gradients(zip(gradients, variables))


def as_written(optimizer, loss, penalty, variables):
    return optimizer.apply_gradients(zip(tf.gradients(loss, variables), variables))


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("place", ["collection", "loss"])
def test_constant_rates_make_four_nodes_at_most_and_the_search_for_them_leaves_none(place, order, kind):
    _, made = add_nodes(decoupled(order), place, kind, FEW)
    _, made_without = add_nodes(without_decay, place, kind, FEW)
    assert made - made_without <= 4  # the op, rates, scale, group


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("place", ["collection", "loss"])
def test_the_step_has_four_more_live_nodes_at_most_than_the_program_as_written(place, order, kind):
    live, _ = add_nodes(decoupled(order), place, kind, FEW)
    live_as_written, _ = add_nodes(as_written, place, kind, FEW)
    assert live - live_as_written <= 4


def test_resnet50_with_161_variables_gets_four_nodes(kind):
    live, made = add_nodes(decoupled("after"), "collection", kind, MODELS["resnet50"]())
    live_as_written, made_as_written = add_nodes(as_written, "collection", kind, MODELS["resnet50"]())
    assert (live - live_as_written, made - made_as_written) == (4, 4)


@pytest.mark.parametrize("backend", ["native", "tensorflow"])
@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", [tf.train.AdamOptimizer, tf.train.FtrlOptimizer])
def test_no_control_flow_is_made_where_nothing_gates(optimizer, order, backend, kind, graph):
    w = tf.get_variable("w", initializer=[1.0, 2.0], regularizer=lambda v: 0.25 * tf.nn.l2_loss(v))
    loss = tf.reduce_sum(w) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend, scale="learning_rate"):
        optimizer(tf.placeholder(tf.float32, [])).minimize(loss)
    gates = {"Switch", "Merge", "Enter", "Exit", "If", "StatelessIf", "While", "Case", "PartitionedCall", "Select"}
    assert {op.type for op in graph.get_operations()} & gates == set()
