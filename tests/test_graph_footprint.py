"""What the decay leaves in the graph: few nodes, no variables, no names changed."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf
from model_shapes import MODELS

import tf1_wd


def live_nodes(fetch):
    seen, pending = set(), [fetch]
    while pending:
        op = pending.pop()
        if op not in seen:
            seen.add(op)
            pending.extend(t.op for t in op.inputs)
            pending.extend(op.control_inputs)
    return len(seen)


def add_nodes(place, decouple, order, kind):
    """(nodes behind the train_op, new nodes of the graph) for ResNet-50's variables under Adam.

    place: where the penalties are: in the collection, or in the loss too.
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
                for i, shape in enumerate(MODELS["resnet50"]())
            ]
        loss = tf.add_n([tf.reduce_sum(tf.sin(v)) for v in variables])
        penalty = 0.5 * tf.losses.get_regularization_loss()
        loss = loss + penalty if place == "loss" else loss
        before = len(graph.get_operations())
        optimizer = tf.train.AdamOptimizer(0.1)
        if decouple:
            with tf1_wd.decoupled_weight_decay(order=order, backend="native") as decay:
                train_op = optimizer.apply_gradients(zip(tf.gradients(loss, variables), variables))
            assert len(decay.plan.decaying) == 161
        else:
            gradients = tf.gradients(loss, variables, stop_gradients=[penalty])
            train_op = optimizer.apply_gradients(zip(gradients, variables))
        return live_nodes(train_op), len(graph.get_operations()) - before


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("place", ["collection", "loss"])
def test_constant_rates_add_four_nodes_at_most_and_leave_none_behind(place, order, kind):
    live, made = add_nodes(place, False, order, kind)
    live_with_decay, made_with_decay = add_nodes(place, True, order, kind)
    assert live_with_decay - live <= 4
    assert made_with_decay - made <= 4
