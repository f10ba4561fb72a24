"""Every form of a train_op that programs have: the update decays once a step, and the train_op is what it was."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tf_slim as slim

import tf1_wd
from support import oracle
from support.programs import CURVATURE, LR, RATE, TARGET, W0, assert_close, data_loss, gradient, l2, run, weights
from tf1_wd.legacy import install

# slim and the layers under it warn of themselves
pytestmark = pytest.mark.filterwarnings("ignore:`.*` is deprecated:UserWarning")

NORM = 0.5


@pytest.fixture(scope="module", autouse=True)
def slim_works():
    """What slim needs is there during these tests, on TensorFlow 2.14 and later."""
    with install():
        yield


def adam():
    return tf.train.AdamOptimizer(LR)


# --- forms: (loss, variables, global step) -> train_op


def minimize(loss, variables, step):
    return adam().minimize(loss, step)


def compute_and_apply(change):
    def build(loss, variables, step):
        optimizer = adam()
        pairs = optimizer.compute_gradients(loss)
        return optimizer.apply_gradients([(change(g), v) for g, v in pairs], step)

    return build


def clip_by_global_norm_between(loss, variables, step):
    optimizer = adam()
    gradients, trained = zip(*optimizer.compute_gradients(loss))
    return optimizer.apply_gradients(zip(tf.clip_by_global_norm(gradients, NORM)[0], trained), step)


def tf_gradients(loss, variables, step):
    return adam().apply_gradients(zip(tf.gradients(loss, variables), variables), step)


def tf_gradients_clipped_together(loss, variables, step):
    """As BERT has it."""
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), clip_norm=NORM)
    train_op = adam().apply_gradients(zip(gradients, variables))
    return tf.group(train_op, [step.assign(step + 1)])


def tf_gradients_clipped_one_by_one(loss, variables, step):
    return adam().apply_gradients(
        [(tf.clip_by_norm(g, NORM), v) for g, v in zip(tf.gradients(loss, variables), variables)], step
    )


def create_train_op(loss, variables, step):
    return slim.learning.create_train_op(loss, adam(), global_step=step)


def create_train_op_clipped(loss, variables, step):
    return slim.learning.create_train_op(loss, adam(), global_step=step, clip_gradient_norm=NORM)


def slim_training_create_train_op(loss, variables, step):
    clip = slim.training.clip_gradient_norms_fn(NORM)
    return slim.training.create_train_op(loss, adam(), global_step=step, transform_grads_fn=clip)


def group(loss, variables, step):
    return tf.group(adam().minimize(loss, step), *tf.get_collection(tf.GraphKeys.UPDATE_OPS))


def update_ops_before(loss, variables, step):
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        return adam().minimize(loss, step)


def no_op(loss, variables, step):
    """As cifar10 has it."""
    applied = adam().minimize(loss, step)
    with tf.control_dependencies([applied, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)]):
        return tf.no_op(name="train")


def loss_value(loss, variables, step):
    with tf.control_dependencies([adam().minimize(loss, step)]):
        return tf.identity(loss)


def compute_under_control_dependencies(loss, variables, step):
    """As cifar10 has it, with its moving averages of the losses."""
    optimizer = adam()
    with tf.control_dependencies([tf.group(loss)]):
        pairs = optimizer.compute_gradients(loss)
    return optimizer.apply_gradients(pairs, step)


def own_increment(loss, variables, step):
    with tf.control_dependencies([adam().minimize(loss)]):
        return tf.assign_add(step, 1)


def raw(w):
    return gradient(w)


def by_norm(w):
    return gradient(w) * NORM / max(NORM, np.linalg.norm(gradient(w)))


def by_value(w):
    return np.clip(gradient(w), -NORM, NORM)


# name -> (form, gradient that it applies)
FORMS = {
    "minimize": (minimize, raw),
    "compute, apply": (compute_and_apply(lambda g: g), raw),
    "compute, clip by norm, apply": (compute_and_apply(lambda g: tf.clip_by_norm(g, NORM)), by_norm),
    "compute, clip by value, apply": (compute_and_apply(lambda g: tf.clip_by_value(g, -NORM, NORM)), by_value),
    "compute, clip by global norm, apply": (clip_by_global_norm_between, by_norm),
    "tf.gradients, apply": (tf_gradients, raw),
    "tf.gradients, clip by global norm, apply": (tf_gradients_clipped_together, by_norm),
    "tf.gradients, clip by norm, apply": (tf_gradients_clipped_one_by_one, by_norm),
    "slim.learning.create_train_op": (create_train_op, raw),
    "slim.learning.create_train_op, clipped": (create_train_op_clipped, by_norm),
    "slim.training.create_train_op, clipped": (slim_training_create_train_op, by_norm),
    "group": (group, raw),
    "update ops before": (update_ops_before, raw),
    "no_op": (no_op, raw),
    "loss value": (loss_value, raw),
    "compute under control dependencies": (compute_under_control_dependencies, raw),
    "own increment": (own_increment, raw),
}
RETURN_THE_LOSS = [
    "slim.learning.create_train_op",
    "slim.learning.create_train_op, clipped",
    "slim.training.create_train_op, clipped",
    "loss value",
]


def model(place):
    """(loss, variables, global step) of one weight, its penalty in the collection alone or in the loss too."""
    w = weights(regularizer=l2())
    loss = data_loss(w) + (tf.losses.get_regularization_loss() if place == "loss" else 0.0)
    return loss, [w], tf.train.get_or_create_global_step()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["collection", "loss"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_every_form_decays_once_a_step_and_is_never_clipped(form, place, order, kind):
    build, applied = FORMS[form]
    loss, variables, step = model(place)
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = build(loss, variables, step)
    got, steps = run(*[train_op] * 6, [variables[0], step])
    assert_close(got, oracle.train("adam", LR, W0, applied, 6, order, RATE))
    assert steps == 6


@pytest.mark.parametrize("form", RETURN_THE_LOSS)
@pytest.mark.parametrize("place", ["collection", "loss"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_train_op_that_returns_the_loss_returns_it_as_it_was(form, place, order, kind):
    loss, variables, step = model(place)
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = FORMS[form][0](loss, variables, step)
    assert isinstance(train_op, tf.Tensor)
    initialize = tf.global_variables_initializer()
    penalty = RATE * 0.5 * np.sum(W0**2) if place == "loss" else 0.0
    with tf.Session() as session:
        for _ in range(30):
            session.run(initialize)
            assert session.run(train_op) == pytest.approx(0.5 * np.sum(CURVATURE * (W0 - TARGET) ** 2) + penalty)


# --- batch normalization, whose moving averages hang on UPDATE_OPS

X = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25], [-2.0, 1.0]], np.float32)
MOMENTUM = 0.75


@pytest.mark.parametrize("form", ["group", "update ops before", "no_op", "slim.learning.create_train_op"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_the_moving_averages_of_batch_norm_move_once_a_step_and_never_decay(form, order, kind):
    w = tf.get_variable("w", initializer=np.eye(2, dtype=np.float32), regularizer=l2())
    hidden = tf.matmul(X, w)
    normalized = tf.layers.batch_normalization(hidden, momentum=MOMENTUM, training=True, name="bn")
    step = tf.train.get_or_create_global_step()
    loss = tf.reduce_mean(tf.square(normalized - 1.0)) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay(order=order) as decay:
        train_op = FORMS[form][0](loss, tf.trainable_variables(), step)
    assert [d.name for d in decay.plan.decaying] == ["w"]
    mean = next(v for v in tf.global_variables() if v.op.name == "bn/moving_mean")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        want = np.zeros(2)
        for _ in range(4):
            batch_mean = np.mean(X @ session.run(w), axis=0)
            session.run(train_op)
            want = MOMENTUM * want + (1 - MOMENTUM) * batch_mean
            np.testing.assert_allclose(session.run(mean), want, rtol=1e-5, atol=1e-7)


# --- training loops of TensorFlow and slim


# tf.train.Supervisor closes its summaries before it writes the last of them
@pytest.mark.filterwarnings("ignore:Attempting to use a closed FileWriter:UserWarning")
@pytest.mark.parametrize("place", ["collection", "loss"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_slim_learning_train_decays_once_a_step(place, order, kind, tmp_path):
    loss, _, step = model(place)
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = slim.learning.create_train_op(loss, adam(), global_step=step)
    last = slim.learning.train(train_op, str(tmp_path), number_of_steps=6)
    kept = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-6"))
    assert_close(kept.get_tensor("w"), oracle.train("adam", LR, W0, gradient, 6, order, RATE))
    before = oracle.train("adam", LR, W0, gradient, 5, order, RATE)
    penalty = RATE * 0.5 * np.sum(before**2) if place == "loss" else 0.0
    assert last == pytest.approx(0.5 * np.sum(CURVATURE * (before - TARGET) ** 2) + penalty, rel=1e-5)


@pytest.mark.parametrize("order", ["after", "before"])
def test_slim_training_train_decays_once_a_step(order, kind, tmp_path):
    loss, _, step = model("loss")
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = slim.training.create_train_op(loss, adam(), global_step=step)
    slim.training.train(train_op, str(tmp_path), hooks=[tf.train.StopAtStepHook(6)])
    kept = tf.train.load_checkpoint(str(tmp_path))
    assert_close(kept.get_tensor("w"), oracle.train("adam", LR, W0, gradient, 6, order, RATE))


@pytest.mark.parametrize("form", ["minimize", "loss value", "no_op"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_monitored_session_decays_once_a_step_and_goes_on_from_its_checkpoint(form, order, kind, tmp_path):
    loss, variables, step = model("loss")
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = FORMS[form][0](loss, variables, step)
    for last in (4, 7):
        hooks = [tf.train.StopAtStepHook(last_step=last), tf.train.NanTensorHook(loss)]
        with tf.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path), hooks=hooks) as session:
            while not session.should_stop():
                session.run(train_op)
        kept = tf.train.load_checkpoint(str(tmp_path))
        assert kept.get_tensor("global_step") == last
        assert_close(kept.get_tensor("w"), oracle.train("adam", LR, W0, gradient, last, order, RATE))
