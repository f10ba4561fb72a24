"""Programs that fooled an earlier version of this package, or would fool a simpler one."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, one_step, run, sgd, weights
from tf1_wd import errors

# --- between gradient and update


@pytest.mark.parametrize("clip", [None, "norm", "value", "global"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_loss_scaled_by_hand_does_not_scale_the_decay(clip, order, kind):
    w = weights()
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay(order=order) as decay:
        optimizer = sgd()
        pairs = [(g / 8.0, v) for g, v in optimizer.compute_gradients(loss * 8.0)]
        clips = {
            "norm": lambda g: tf.clip_by_norm(g, 100.0),
            "value": lambda g: tf.clip_by_value(g, -100.0, 100.0),
            "global": lambda g: tf.clip_by_global_norm([g], 100.0)[0][0],
            None: lambda g: g,
        }
        train_op = optimizer.apply_gradients([(clips[clip](g), v) for g, v in pairs])
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)
    assert_close(run(train_op, w), one_step(order))


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_loss_scale_optimizer_scales_no_decay_and_skips_it_with_its_step(order, kind):
    from tensorflow.python.training.experimental import loss_scale, loss_scale_optimizer

    w, factor = weights(dtype=np.float32), tf.placeholder_with_default(np.float32(1.0), [])
    loss = data_loss(w) * factor + RATE * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay(order=order):
        scale = loss_scale.DynamicLossScale(initial_loss_scale=8.0)
        train_op = loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(sgd(), scale).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {factor: np.inf})
        np.testing.assert_array_equal(session.run(w), W0.astype(np.float32))
        session.run(train_op)
        np.testing.assert_allclose(session.run(w), one_step(order), rtol=1e-6)


def test_a_learning_rate_multiplier_multiplies_the_decay_as_it_did_l2(kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay():
        optimizer = sgd()
        pairs = optimizer.compute_gradients(data_loss(w) + RATE * tf.nn.l2_loss(w))
        train_op = optimizer.apply_gradients([(3.0 * g, v) for g, v in pairs])
    assert_close(run(train_op, w), (1 - 3 * RATE) * (W0 - 3 * LR * gradient(W0)))


def test_gradients_accumulated_in_variables_ask_for_the_net_rate(kind):
    w, total = weights(), tf.get_variable("total", W0.shape, tf.float64, tf.zeros_initializer(), trainable=False)
    with pytest.raises(errors.AmbiguousRateError, match=r"accumulation.*rates="), tf1_wd.decoupled_weight_decay():
        raw = tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)[0]
        with tf.control_dependencies([total.assign_add(raw, read_value=False)]):
            summed = total.read_value()
        sgd().apply_gradients([(summed, w)])


def test_a_gradient_from_outside_is_not_taken_for_one_from_inside(kind):
    w = weights()
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    outside = tf.gradients(loss, w)[0]
    with pytest.raises(errors.CoupledPenaltyError, match="outside of the scope"), tf1_wd.decoupled_weight_decay():
        tf.gradients(loss, w)
        sgd().apply_gradients([(outside, w)])


def test_rates_do_not_vouch_for_a_gradient_with_l2_in_it(kind):
    w = weights()
    outside = tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)[0]
    with pytest.raises(errors.CoupledPenaltyError, match="gradient of w"), tf1_wd.decoupled_weight_decay(rates=0.1):
        sgd().apply_gradients([(outside, w)])


def test_a_gradient_that_goes_into_another_loss_is_refused(kind):
    w = weights()
    with pytest.raises(errors.UnsupportedUpdateError, match="MAML"), tf1_wd.decoupled_weight_decay():
        inner = tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)[0]
        sgd().minimize(data_loss(w - 0.3 * inner) + RATE * tf.nn.l2_loss(w))


def test_a_variable_listed_twice_decays_once(kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay(order="before"):
        optimizer = sgd()
        pairs = optimizer.compute_gradients(data_loss(w) + RATE * tf.nn.l2_loss(w))
        train_op = optimizer.apply_gradients(pairs * 2)
    assert_close(run(train_op, w), W0 - 2 * LR * gradient(W0) - RATE * W0)


def test_an_own_optimizer_beside_a_known_one_is_not_forgotten(kind):
    w, own = weights(), weights("own")
    with pytest.raises(errors.NothingUpdatedError, match="penalties of own left the gradient"):
        with tf1_wd.decoupled_weight_decay():
            sgd().minimize(data_loss(w) + RATE * tf.nn.l2_loss(w), var_list=[w])
            raw = tf.gradients(data_loss(own) + RATE * tf.nn.l2_loss(own), own)[0]
            own.assign_sub(LR * raw)


MULTIPLIED = {
    "clip_by_average_norm": lambda g: tf.cast(tf.clip_by_average_norm(tf.cast(g, tf.float32), 100.0), g.dtype),
    "clip by hand": lambda g: g / tf.maximum(tf.norm(g), 100.0) * 100.0,
    "clip after a scale": lambda g: tf.clip_by_norm(g * 8.0 / 8.0, 100.0),
    "sum of parts": lambda g: tf.add_n([g * 0.25] * 4),
    "noise": lambda g: g + 0.0 * tf.random_normal(g.shape, dtype=g.dtype),
    "finite": lambda g: tf.where(tf.is_finite(g), g, tf.zeros_like(g)),
    "all-reduce": lambda g: tf.cast(tf.py_func(lambda x: x * 4.0, [g], tf.float64), g.dtype) / 4.0,
    "ascent": lambda g: tf.negative(tf.negative(g)),
}


@pytest.mark.parametrize("case", MULTIPLIED)
def test_what_leaves_the_gradient_as_it_was_leaves_the_rate_as_it_was(case, kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay() as decay:
        optimizer = sgd()
        pairs = optimizer.compute_gradients(data_loss(w) + RATE * tf.nn.l2_loss(w))
        changed = MULTIPLIED[case](pairs[0][0])
        changed.set_shape(W0.shape)
        train_op = optimizer.apply_gradients([(changed, w)])
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)
    assert_close(run(train_op, w), one_step())


@pytest.mark.parametrize("function", [tf.sign, tf.tanh])
def test_the_step_size_of_a_sign_is_no_rate(function, kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay() as decay:
        optimizer = sgd()
        pairs = optimizer.compute_gradients(data_loss(w) + RATE * tf.nn.l2_loss(w))
        optimizer.apply_gradients([(0.01 * function(g), v) for g, v in pairs])
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)


def test_minus_the_gradient_of_a_reward_decays(kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay():
        optimizer = sgd()
        pairs = optimizer.compute_gradients(-data_loss(w) - RATE * tf.nn.l2_loss(w))
        train_op = optimizer.apply_gradients([(-g, v) for g, v in pairs])
    assert_close(run(train_op, w), one_step())


def test_an_assignment_as_gradient_asks_for_the_net_rate(kind):
    w, mean = weights(), tf.get_variable("mean", W0.shape, tf.float64, tf.zeros_initializer(), trainable=False)
    with pytest.raises(errors.AmbiguousRateError, match="rates="), tf1_wd.decoupled_weight_decay():
        raw = tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)[0]
        sgd().apply_gradients([(mean.assign_add(0.1 * raw), w)])


def test_zeros_in_place_of_no_gradient_are_welcome(kind):
    w, unused, free = weights(), weights("unused"), weights("free")
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w) + RATE * tf.nn.l2_loss(unused)
    with tf1_wd.decoupled_weight_decay():
        optimizer = sgd()
        pairs = optimizer.compute_gradients(loss)
        train_op = optimizer.apply_gradients([(tf.zeros_like(v) if g is None else g, v) for g, v in pairs])
    got = run(train_op, [w, unused, free])
    assert_close(got[0], one_step())
    assert_close(got[1], (1 - RATE) * W0)
    assert_close(got[2], W0)


@pytest.mark.parametrize("place", ["collection", "loss"])
def test_sync_replicas_inside_the_scope_decays_the_averaged_update(place, kind):
    w, step = weights(regularizer=l2()), tf.train.get_or_create_global_step()
    loss = data_loss(w) + (tf.losses.get_regularization_loss() if place == "loss" else 0.0)
    with tf1_wd.decoupled_weight_decay() as decay:
        tf.train.SyncReplicasOptimizer(sgd(), 1, 1).minimize(loss, global_step=step)
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)


# --- values, constraints, threads, memory


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_loss_fetched_on_reference_variables_is_that_of_the_old_weights(order):
    with tf.variable_scope("net", use_resource=False):
        layers = [weights("layer%d" % i, value=np.full((64, 64), 1.0)) for i in range(8)]
    loss = tf.add_n([tf.nn.l2_loss(w - 2.0) for w in layers]) + RATE * tf.add_n([tf.nn.l2_loss(w) for w in layers])
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(200):
            session.run(initialize)
            assert session.run([loss, train_op])[0] == pytest.approx(8 * 64 * 64 * (1 + RATE) / 2)


@pytest.mark.parametrize("optimizer", [tf.train.GradientDescentOptimizer, tf.train.ProximalGradientDescentOptimizer])
@pytest.mark.parametrize("order", ["after", "before"])
def test_constraints_hold_after_the_decay(optimizer, order, kind):
    w = tf.get_variable("w", initializer=W0.astype(np.float32), constraint=lambda v: v / tf.norm(v))
    with tf1_wd.decoupled_weight_decay(rates=0.25, order=order):
        train_op = optimizer(LR).minimize(data_loss(w))
    assert np.linalg.norm(run(*[train_op] * 3, w)) == pytest.approx(1.0, rel=1e-6)


def test_an_excluded_variable_takes_no_step_of_other_terms_either(kind):
    w, kept = weights(regularizer=lambda v: 0.1 * tf.reduce_sum(tf.abs(v))), weights("kept", l2())
    with tf1_wd.decoupled_weight_decay(exclude="^w$"):
        train_op = sgd().minimize(data_loss(w) + data_loss(kept))
    assert_close(run(train_op, w), W0 - LR * gradient(W0))


@pytest.mark.parametrize("value", [-3.0, np.nan, 20.0])
@pytest.mark.parametrize("optimizer", ["sgd", "ftrl"])
def test_a_run_time_scale_out_of_range_is_an_error_before_any_decay(value, optimizer, kind):
    w, scale = weights(), tf.placeholder(tf.float32, [])
    with tf1_wd.decoupled_weight_decay(rates=0.5, scale=scale, order="before"):
        train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)w.*not in \[0, 1\)|not in \[0, 1\).*w"):
            session.run(train_op, {scale: value})
        np.testing.assert_array_equal(session.run(w), W0)


def test_other_threads_train_as_if_there_were_no_scope():
    results = {}

    def elsewhere():
        with tf.Graph().as_default():
            w = weights()
            results["w"] = run(sgd().minimize(data_loss(w) + RATE * tf.nn.l2_loss(w)), w)
        with tf.Graph().as_default(), tf1_wd.decoupled_weight_decay():
            w = weights()
            train_op = sgd().minimize(data_loss(w) + RATE * tf.nn.l2_loss(w))
            results["scope"] = run(train_op, w)

    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        train_op = sgd().minimize(data_loss(w))
    assert_close(results["w"], W0 - LR * (gradient(W0) + RATE * W0))
    assert_close(results["scope"], one_step())
    assert_close(run(train_op, w), one_step())


def test_a_graph_with_a_decay_can_be_freed(kind):
    with tf.Graph().as_default() as graph:
        w = weights(regularizer=l2())
        with tf1_wd.decoupled_weight_decay():
            sgd().minimize(data_loss(w))
        gone = weakref.ref(graph)
    del graph, w
    gc.collect()
    assert gone() is None


def test_two_updates_of_one_variable_are_told(kind):
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay() as decay:
        sgd().minimize(data_loss(w))
        sgd().minimize(2.0 * data_loss(w))
    assert "again with another update" in str(decay.plan)


def test_an_estimators_model_fn_may_be_decorated_for_all_its_modes():
    class Spec:
        def __init__(self, train_op):
            self.train_op = train_op

    @tf1_wd.decoupled_weight_decay
    def model_fn(features, labels, mode):
        w = weights(regularizer=l2())
        return Spec(sgd().minimize(data_loss(w)) if mode == "train" else None)

    assert list(inspect.signature(model_fn).parameters) == ["features", "labels", "mode"]
    assert inspect.getfullargspec(model_fn).args == ["features", "labels", "mode"]
    assert model_fn(None, None, "eval").train_op is None
    with tf.Graph().as_default():
        assert model_fn(None, None, "train").train_op is not None


# --- words


def test_an_unknown_option_names_its_neighbour():
    with pytest.raises(errors.InvalidOptionError, match="did you mean rates"):
        tf1_wd.decoupled_weight_decay(rate=0.1)


@pytest.mark.parametrize("value", [0.01, "bias"])
def test_an_option_in_the_place_of_the_function_is_explained(value):
    with pytest.raises(errors.InvalidOptionError, match="pass options by name"):
        tf1_wd.decoupled_weight_decay(value)


def test_the_snippet_left_inside_is_told_to_go():
    w = weights(regularizer=l2())
    with pytest.raises(errors.NothingUpdatedError, match="pasted second step"), tf1_wd.decoupled_weight_decay():
        with tf.control_dependencies([sgd().minimize(data_loss(w))]):
            sgd(1.0).minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


def test_a_scale_that_is_no_number_is_refused():
    w = weights(regularizer=l2())
    with pytest.raises(errors.InvalidOptionError, match="scale must be a number"):
        tf1_wd.attach(sgd().minimize(data_loss(w)), scale=tf.constant("0.1"))


def test_the_twins_lock_stays_on_the_cpu_of_the_machine_that_holds_the_variable(kind, graph):
    with tf.device("/job:ps/task:1/gpu:0"):
        w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay(backend="tensorflow"):
        sgd().minimize(data_loss(w))
    locks = [op for op in graph.get_operations() if "Mutex" in op.type]
    assert len(locks) == 3
    assert {op.device.lower() for op in locks} == {"/job:ps/task:1/device:cpu:0"}
