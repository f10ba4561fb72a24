"""Optimizers that hand over to another one: loss scales, which skip steps, and wrappers that only delegate."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, data_loss, gradient, l2, weights
from support.wrappers import HAS_CONTRIB, contrib, contrib_warns, functional_control_flow, mixed_precision


def adam():
    return tf.train.AdamOptimizer(LR)


# --- optimizers that skip a step whose gradient is not finite


def mixed_precision_of_2(optimizer):
    scale = tf.mixed_precision.DynamicLossScale(initial_loss_scale=8.0)
    return tf.mixed_precision.MixedPrecisionLossScaleOptimizer(optimizer, scale)


def graph_rewrite(optimizer):
    """A dynamic loss scale that begins at 2 ** 15, in a session that would rewrite for half precision on a GPU."""
    return tf.train.experimental.enable_mixed_precision_graph_rewrite(optimizer, loss_scale="dynamic")


def contrib_loss_scale(optimizer):
    manager = contrib().mixed_precision.ExponentialUpdateLossScaleManager(8.0, incr_every_n_steps=2)
    return contrib().mixed_precision.LossScaleOptimizer(optimizer, manager)


SKIPPING = [mixed_precision, graph_rewrite, contrib_loss_scale if HAS_CONTRIB else mixed_precision_of_2]


@pytest.fixture
def rewrite_off():
    """Turns off at the end what enable_mixed_precision_graph_rewrite turned on for the process."""
    yield
    with contextlib.suppress(ValueError):  # it is off already
        tf.train.experimental.disable_mixed_precision_graph_rewrite()


@contrib_warns
@pytest.mark.usefixtures("rewrite_off")
@pytest.mark.parametrize("wrap", SKIPPING)
@pytest.mark.parametrize("place", ["collection", "loss"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_skipped_step_skips_its_decay_and_any_other_decays_once_by_the_unscaled_rate(
    wrap, place, order, kind, backend
):
    w, factor = weights(dtype=np.float32, regularizer=l2()), tf.placeholder_with_default(np.float32(1.0), [])
    loss = data_loss(w) * factor + (tf.losses.get_regularization_loss() if place == "loss" else 0.0)
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend):
        train_op = wrap(adam()).minimize(loss)
    optimizer, want = oracle.Optimizer("adam", LR), W0
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for value in (1.0, np.inf, 1.0, 1.0, np.nan, np.inf, 1.0):
            before = session.run(w)
            session.run(train_op, {factor: value})
            if np.isfinite(value):
                step = optimizer.step(want, gradient(want))
                want = (1 - RATE) * (want - step) if order == "after" else want - step - RATE * want
                np.testing.assert_allclose(session.run(w), want, rtol=2e-5)
            else:
                np.testing.assert_array_equal(session.run(w), before)


@pytest.mark.parametrize("place", ["collection", "loss"])
def test_a_step_skipped_by_a_functional_cond_skips_its_decay(place, backend):
    with tf.variable_scope("net", use_resource=True), functional_control_flow():
        w, factor = weights(dtype=np.float32, regularizer=l2()), tf.placeholder_with_default(np.float32(1.0), [])
        loss = data_loss(w) * factor + (tf.losses.get_regularization_loss() if place == "loss" else 0.0)
        with tf1_wd.decoupled_weight_decay(backend=backend):
            train_op = mixed_precision(adam()).minimize(loss)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(train_op)
            after_one = session.run(w)
            np.testing.assert_allclose(after_one, oracle.train("adam", LR, W0, gradient, 1, "after", RATE), rtol=2e-5)
            session.run(train_op, {factor: np.inf})
            np.testing.assert_array_equal(session.run(w), after_one)
            session.run(train_op)
            np.testing.assert_allclose(
                session.run(w), oracle.train("adam", LR, W0, gradient, 2, "after", RATE), rtol=2e-5
            )


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_fixed_loss_scale_gates_nothing_and_scales_no_decay(order, kind):
    w = weights(dtype=np.float32)
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    scale = tf.train.experimental.FixedLossScale(128.0)
    with tf1_wd.decoupled_weight_decay(order=order):
        optimizer = tf.train.experimental.MixedPrecisionLossScaleOptimizer(adam(), scale)
        train_op = optimizer.minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run(train_op)
        want = oracle.train("adam", LR, W0, gradient, 5, order, RATE)
        np.testing.assert_allclose(session.run(w), want, rtol=2e-5)


# --- wrappers that delegate


class Delegating(tf.train.Optimizer):
    """What programs write around an optimizer: gradients changed on the way, and the step left to the inner one."""

    def __init__(self, inner, change=lambda g: g):
        super().__init__(use_locking=False, name="Delegating")
        self._inner, self._change = inner, change

    def compute_gradients(self, *args, **kwargs):
        return [(None if g is None else self._change(g), v) for g, v in self._inner.compute_gradients(*args, **kwargs)]

    def apply_gradients(self, *args, **kwargs):
        return self._inner.apply_gradients(*args, **kwargs)


def clip(g):
    return tf.clip_by_norm(g, 0.5)


WRAPPED = {
    "by hand": (lambda: Delegating(adam()), None),
    "by hand, clipping": (lambda: Delegating(adam(), clip), 0.5),
    "by hand, twice": (lambda: Delegating(Delegating(adam()), clip), 0.5),
}
if HAS_CONTRIB:
    WRAPPED.update(
        {
            "MovingAverageOptimizer": (lambda: contrib().opt.MovingAverageOptimizer(adam(), 0.75), None),
            "clip_gradients_by_norm": (lambda: contrib().estimator.clip_gradients_by_norm(adam(), 0.5), 0.5),
            "LazyAdamOptimizer": (lambda: contrib().opt.LazyAdamOptimizer(LR), None),
            "MultitaskOptimizerWrapper": (lambda: contrib().opt.MultitaskOptimizerWrapper(adam()), None),
        }
    )


def clipped(norm):
    """The gradient in NumPy, clipped to a norm."""
    if norm is None:
        return gradient
    return lambda w: gradient(w) * norm / max(norm, np.linalg.norm(gradient(w)))


@contrib_warns
@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("place", ["collection", "loss"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_wrapper_that_delegates_decays_once_a_step(name, place, order, kind):
    make, norm = WRAPPED[name]
    w = weights(dtype=np.float32, regularizer=l2())
    loss = data_loss(w) + (tf.losses.get_regularization_loss() if place == "loss" else 0.0)
    with tf1_wd.decoupled_weight_decay(order=order) as decay:
        train_op = make().minimize(loss)
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run(train_op)
        want = oracle.train("adam", LR, W0, clipped(norm), 5, order, RATE)
        np.testing.assert_allclose(session.run(w), want, rtol=2e-5)


if HAS_CONTRIB:

    @contrib_warns
    @pytest.mark.parametrize("order", ["after", "before"])
    def test_a_stale_gradient_that_is_dropped_decays_nothing(order, kind, backend):
        w, step = weights(dtype=np.float32, regularizer=l2()), tf.train.get_or_create_global_step()
        allowed = tf.placeholder(tf.int64, [])
        with tf1_wd.decoupled_weight_decay(order=order, backend=backend):
            train_op = contrib().opt.DropStaleGradientOptimizer(adam(), allowed).minimize(data_loss(w), step)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for accepts, updates in ((0, 1), (-1, 1), (0, 2), (-1, 2), (-1, 2), (0, 3)):
                session.run(train_op, {allowed: accepts})
                want = oracle.train("adam", LR, W0, gradient, updates, order, RATE)
                np.testing.assert_allclose(session.run(w), want, rtol=2e-5)

    @contrib_warns
    @pytest.mark.parametrize("order", ["after", "before"])
    def test_a_wrapper_that_clips_weights_after_the_step_clips_decayed_weights(order, kind, backend):
        w = weights(dtype=np.float32, regularizer=l2())
        with tf1_wd.decoupled_weight_decay(order=order, backend=backend):
            inner = tf.train.GradientDescentOptimizer(LR)
            optimizer = contrib().opt.VariableClippingOptimizer(inner, {w: [0, 1]}, 2.0)
            train_op = optimizer.minimize(data_loss(w))
        want = W0
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for _ in range(4):
                session.run(train_op)
                want = oracle.train("sgd", LR, want, gradient, 1, order, RATE)
                want *= 2.0 / max(2.0, np.linalg.norm(want))
                np.testing.assert_allclose(session.run(w), want, rtol=2e-5)
