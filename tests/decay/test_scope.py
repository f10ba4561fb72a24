"""True decay, step by step against NumPy, wherever the penalties are declared."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, trained, weights


@pytest.mark.parametrize("optimizer", oracle.OPTIMIZERS)
@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("place", ["loss", "collection"])
def test_every_optimizer_decays_as_the_formula_says(optimizer, order, place, kind, backend):
    w = weights(regularizer=l2())
    loss = data_loss(w) + (tf.losses.get_regularization_loss() if place == "loss" else 0.0)
    got = trained(lambda: oracle.tf_optimizer(tf, optimizer, LR).minimize(loss), order=order, backend=backend)
    want = oracle.train(optimizer, LR, W0, gradient, 10, order, RATE)
    assert_close(got, want)


def test_the_default_equals_the_pasted_snippet_on_reference_variables(backend):
    def model():
        with tf.variable_scope("m", use_resource=False):
            first = weights("first", l2(0.05), dtype=np.float32)
            second = weights("second", l2(0.3), value=W0[0], dtype=np.float32)
        return tf.reduce_sum(tf.tanh(tf.matmul(first, tf.reshape(second, [3, 1])))) + data_loss(first)

    def snippet(loss):
        train_op = tf.train.AdamOptimizer(0.1).minimize(loss)
        with tf.control_dependencies([train_op]):
            sgd = tf.train.GradientDescentOptimizer(learning_rate=1.0)
            return sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))

    @tf1_wd.decoupled_weight_decay(backend=backend)
    def decoupled(loss):
        return tf.train.AdamOptimizer(0.1).minimize(loss)

    results = []
    for build in (snippet, decoupled):
        with tf.Graph().as_default():
            train_op = build(model())
            results.append(run(*[train_op] * 20, tf.trainable_variables()))
    for pasted, ours in zip(*results):
        np.testing.assert_allclose(ours, pasted, rtol=1e-6)


@pytest.mark.parametrize(
    ("convention", "scale", "order"),
    [("snippet", 1.0, "after"), ("adamw", LR, "before"), ("contrib", 1.0, "before")],
)
def test_every_convention_is_its_formula(convention, scale, order, kind, backend):
    loss = data_loss(weights(regularizer=l2(0.5)))
    got = trained(lambda: tf.train.AdamOptimizer(LR).minimize(loss), convention=convention, backend=backend)
    assert_close(got, oracle.train("adam", LR, W0, gradient, 10, order, 0.5, scale))


def test_the_paper_convention_multiplies_by_the_schedule(kind, backend):
    loss, step = data_loss(weights(regularizer=l2(0.25))), tf.train.get_or_create_global_step()

    def eta(global_step):
        return 1.0 / (1.0 + tf.cast(global_step, tf.float32))

    got = trained(
        lambda: tf.train.AdamOptimizer(LR).minimize(loss, step), convention="paper", scale=eta, backend=backend
    )
    want = oracle.train("adam", LR, W0, gradient, 10, "before", 0.25, lambda t: 1.0 / (1.0 + t))
    assert_close(got, want)


@pytest.mark.parametrize("order", ["after", "before"])
def test_the_scale_learning_rate_follows_the_optimizers_schedule(order, kind, backend):
    loss, step = data_loss(weights(regularizer=l2(0.5))), tf.train.get_or_create_global_step()
    rate = tf.train.piecewise_constant(step, [4], [0.25, 0.0625])
    got = trained(
        lambda: tf.train.GradientDescentOptimizer(rate).minimize(loss, step),
        scale="learning_rate",
        order=order,
        backend=backend,
    )
    w = W0
    for t in range(10):
        lr = 0.25 if t <= 4 else 0.0625
        stepped = w - lr * gradient(w)
        w = (1 - 0.5 * lr) * stepped if order == "after" else stepped - 0.5 * lr * w
    assert_close(got, w)


def test_a_scale_tensor_is_read_at_run_time(kind, backend):
    w, scale = weights(regularizer=l2(0.5)), tf.placeholder(tf.float32, [])
    with tf1_wd.decoupled_weight_decay(scale=scale, backend=backend):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        want = W0
        for value in (0.0, 1.0, 0.25):
            session.run(train_op, {scale: value})
            want = (1 - 0.5 * value) * (want - LR * gradient(want))
            assert_close(session.run(w), want)


@pytest.mark.parametrize("number", ["rate", "scale"])
def test_a_float_beside_what_is_known_at_run_time_keeps_double_precision(number, kind):
    w, one = weights(), tf.placeholder_with_default(np.float64(1.0), [])
    penalty = (0.05 if number == "rate" else one) * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay(order="before", scale=one if number == "rate" else 0.05):
        # FTRL reads the weights, so the decay is taken off beside its step; without a gradient that leaves 0
        train_op = tf.train.FtrlOptimizer(LR).minimize(0.0 * tf.reduce_sum(w) + penalty)
    np.testing.assert_allclose(run(train_op, w), -0.05 * W0, rtol=1e-12)


def test_under_plain_sgd_the_adamw_convention_changes_nothing_against_l2(kind):
    w = weights()
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    coupled = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    want = run(*[coupled] * 10, w)
    got = trained(lambda: tf.train.GradientDescentOptimizer(LR).minimize(loss), convention="adamw")
    np.testing.assert_allclose(got, want, rtol=1e-9)


# --- each variable once, at the sum of its penalties


def test_a_variable_in_the_collection_and_in_the_loss_decays_once(kind):
    w = weights(regularizer=l2(0.5))
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    got = trained(lambda: tf.train.AdamOptimizer(LR).minimize(loss))
    assert_close(got, oracle.train("adam", LR, W0, gradient, 10, "after", RATE))


@pytest.mark.parametrize(("source", "rate"), [("loss", 0.125), ("collection", 0.5)])
def test_source_narrows_where_rates_come_from(source, rate, kind):
    w = weights(regularizer=l2(0.5))
    loss = data_loss(w) + 0.125 * tf.nn.l2_loss(w)
    got = trained(lambda: tf.train.AdamOptimizer(LR).minimize(loss), source=source)
    assert_close(got, oracle.train("adam", LR, W0, gradient, 10, "after", rate))


@pytest.mark.parametrize("place", ["loss", "collection"])
def test_two_penalties_on_one_variable_add_up(place, kind):
    w = weights(regularizer=l2(RATE))
    tf.losses.add_loss(tf.reduce_sum(tf.square(w)) * RATE, tf.GraphKeys.REGULARIZATION_LOSSES)
    loss = data_loss(w) + (tf.losses.get_regularization_loss() if place == "loss" else 0.0)
    got = trained(lambda: tf.train.AdamOptimizer(LR).minimize(loss))
    assert_close(got, oracle.train("adam", LR, W0, gradient, 10, "after", 3 * RATE))


@pytest.mark.parametrize("place", ["loss", "collection"])
def test_a_reused_variable_decays_once(place, kind):
    with tf.variable_scope("net"):
        w = weights(regularizer=l2())
    with tf.variable_scope("net", reuse=True):
        again = tf.get_variable("w", W0.shape, tf.float64, regularizer=l2())
    loss = data_loss(w) / 2 + data_loss(again) / 2
    loss += tf.losses.get_regularization_loss() if place == "loss" else 0.0
    got = trained(lambda: tf.train.AdamOptimizer(LR).minimize(loss))
    assert_close(got, oracle.train("adam", LR, W0, gradient, 10, "after", RATE))


@pytest.mark.parametrize("hand_written", [True, False])
def test_the_parts_of_a_partitioned_variable_decay(hand_written, kind):
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2)):
        w = tf.get_variable("w", [2, 3], tf.float64, tf.ones_initializer(), regularizer=None if hand_written else l2())
    full = tf.convert_to_tensor(w)
    loss = data_loss(full) + (RATE * tf.nn.l2_loss(full) if hand_written else 0.0)
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    assert len(decay.plan.decaying) == 2
    got = run(*[train_op] * 10, w.as_tensor())
    assert_close(got, oracle.train("adam", LR, np.ones_like(W0), gradient, 10, "after", RATE))


# --- which variables


def test_frozen_variables_keep_their_weights(kind, backend):
    frozen, w = weights("frozen", l2()), weights("w", l2())
    loss = data_loss(w) + data_loss(frozen) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay(backend=backend) as decay:
        train_op = tf.train.AdamOptimizer(LR).minimize(loss, var_list=[w])
    np.testing.assert_array_equal(run(*[train_op] * 10, frozen), W0)
    assert "no update of this scope trains it" in str(decay.plan)


def test_the_unused_head_decays_by_its_penalty_in_the_loss_alone(kind):
    w, head = weights("w", l2()), weights("head", l2())
    loss = data_loss(w) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    np.testing.assert_allclose(run(*[train_op] * 3, head), W0 * (1 - RATE) ** 3, rtol=1e-9)


def test_a_penalty_of_the_collection_alone_needs_a_gradient(kind):
    w, head = weights("w", l2()), weights("head", l2())
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    np.testing.assert_array_equal(run(train_op, head), W0)
    assert [d.name for d in decay.plan.left_alone] == ["head"]


@pytest.mark.parametrize(
    "exclude",
    [r"bias", tf.Variable, lambda v: "bias" in v.name, [r"nothing|bias"]],
    ids=["regex", "variable", "callable", "list"],
)
@pytest.mark.parametrize("place", ["loss", "collection"])
def test_an_excluded_variable_gets_no_decay_at_all(exclude, place, kind):
    w, bias = weights("w", l2()), weights("bias", l2())
    if exclude is tf.Variable:
        exclude = bias
    loss = data_loss(w) + data_loss(bias)
    loss += tf.losses.get_regularization_loss() if place == "loss" else 0.0
    with tf1_wd.decoupled_weight_decay(exclude=exclude):
        train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    got_w, got_bias = run(*[train_op] * 5, [w, bias])
    assert_close(got_w, oracle.train("adam", LR, W0, gradient, 5, "after", RATE))
    assert_close(got_bias, oracle.train("adam", LR, W0, gradient, 5, "after", 0.0))


def test_include_decays_nothing_else(kind):
    w, other = weights("w", l2()), weights("other", l2())
    with tf1_wd.decoupled_weight_decay(include=r"^w$"):
        train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w) + data_loss(other))
    assert_close(run(*[train_op] * 5, other), oracle.train("adam", LR, W0, gradient, 5, "after", 0.0))


def test_rates_serve_programs_without_regularizers(kind, backend):
    w, other = weights("net/w"), weights("net/other")
    with tf1_wd.decoupled_weight_decay(rates={"net/w": 0.25, other: 0.125}, backend=backend):
        train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w) + data_loss(other))
    got_w, got_other = run(*[train_op] * 5, [w, other])
    assert_close(got_w, oracle.train("adam", LR, W0, gradient, 5, "after", 0.25))
    assert_close(got_other, oracle.train("adam", LR, W0, gradient, 5, "after", 0.125))


def test_one_rate_decays_all_that_is_trained_but_the_excluded(kind):
    w, bias = weights("w"), weights("bias")
    with tf1_wd.decoupled_weight_decay(rates=0.25, exclude="bias") as decay:
        train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w) + data_loss(bias))
    assert_close(run(*[train_op] * 5, w), oracle.train("adam", LR, W0, gradient, 5, "after", 0.25))
    assert [d.why for d in decay.plan.left_alone] == ["excluded by 'bias'"]


# --- several optimizers, clipping, other ways to build a train_op


def test_each_optimizer_decays_its_own_variables_once(kind):
    d, g = weights("d", l2()), weights("g", l2())
    with tf1_wd.decoupled_weight_decay():
        d_step = tf.train.AdamOptimizer(LR).minimize(data_loss(d) + 0.0 * data_loss(g), var_list=[d])
        g_step = tf.train.AdamOptimizer(LR).minimize(data_loss(g) + 0.0 * data_loss(d), var_list=[g])
    got_d, got_g = run(*[d_step] * 3, *[g_step] * 2, [d, g])
    assert_close(got_d, oracle.train("adam", LR, W0, gradient, 3, "after", RATE))
    assert_close(got_g, oracle.train("adam", LR, W0, gradient, 2, "after", RATE))


@pytest.mark.parametrize("order", ["after", "before"])
def test_decay_is_never_clipped(order, kind):
    w = weights(regularizer=l2())
    loss = data_loss(w) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay(order=order):
        optimizer = tf.train.GradientDescentOptimizer(LR)
        gradients, variables = zip(*optimizer.compute_gradients(loss))
        clipped, _ = tf.clip_by_global_norm(gradients, 0.5)
        train_op = optimizer.apply_gradients(zip(clipped, variables))

    def clip(w):
        g = gradient(w)
        return g * 0.5 / max(0.5, np.sqrt(np.sum(g * g)))

    assert_close(run(*[train_op] * 5, w), oracle.train("sgd", LR, W0, clip, 5, order, RATE))


def test_gradients_from_tf_gradients_are_decoupled_too(kind):
    w = weights()
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay():
        raw = tf.gradients(loss, [w])
        tf.gradients(loss, [w])  # a second call, for a summary say, that no update uses
        train_op = tf.train.AdamOptimizer(LR).apply_gradients([(raw[0], w)])
    assert_close(run(*[train_op] * 5, w), oracle.train("adam", LR, W0, gradient, 5, "after", RATE))


def test_sparse_gradients_decay_all_rows(kind, backend):
    table = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay(backend=backend):
        loss = tf.reduce_sum(tf.nn.embedding_lookup(table, [0, 0]))
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    want = (1 - RATE) * (W0 - LR * np.array([[2.0] * 3, [0.0] * 3]))
    np.testing.assert_allclose(run(train_op, table), want, rtol=1e-9)


def test_the_op_by_the_optimizers_name_and_the_train_op_collection_decay_too(kind):
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay():
        tf.train.GradientDescentOptimizer(LR, name="Descent").minimize(data_loss(w))
    want = (1 - RATE) * (W0 - LR * gradient(W0))
    np.testing.assert_allclose(run("Descent", w), want, rtol=1e-9)
    np.testing.assert_allclose(run(tf.get_collection(tf.GraphKeys.TRAIN_OP), w), want, rtol=1e-9)


def test_the_decorator_returns_what_the_function_returns_and_shows_its_plan():
    w = weights(regularizer=l2())

    @tf1_wd.decoupled_weight_decay
    def build_train_op(loss, scale=1.0):
        "Builds."
        return tf.train.GradientDescentOptimizer(LR).minimize(loss * scale), "and more"

    result = build_train_op(data_loss(w), scale=2.0)
    assert result[1] == "and more"
    assert build_train_op.__doc__ == "Builds."
    assert [d.name for d in build_train_op.decay.plan.decaying] == ["w"]


def test_outside_of_the_scope_tensorflow_is_as_it_was():
    apply_gradients, own = tf.train.Optimizer.apply_gradients, tf.train.SyncReplicasOptimizer.apply_gradients
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay():
        optimizer = tf.train.AdamOptimizer(LR)
        optimizer.minimize(data_loss(w))
    assert tf.train.Optimizer.apply_gradients is apply_gradients
    assert tf.train.SyncReplicasOptimizer.apply_gradients is own
    assert "_finish" not in vars(optimizer)
    loss = data_loss(w) + tf.nn.l2_loss(w)
    np.testing.assert_allclose(run(tf.gradients(loss, w)[0]), gradient(W0) + W0, rtol=1e-9)


@pytest.mark.parametrize("order", ["after", "before"])
def test_many_runs_give_one_answer_on_a_net_of_many_variables(order, kind):
    layers = [weights("layer%d" % i, l2(0.25), value=np.full((64, 64), 1.0)) for i in range(12)]
    loss = tf.add_n([tf.reduce_sum(w) for w in layers])
    with tf1_wd.decoupled_weight_decay(order=order):
        train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
    want = 0.75 * 0.5 if order == "after" else 1.0 - 0.5 - 0.25
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(50):
            session.run(initialize)
            session.run(train_op)
            for value in session.run(layers):
                np.testing.assert_array_equal(value, np.full((64, 64), want))


def test_the_plan_shows_the_scale_of_each_optimizer():
    d, g = weights("d", l2(0.5)), weights("g", l2(0.5))
    with tf1_wd.decoupled_weight_decay(scale="learning_rate") as decay:
        tf.train.AdamOptimizer(0.25).minimize(data_loss(d), var_list=[d])
        tf.train.AdamOptimizer(tf.placeholder(tf.float32, [], "fed")).minimize(data_loss(g), var_list=[g])
    assert {d.name: d.scale for d in decay.plan.decaying} == {"d": 0.25, "g": "fed:0"}
    assert "scale 0.25 or fed:0" in str(decay.plan)


def test_an_optimizer_without_decay_may_stand_beside_one_with(kind):
    w, free = weights("w", l2()), weights("free")
    tf.train.get_or_create_global_step()
    with tf1_wd.decoupled_weight_decay(scale=lambda step: tf.constant(0.5)) as decay:
        first = tf.train.AdamOptimizer(LR).minimize(data_loss(free), var_list=[free])
        second = tf.train.AdamOptimizer(LR).minimize(data_loss(w), var_list=[w])
    assert [d.name for d in decay.plan.decaying] == ["w"]
    assert_close(run(first, free), oracle.train("adam", LR, W0, gradient, 1, "after", 0.0))
    assert_close(run(second, w), oracle.train("adam", LR, W0, gradient, 1, "after", RATE, 0.5))
