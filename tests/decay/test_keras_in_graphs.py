"""Updates of Keras 2's optimizers in a graph, to which `tf1-wd run` ties the decay: weights against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support import oracle
from support.programs import CURVATURE, TARGET, W0, gradient
from support.versions import IS_TF1
from tf1_wd import graph
from tf1_wd.decay.scope import hooks
from tf1_wd.decay.scope.pipeline import ScopeListener
from tf1_wd.plan.options import make_rules

RATE, LR, STEPS = 0.25, 0.125, 3


def keras_2():
    """(the optimizers that train in graphs, the schedules)."""
    if IS_TF1:
        return tf.keras.optimizers, tf.keras.optimizers.schedules
    try:
        import tf_keras as keras
    except ImportError:  # before 2.16 it is Keras itself
        import keras
    return keras.optimizers.legacy, keras.optimizers.schedules


OPTIMIZERS, SCHEDULES = keras_2()
MADE = {
    "sgd": lambda lr=LR, **options: OPTIMIZERS.SGD(lr, **options),
    "momentum": lambda lr=LR, **options: OPTIMIZERS.SGD(lr, momentum=0.9, **options),
    "adam": lambda lr=LR, **options: OPTIMIZERS.Adam(lr, epsilon=1e-8, **options),
}
CONVENTIONS = {"snippet": ("after", lambda lr: 1.0), "adamw": ("before", lambda lr: lr)}


def loss_of(w):
    data = 0.5 * tf.reduce_sum(np.float32(CURVATURE) * tf.square(w - np.float32(TARGET)))
    return data + RATE * tf.nn.l2_loss(w)


def built(optimizer, **options):
    """(the weights, the loss, the train_op of an update that a listener of `tf1-wd run` heard, its plan)."""
    with tf.variable_scope("", use_resource=True):  # Keras updates no others
        w = tf.get_variable("w", initializer=np.float32(W0))
    loss, listener = loss_of(w), ScopeListener(make_rules(**options), takes_keras=True)
    hooks.listen(listener)
    try:
        train_op = optimizer.apply_gradients([(tf.gradients(loss, w)[0], w)])
    finally:
        hooks.forget()
    listener.check()
    return w, loss, train_op, listener.plan


def run(w, train_op, *fetches):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = [session.run([train_op, *fetches]) for _ in range(STEPS)]
        return session.run(w), [values[1:] for values in found]


def trained(name, convention, lr=lambda t: LR):
    order, scale = CONVENTIONS[convention]
    w, optimizer = W0, oracle.Optimizer(name, LR)
    for t in range(STEPS):
        optimizer.lr = lr(t)
        moved = w - optimizer.step(w, gradient(w))
        w = moved - RATE * scale(lr(t)) * (moved if order == "after" else w)
    return w


def assert_close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", MADE)
def test_the_l2_of_the_loss_decays_the_weights(name, convention, backend):
    w, _, train_op, plan = built(MADE[name](), convention=convention, backend=backend)
    assert [(d.name, d.rate) for d in plan.decaying] == [("w", RATE)]
    assert_close(run(w, train_op)[0], trained(name, convention))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_the_learning_rate_of_a_decay_is_that_of_the_update_by_a_schedule(name, convention):
    schedule = SCHEDULES.ExponentialDecay(LR, 1, 0.5)
    w, _, train_op, _ = built(MADE[name](schedule), convention=convention)
    assert_close(run(w, train_op)[0], trained(name, convention, lambda t: LR * 0.5**t))


def test_a_decay_behind_the_update_has_the_learning_rate_from_before_the_iterations_were_counted():
    schedule = SCHEDULES.ExponentialDecay(LR, 1, 0.5)
    w, _, train_op, plan = built(MADE["sgd"](schedule), order="after", scale="learning_rate")
    operations = tf.get_default_graph().get_operations()
    (count,) = [op for op in operations if op.type == "AssignAddVariableOp"]
    assert plan.decaying[0].scale_tensor.op in graph.predecessors([count])
    wanted = W0
    for t in range(STEPS):
        wanted = (1.0 - RATE * LR * 0.5**t) * (wanted - LR * 0.5**t * gradient(wanted))
    assert_close(run(w, train_op)[0], wanted)


def test_the_learning_rate_of_a_decay_falls_as_the_optimizers_own_does():
    w, _, train_op, _ = built(MADE["sgd"](decay=0.5), convention="adamw")
    assert_close(run(w, train_op)[0], trained("sgd", "adamw", lambda t: LR / (1.0 + 0.5 * t)))


def test_a_function_of_the_step_counts_the_iterations_of_the_optimizer():
    w, _, train_op, _ = built(MADE["sgd"](), scale=lambda step: 0.5 ** tf.cast(step, tf.float32))
    wanted = W0
    for t in range(STEPS):
        wanted = (1.0 - RATE * 0.5**t) * (wanted - LR * gradient(wanted))
    assert_close(run(w, train_op)[0], wanted)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_fetched_loss_has_the_penalty_of_the_weights_before_the_update(convention):
    w, loss, train_op, _ = built(MADE["momentum"](), convention=convention)
    update = next(op for op in tf.get_default_graph().get_operations() if "ResourceApply" in op.type)
    (penalty,) = [op for op in graph.ancestors([loss]) if op.type == "L2Loss"]
    reads = [t.op for t in penalty.inputs]
    assert reads[0].type == "ReadVariableOp"
    assert set(reads) <= set(graph.predecessors([update]))
    _, losses = run(w, train_op, loss)
    start = 0.5 * np.sum(CURVATURE * (W0 - TARGET) ** 2) + RATE / 2 * np.sum(W0**2)
    assert_close(losses[0][0], start)
