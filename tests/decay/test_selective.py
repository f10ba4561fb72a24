"""Selective and dynamic decay: which variables, how much of it, from when on, and L2 from the same plan."""

from __future__ import annotations

import glob
import importlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, trained, weights
from tf1_wd import errors

# --- which variables


def layers_of_slim():
    slim = importlib.import_module("tf_slim")
    net = slim.conv2d(tf.ones([2, 6, 6, 1]), 3, 3, scope="conv")
    return tf.reduce_sum(slim.fully_connected(slim.layer_norm(slim.flatten(net)), 1, scope="fc"))


def layers_of_tf():
    net = tf.layers.conv2d(tf.ones([2, 6, 6, 1]), 3, 3)
    net = tf.layers.batch_normalization(net, training=True)
    return tf.reduce_sum(tf.layers.dense(tf.layers.flatten(net), 1))


def layers_of_keras():
    net = tf.keras.layers.DepthwiseConv2D(3)(tf.ones([2, 6, 6, 1]))
    net = tf.keras.layers.BatchNormalization()(net)
    return tf.reduce_sum(tf.keras.layers.Dense(1)(tf.keras.layers.Flatten()(net)))


def layers_of_parts():
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2)):
        kernel, bias = tf.get_variable("kernel", [4, 2]), tf.get_variable("bias", [2])
    return tf.reduce_sum(tf.matmul(tf.ones([3, 4]), tf.convert_to_tensor(kernel)) + tf.convert_to_tensor(bias))


@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")  # of tf.layers, from 2.15 on
@pytest.mark.parametrize("layers", [layers_of_slim, layers_of_tf, layers_of_keras, layers_of_parts])
def test_bias_and_norm_leaves_kernels_alone(layers, kind):
    loss = layers()
    with tf1_wd.decoupled_weight_decay(rates=RATE, exclude=tf1_wd.bias_and_norm) as decay:
        tf.train.GradientDescentOptimizer(LR).minimize(loss)
    kernels = [v.op.name for v in tf.trainable_variables() if "kernel" in v.name or v.name.endswith("weights:0")]
    assert len(kernels) == 2
    assert [d.name for d in decay.plan.decaying] == kernels
    assert len(decay.plan.left_alone) >= 2
    assert {d.why for d in decay.plan.left_alone} == {"excluded by bias_and_norm"}


def test_the_number_of_dimensions_decides_what_bias_and_norm_means():
    shapes = {(): True, (1,): True, (7,): True, (1, 1): False, (7, 1): False, (3, 3, 2, 4): False}
    for shape, excluded in shapes.items():
        assert tf1_wd.bias_and_norm(np.ones(shape)) is excluded
        assert (
            tf1_wd.bias_and_norm(tf.get_variable("w%d_%s" % (len(shape), excluded) + "_" * sum(shape), shape))
            is excluded
        )


def test_an_unknown_number_of_dimensions_is_refused_by_name():
    w = tf.get_variable("shapeless", initializer=tf.placeholder(tf.float32), validate_shape=False, use_resource=False)
    with pytest.raises(errors.InvalidOptionError, match=r"shapeless.*select it by name"):
        tf1_wd.bias_and_norm(w)


def test_a_predicate_may_ask_for_a_number_of_dimensions(kind):
    a, b = weights("matrix"), weights("vector", value=W0[0])
    with tf1_wd.decoupled_weight_decay(rates=RATE, include=lambda v: v.shape.rank == 1) as decay:
        tf.train.GradientDescentOptimizer(LR).minimize(tf.reduce_sum(a * b))
    assert [d.name for d in decay.plan.decaying] == ["vector"]


@pytest.mark.parametrize("place", ["rates", "loss", "collection", "run time"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_multiplier_multiplies_the_rate_wherever_it_comes_from(place, order, kind, backend):
    head = weights("head", l2() if place == "collection" else None)
    body = weights("body", l2() if place == "collection" else None)
    loss = data_loss(head) + data_loss(body)
    coefficient = tf.placeholder_with_default(np.float64(RATE), []) if place == "run time" else RATE
    if place in ("loss", "run time"):
        loss += coefficient * (tf.nn.l2_loss(head) + tf.nn.l2_loss(body))
    options = {"rates": RATE} if place == "rates" else {}
    with tf1_wd.decoupled_weight_decay(multipliers={"head": 4.0}, order=order, backend=backend, **options) as decay:
        train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    got_head, got_body = run(*[train_op] * 5, [head, body])
    assert_close(got_head, oracle.train("adam", LR, W0, gradient, 5, order, 4 * RATE))
    assert_close(got_body, oracle.train("adam", LR, W0, gradient, 5, order, RATE))
    whys = {d.name: d.why for d in decay.plan.decaying}
    assert whys["head"].endswith("times 4 by multipliers['head']")
    assert "multipliers" not in whys["body"]


def test_a_multiplier_of_zero_is_no_decay_and_takes_the_penalty_out_of_the_gradient(kind):
    w, other = weights("w"), weights("other")
    loss = data_loss(w) + data_loss(other) + RATE * (tf.nn.l2_loss(w) + tf.nn.l2_loss(other))
    with tf1_wd.decoupled_weight_decay(multipliers={"other": 0.0}):
        train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    assert_close(run(*[train_op] * 5, other), oracle.train("adam", LR, W0, gradient, 5, "after", 0.0))


@pytest.mark.parametrize(
    ("multipliers", "error", "words"),
    [
        ({"w": "twice"}, errors.InvalidOptionError, "'twice' for w is not a number"),
        ({"w": -1.0}, errors.InvalidOptionError, "must be finite and not negative"),
        ({"w": np.inf}, errors.InvalidOptionError, "must be finite and not negative"),
        ({}, errors.InvalidOptionError, "must map patterns to factors"),
        (2.0, errors.InvalidOptionError, "must map patterns to factors"),
        ({"conv": 2.0}, errors.NoMatchError, "multipliers='conv' matches no variable"),
        ({"w": 20.0}, errors.InvalidRateError, r"times 20 by multipliers\['w'\]"),
    ],
)
def test_multipliers_that_make_no_sense_are_refused(multipliers, error, words):
    with pytest.raises(error, match=words):
        trained(lambda: tf.train.AdamOptimizer(LR).minimize(data_loss(weights())), rates=RATE, multipliers=multipliers)


# --- L2 in the gradient, from the same plan


@pytest.mark.parametrize("optimizer", oracle.OPTIMIZERS)
@pytest.mark.parametrize("place", ["rates", "loss", "collection"])
@pytest.mark.parametrize("convention", ["snippet", "adamw"])
def test_coupled_weight_decay_is_l2_in_the_gradient(optimizer, place, convention, kind):
    w, other = weights("w", l2() if place == "collection" else None), weights("other")
    loss = data_loss(w) + data_loss(other) + (RATE * tf.nn.l2_loss(w) if place == "loss" else 0.0)
    options = {"rates": {"^w$": RATE}} if place == "rates" else {}
    with tf1_wd.coupled_weight_decay(convention=convention, **options) as decay:
        train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(loss)
    got, got_other = run(*[train_op] * 10, [w, other])
    assert_close(got, oracle.train(optimizer, LR, W0, lambda w: gradient(w) + RATE * w, 10, "after", 0.0))
    assert_close(got_other, oracle.train(optimizer, LR, W0, gradient, 10, "after", 0.0))
    assert "gradient + r w" in str(decay.plan)
    assert "alf-life:" not in str(decay.plan)


def test_coupled_weight_decay_trains_as_the_loss_with_its_terms_of_all_kinds(kind):
    w, head = weights("w", l2()), weights("head", l2())  # only a penalty reaches the head
    tf.losses.add_loss(0.25 * tf.reduce_sum(tf.abs(w)), tf.GraphKeys.REGULARIZATION_LOSSES)
    penalties = tf.losses.get_regularization_loss()
    with tf1_wd.coupled_weight_decay():
        both = tf.train.AdamOptimizer(LR).minimize(data_loss(w) + RATE * tf.nn.l2_loss(head))
    got = run(*[both] * 5, [w, head])
    with tf.Graph().as_default():
        v, top = weights("w"), weights("head")
        loss = data_loss(v) + RATE * tf.nn.l2_loss(v) + RATE * tf.nn.l2_loss(top) + 0.25 * tf.reduce_sum(tf.abs(v))
        want = run(*[tf.train.AdamOptimizer(LR).minimize(loss)] * 5, [v, top])
    assert penalties is not None
    assert_close(got[0], want[0])
    assert_close(got[1], want[1])


@pytest.mark.parametrize("excluded", [False, True])
def test_a_loss_fetched_with_l2_in_the_gradient_is_that_of_the_weights_the_step_began_from(excluded):
    layers = [weights("layer%d" % i, value=np.full((64, 64), 1.0)) for i in range(8)]
    loss = tf.add_n([tf.nn.l2_loss(w - 2.0) for w in layers]) + RATE * tf.add_n([tf.nn.l2_loss(w) for w in layers])
    options = {"exclude": "layer[0-6]"} if excluded else {}
    with tf1_wd.coupled_weight_decay(**options):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(100):
            session.run(initialize)
            assert session.run([loss, train_op])[0] == pytest.approx(8 * 64 * 64 * (1 + RATE) / 2)


def test_coupled_decay_comes_after_clipping(kind):
    w = weights()
    with tf1_wd.coupled_weight_decay(rates=RATE):
        optimizer = tf.train.GradientDescentOptimizer(LR)
        pairs = [(tf.clip_by_norm(g, 0.5), v) for g, v in optimizer.compute_gradients(data_loss(w))]
        train_op = optimizer.apply_gradients(pairs)
    clipped = gradient(W0) * 0.5 / np.linalg.norm(gradient(W0))
    assert_close(run(train_op, w), W0 - LR * (clipped + RATE * W0))


def test_what_coupled_weight_decay_cannot_do_is_refused():
    with pytest.raises(errors.InvalidOptionError, match="lazy"):
        tf1_wd.coupled_weight_decay(sparse="lazy")
    with pytest.raises(errors.InvalidOptionError, match="coupled_weight_decay decorates a function"):
        tf1_wd.coupled_weight_decay(0.1)


@pytest.mark.parametrize("source", ["hand", "scope", "other graph"])
def test_decay_is_added_to_gradients_by_a_plan_and_removed_again(source, kind):
    options = {"rates": {"w": 0.25, "": 0.125}, "exclude": "bias"}
    w, other, bias = weights("w"), weights("other"), weights("bias")
    loss = data_loss(w) + data_loss(other) + data_loss(bias)
    optimizer = tf.train.GradientDescentOptimizer(LR)
    if source == "hand":
        plan = tf1_wd.plan_decay(tf.trainable_variables(), **options)
    else:
        with tf.Graph().as_default() if source == "other graph" else tf.name_scope("decoupled"):
            again = loss if source == "scope" else sum(data_loss(weights(name)) for name in ("w", "other", "bias"))
            with tf1_wd.decoupled_weight_decay(**options) as decay:
                tf.train.AdamOptimizer(LR).minimize(again)
        plan = decay.plan
    pairs = optimizer.compute_gradients(loss)
    added = tf1_wd.add_decay_to_gradients(pairs, plan, scale=0.5)
    back = tf1_wd.remove_decay_from_gradients(added, plan, scale=tf.constant(0.5))
    assert [v for _, v in added] == [v for _, v in pairs]
    for got, factor in zip(run([g for g, _ in added]), (0.125, 0.0625, 0.0)):
        np.testing.assert_allclose(got, gradient(W0) + factor * W0, rtol=1e-12)
    for got in run([g for g, _ in back]):
        np.testing.assert_allclose(got, gradient(W0), rtol=1e-12)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_gradients_of_half_types_are_rounded_once(dtype, kind):
    start = np.random.RandomState(0).randn(50)
    w = tf.get_variable("w", initializer=tf.cast(tf.constant(start), dtype))
    g = tf.cast(tf.constant(start[::-1].copy()), dtype)
    plan = tf1_wd.plan_decay([w], 0.3)
    (got, _), *_ = tf1_wd.add_decay_to_gradients([(g, w)], plan)
    assert got.dtype == dtype
    exact = tf.cast(tf.cast(g, tf.float32) + 0.3 * tf.cast(w, tf.float32), dtype)
    one, other = run([tf.cast(got, tf.float32), tf.cast(exact, tf.float32)])
    np.testing.assert_array_equal(one, other)


def test_a_gradient_of_none_counts_as_zeros(kind):
    w, free = weights("w"), weights("free")
    plan = tf1_wd.plan_decay([w, free], {"w": 0.25})
    (added, _), (left, _) = tf1_wd.add_decay_to_gradients([(None, w), (None, free)], plan)
    np.testing.assert_allclose(run(added), 0.25 * W0, rtol=1e-12)
    assert left is None
    with pytest.raises(errors.InvalidOptionError, match="w has no gradient"):
        tf1_wd.remove_decay_from_gradients([(None, w)], plan)


@pytest.mark.parametrize("sparse", ["all_rows", "touched_rows"])
def test_l2_of_a_table_is_of_all_rows_or_of_those_in_the_gradient(sparse, kind):
    table = weights("table", value=np.arange(1.0, 9.0).reshape(4, 2))
    loss = tf.reduce_sum(tf.nn.embedding_lookup(table, [1, 3, 1]))
    with tf1_wd.coupled_weight_decay(rates=0.25, sparse=sparse) as decay:
        train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
    start = np.arange(1.0, 9.0).reshape(4, 2)
    rows = np.array([[0.0], [1.0], [0.0], [1.0]]) if sparse == "touched_rows" else 1.0
    counts = np.array([[0.0], [2.0], [0.0], [1.0]])
    want = start - 0.5 * (counts + 0.25 * rows * start)
    np.testing.assert_allclose(run(train_op, table), want, rtol=1e-12)
    pairs = [(tf.gradients(loss, table)[0], table)]
    twice = tf1_wd.remove_decay_from_gradients(tf1_wd.add_decay_to_gradients(pairs, decay.plan), decay.plan)
    if sparse == "touched_rows":
        assert isinstance(twice[0][0], tf.IndexedSlices)
    np.testing.assert_allclose(
        run(tf.train.GradientDescentOptimizer(0.5).apply_gradients(twice), table), start - 0.5 * counts
    )


def test_a_plan_that_does_not_fit_is_refused():
    w, other = weights("w"), weights("other")
    g = tf.ones_like(w)
    plan = tf1_wd.plan_decay([w], 0.25)
    with pytest.raises(errors.NoMatchError, match="says nothing of other; it knows w"):
        tf1_wd.add_decay_to_gradients([(g, other)], plan)
    with pytest.raises(errors.NothingToDecayError, match="none of these 1 variables"):
        tf1_wd.add_decay_to_gradients([(g, other)], tf1_wd.plan_decay([w, other], {"w": 0.25}))
    with pytest.raises(errors.NothingToDecayError, match="none of 1 variables decays"):
        tf1_wd.plan_decay([w], 0.25, exclude="w")
    with pytest.raises(errors.InvalidRateError, match="w"):
        tf1_wd.plan_decay([w], 1.0)
    with tf1_wd.decoupled_weight_decay() as decay:
        coefficient = tf.placeholder(tf.float64, [])
        tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) + coefficient * tf.nn.l2_loss(w))
    with tf.Graph().as_default(), pytest.raises(errors.InvalidRateError, match="the run of another graph"):
        v = weights("w")
        tf1_wd.add_decay_to_gradients([(tf.ones_like(v), v)], decay.plan)


# --- how much, and from when on

SCHEDULES = {
    "after N steps": (lambda step: tf.cast(step >= 4, tf.float32), lambda t: float(t >= 4)),
    "steps": (
        lambda step: tf.train.piecewise_constant(step, [2, 5], [1.0, 0.5, 0.125]),
        lambda t: 1.0 if t <= 2 else 0.5 if t <= 5 else 0.125,
    ),
    "cosine": (lambda step: tf.train.cosine_decay(1.0, step, 8), lambda t: 0.5 * (1 + np.cos(np.pi * min(t, 8) / 8))),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_schedule_scales_the_decay_of_each_step(schedule, order, kind, backend):
    loss, step = data_loss(weights()), tf.train.get_or_create_global_step()
    ours, want = SCHEDULES[schedule]
    got = trained(
        lambda: tf.train.AdamOptimizer(LR).minimize(loss, step), rates=0.25, scale=ours, order=order, backend=backend
    )
    assert_close(got, oracle.train("adam", LR, W0, gradient, 10, order, 0.25, want))


def test_a_schedule_scales_l2_in_the_gradient_too(kind):
    w, scale = weights(), tf.placeholder(tf.float32, [])
    with tf1_wd.coupled_weight_decay(rates=0.25, scale=scale):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        want = W0
        for value in (0.0, 1.0, 0.5):
            session.run(train_op, {scale: value})
            want = want - LR * (gradient(want) + 0.25 * value * want)
        assert_close(session.run(w), want)


def summaries_in(folder):
    """{tag: its values in their order} of the event file in a folder."""
    found = {}
    for event in tf.train.summary_iterator(*glob.glob("%s/events*" % folder)):
        for entry in event.summary.value:
            number = entry.simple_value if entry.HasField("simple_value") else tf.make_ndarray(entry.tensor)
            found.setdefault(entry.tag, []).append(float(number))
    return found


@pytest.mark.parametrize("way", ["scope", "attach"])
def test_the_summaries_in_the_event_file_are_what_the_steps_decayed_by(way, kind, tmp_path):
    w, other = weights("w"), weights("other")
    step = tf.train.get_or_create_global_step()
    options = {
        "rates": {"w": 0.25, "": 0.125},
        "scale": lambda step: 1.0 / (1.0 + tf.cast(step, tf.float32)),
        "summary": True,
    }

    def build():
        return tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w) + data_loss(other), step)

    if way == "attach":
        train_op = tf1_wd.attach(build(), **options)
    else:
        train_op = tf1_wd.decoupled_weight_decay(**options)(build)()
    writer = tf.summary.FileWriter(str(tmp_path))
    merged = tf.summary.merge_all()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for t in range(3):
            writer.add_summary(session.run([merged, train_op])[0], t)
    writer.close()
    found = summaries_in(tmp_path)
    assert set(found) == {"weight_decay/scale", "weight_decay/largest_rate"}
    np.testing.assert_allclose(found["weight_decay/scale"], [1.0, 1 / 2, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(found["weight_decay/largest_rate"], [0.25, 0.25 / 2, 0.25 / 3], rtol=1e-6)


def test_every_update_has_summaries_of_its_own():
    d, g = weights("d"), weights("g")
    with tf1_wd.decoupled_weight_decay(rates={"d": 0.25, "g": 0.5}, scale="learning_rate", summary=True):
        tf.train.GradientDescentOptimizer(0.5).minimize(data_loss(d), var_list=[d])
        tf.train.GradientDescentOptimizer(0.25).minimize(data_loss(g), var_list=[g])
    values = {}
    for merged in [run(tf.summary.merge_all())]:
        for entry in tf.Summary.FromString(merged).value:
            values[entry.tag] = entry.simple_value
    assert values == {
        "weight_decay/scale": 0.5,
        "weight_decay/largest_rate": 0.125,
        "weight_decay/scale_1": 0.25,
        "weight_decay/largest_rate_1": 0.125,
    }


def test_without_the_option_there_is_no_summary():
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        tf.train.GradientDescentOptimizer(LR).minimize(data_loss(weights()))
    assert tf.get_collection(tf.GraphKeys.SUMMARIES) == []
    with pytest.raises(errors.InvalidOptionError, match="summary='yes' must be True or False"):
        tf1_wd.decoupled_weight_decay(summary="yes")


def test_a_summary_of_what_a_branch_alone_knows_is_refused(flow):
    w, step = weights(), tf.train.get_or_create_global_step()

    def update():
        with tf.control_dependencies([tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w), step)]):
            return tf.constant(True)

    with pytest.raises(errors.UnsupportedUpdateError, match="branch or a loop"):
        with tf1_wd.decoupled_weight_decay(
            rates=RATE, scale=lambda step: 1.0 / (2.0 + tf.cast(step, tf.float32)), summary=True
        ):
            tf.cond(tf.placeholder(tf.bool, []), update, lambda: tf.constant(False))


def test_a_predicate_that_fails_is_named_with_what_it_is_called_with():
    w = tf.get_variable("w", [2])
    with pytest.raises(errors.InvalidOptionError, match=r"exclude=<lambda> for w: it is called with one variable"):
        tf1_wd.plan_decay([w], 0.1, exclude=lambda variable, name: True)
