"""L2 in other words decays as L2 does, and what is no L2 stays in the gradient and is named; against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.other_words import (
    ANCHOR,
    COEFFICIENTS,
    COUPLED,
    MASK,
    MULTIPLES,
    OTHERS,
    RATE,
    adam,
    fed_loss,
    numpy_adam,
    rows_0,
    run,
)
from support.programs import LR, W0, assert_close, gradient, l2, weights
from tf1_wd import errors
from tf1_wd.plan.reasons import Fate

with_each_coefficient = pytest.mark.parametrize("coefficient", COEFFICIENTS)
with_each_order = pytest.mark.parametrize("order", ["after", "before"])


@pytest.mark.parametrize("words", MULTIPLES)
def test_a_multiple_of_the_weights_is_a_penalty_as_any_other(words, kind):
    build, factor = MULTIPLES[words]
    got, plan = adam(lambda w: fed_loss(w) + RATE * build(w))
    assert_close(got, numpy_adam(lambda w: RATE * factor * w))
    (d,) = plan.decaying
    assert d.rate == pytest.approx(RATE * factor)
    assert plan.terms == ()


@with_each_order
@with_each_coefficient
def test_a_multiple_decays_in_each_order_with_each_coefficient(coefficient, order, kind, backend):
    c = COEFFICIENTS[coefficient]()
    got, plan = adam(lambda w: fed_loss(w) + c * tf.nn.l2_loss(-w), order=order, backend=backend)
    assert_close(got, numpy_adam(lambda w: RATE * w, order))
    assert plan.terms == ()


@with_each_order
@pytest.mark.parametrize("words", OTHERS)
def test_l2_that_is_no_multiple_takes_a_step_of_its_own(words, order, kind):
    build, of_term = OTHERS[words]
    got, plan = adam(lambda w: fed_loss(w) + RATE * build(w), order=order, scale=0.5)
    assert_close(got, numpy_adam(lambda w: 0.5 * RATE * of_term(w), order))
    assert {fate for _, fate in plan.terms} == {Fate.TOWARDS if "distance" in words else Fate.OWN_L2}


@with_each_coefficient
def test_a_step_of_its_own_has_the_coefficient_of_the_loss(coefficient, kind):
    c = COEFFICIENTS[coefficient]()
    got, _ = adam(lambda w: fed_loss(w) + c * tf.nn.l2_loss(MASK * w))
    assert_close(got, numpy_adam(lambda w: RATE * MASK * w))


@with_each_coefficient
@pytest.mark.parametrize("words", COUPLED)
def test_what_is_no_decay_stays_in_the_gradient_and_is_named(words, coefficient, kind):
    build, of_term = COUPLED[words]
    c = COEFFICIENTS[coefficient]()
    got, plan = adam(lambda w: fed_loss(w) + c * build(w), rates=0.25)
    assert_close(got, numpy_adam(lambda w: 0.25 * w, extra=lambda w: RATE * of_term(w)))
    fates = {fate for _, fate in plan.terms}
    assert fates
    assert fates <= {Fate.STAYS, Fate.NORM}


@pytest.mark.parametrize("words", ["tf.norm", "a logarithm", "a square"])
def test_what_looks_like_l2_inside_of_a_term_is_told_with_it_alone(words, kind):
    _, plan = adam(lambda w: fed_loss(w) + COEFFICIENTS["fed"]() * COUPLED[words][0](w), rates=0.25)
    assert [fate for _, fate in plan.terms] == [Fate.STAYS]


@pytest.mark.parametrize("words", ["of minus w", "a mask"])
def test_a_negative_coefficient_is_no_decay(words, kind):
    build, of_term = (MULTIPLES[words][0], lambda w: w) if words in MULTIPLES else OTHERS[words]
    got, plan = adam(lambda w: fed_loss(w) - RATE * build(w), rates=0.25)
    assert_close(got, numpy_adam(lambda w: 0.25 * w, extra=lambda w: -RATE * of_term(w)))
    assert [fate for _, fate in plan.terms] == [Fate.STAYS]


def test_a_term_that_mixes_variables_is_no_decay_of_either(kind):
    w, v = weights("w"), weights("v", value=2 * W0)
    loss = fed_loss(w) + fed_loss(v) + RATE * tf.nn.l2_loss(w - v)
    with tf1_wd.decoupled_weight_decay(rates=0.25) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    got_w, got_v = run(train_op, [w, v], 1)
    assert_close(got_w, 0.75 * (W0 - LR * (gradient(W0) + RATE * -W0)))
    assert_close(got_v, 0.75 * (2 * W0 - LR * (gradient(2 * W0) + RATE * W0)))
    assert [fate for _, fate in decay.plan.terms] == [Fate.STAYS]


def test_the_norm_of_a_partitioned_variable_squared_is_the_decay_of_each_part(kind):
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2)):
        w = tf.get_variable("w", [2, 3], tf.float64, tf.ones_initializer())
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(
            fed_loss(tf.convert_to_tensor(w)) + RATE / 2 * tf.norm(-tf.convert_to_tensor(w)) ** 2
        )
    assert_close(run(train_op, w.as_tensor(), 1), (1 - RATE) * (1.0 - LR * gradient(1.0)))
    assert [d.rate for d in decay.plan.decaying] == pytest.approx([RATE, RATE])


def test_a_whole_loss_of_variables_alone_is_no_term(kind):
    w, c = weights(), tf.placeholder_with_default(np.float64(RATE), [])
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(
            0.5 * tf.reduce_sum(tf.square(w - ANCHOR)) + c * tf.nn.l2_loss(w)
        )
    assert_close(run(train_op, w, 1), (1 - RATE) * (W0 - LR * (W0 - ANCHOR)))
    assert decay.plan.terms == ()


MODELS = {
    "a factorization machine": lambda x, w: tf.nn.l2_loss(tf.matmul(x, w)) - tf.nn.l2_loss(x),
    "weight normalization": lambda x, w: tf.nn.l2_loss(tf.matmul(x, w / tf.norm(w))),
    "a scalar that multiplies the data": lambda x, w: tf.nn.l2_loss(x * tf.nn.l2_loss(-w[0])),
    "a weight for the data": lambda x, w: tf.reduce_sum(x) * tf.nn.l2_loss(-w),
}


@pytest.mark.parametrize("model", MODELS)
def test_squares_of_weights_in_a_model_are_no_l2(model, kind):
    w = weights()
    x = tf.placeholder_with_default(np.ones([2, 2]) / 8, [2, 2])
    loss = MODELS[model](x, w)
    want = run(tf.train.GradientDescentOptimizer(LR).minimize(loss), w, 1)
    with tf1_wd.decoupled_weight_decay(rates=RATE) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    assert_close(run(train_op, w, 1), (1 - RATE) * want)
    assert {fate for _, fate in decay.plan.terms} <= {Fate.NORM}


def test_a_loss_scale_and_towers_leave_the_coefficient_as_it_is(kind):
    w, optimizer = weights(), tf.train.GradientDescentOptimizer(LR)
    with tf1_wd.decoupled_weight_decay():
        towers = [optimizer.compute_gradients(8.0 * (fed_loss(w) + RATE * tf.nn.l2_loss(MASK * w))) for _ in range(2)]
        gradients = [(tf.add_n([g for g, _ in pairs]) / 16.0, pairs[0][1]) for pairs in zip(*towers)]
        train_op = optimizer.apply_gradients(gradients)
    stepped = W0 - LR * gradient(W0)
    assert_close(run(train_op, w, 1), stepped - RATE * MASK * stepped)


OPTIONS = {
    "rates=": (dict(rates=0.25), 0.25, 0.25),
    "exclude=": (dict(exclude="w", rates={"v": 0.25}), 0.0, 0.0),
    "source=": (dict(source="collection", rates={"v": 0.25}), 0.0, 0.0),
    "multipliers=": (dict(multipliers={"w": 0.5}), 0.5 * RATE, 0.0),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_for_l2_in_all_words(option, kind):
    options, with_mask, without_mask = OPTIONS[option]
    w, v = weights("w"), weights("v")
    with tf1_wd.decoupled_weight_decay(**options) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(
            fed_loss(w) + fed_loss(v) + RATE * tf.nn.l2_loss(MASK * w)
        )
    stepped = W0 - LR * gradient(W0)
    assert_close(run(train_op, w, 1), stepped - np.where(MASK, with_mask, without_mask) * stepped)
    assert [fate for _, fate in decay.plan.terms] == [Fate.OWN_L2 if option == "multipliers=" else Fate.LEFT_OUT]


def test_a_pull_to_other_weights_stays_beside_a_rate_that_is_given(kind):
    got, plan = adam(lambda w: fed_loss(w) + RATE * tf.nn.l2_loss(w - ANCHOR), rates=0.25)
    assert_close(got, numpy_adam(lambda w: 0.25 * w + RATE * (w - ANCHOR)))
    assert [fate for _, fate in plan.terms] == [Fate.TOWARDS]


def test_coupled_weight_decay_has_l2_in_other_words_in_the_gradient(kind):
    w = weights()
    loss = fed_loss(w) + RATE * (tf.nn.l2_loss(MASK * w) + tf.nn.l2_loss(-w))
    with tf1_wd.coupled_weight_decay() as decay:
        train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    assert_close(run(train_op, w), numpy_adam(lambda w: 0.0, extra=lambda w: RATE * (MASK + 1) * w))
    assert [fate for _, fate in decay.plan.terms] == [Fate.IN_GRADIENT]


def test_a_fetched_loss_has_the_terms_of_the_weights_the_step_began_from(graph):
    with tf.variable_scope("net", use_resource=True):
        w = weights(value=np.full((64, 64), 1.0))
    mask = np.eye(64)
    loss = tf.nn.l2_loss(w - tf.placeholder_with_default(np.full([64, 64], 2.0), [64, 64])) + RATE * tf.nn.l2_loss(
        mask * w
    )
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(20):
            session.run(initialize)
            assert session.run([loss, train_op])[0] == pytest.approx(64 * 64 / 2 + 4.0)


# what is in the collection, with rates=0.25 or without -> its gradient, its fate
COLLECTED = {
    "tf.norm": (tf.norm, lambda w: w / np.linalg.norm(w), Fate.OWN_STEP),
    "a square": (lambda w: tf.nn.l2_loss(w) ** 2 / 16, lambda w: np.sum(w**2) / 16 * w, Fate.OWN_STEP),
    "a logarithm": (COUPLED["a logarithm"][0], COUPLED["a logarithm"][1], Fate.OWN_STEP),
    "a mask": (OTHERS["a mask"][0], OTHERS["a mask"][1], Fate.OWN_L2),
    "a distance": (OTHERS["a distance"][0], OTHERS["a distance"][1], Fate.TOWARDS),
    "rows that are looked up": (OTHERS["rows that are looked up"][0], rows_0, Fate.OWN_L2),
}


@pytest.mark.parametrize("given", [None, 0.25])
@pytest.mark.parametrize("words", COLLECTED)
def test_terms_of_the_collection_take_a_step_and_are_named(words, given, kind):
    build, of_term, fate = COLLECTED[words]
    w = weights()
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, RATE * build(w))
    with tf1_wd.decoupled_weight_decay(rates=given) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(fed_loss(w))
    stepped = W0 - LR * gradient(W0)
    gives_way = given is not None and fate is Fate.OWN_L2
    own = 0.0 if gives_way else RATE * of_term(stepped)
    assert_close(run(train_op, w, 1), stepped - (given or 0.0) * stepped - own)
    assert [found for _, found in decay.plan.terms] == [Fate.LEFT_OUT if gives_way else fate]


@pytest.mark.parametrize("words", MULTIPLES)
@with_each_coefficient
def test_a_multiple_of_the_loss_that_is_in_the_collection_too_is_a_rate(coefficient, words, kind):
    def build(w):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, COEFFICIENTS[coefficient]() * MULTIPLES[words][0](w))
        return fed_loss(w) + tf.losses.get_regularization_loss()

    got, plan = adam(build)
    assert_close(got, numpy_adam(lambda w: RATE * MULTIPLES[words][1] * w))
    assert plan.terms == ()


@pytest.mark.parametrize("words", ["of minus w", "einsum", "rows that are all looked up once", "a Gaussian prior"])
def test_a_multiple_in_the_collection_is_a_rate(words, kind):
    build, factor = MULTIPLES[words]
    w = weights(regularizer=lambda v: l2(0.0625)(v) + RATE * build(v))
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(fed_loss(w))
    assert_close(run(train_op, w, 1), (1 - 0.0625 - RATE * factor) * (W0 - LR * gradient(W0)))
    assert decay.plan.terms == ()


def test_nothing_is_tried_where_all_penalties_have_a_form(kind, monkeypatch):
    monkeypatch.setattr("tf1_wd._tf.ScratchSession", None)
    ws = [weights("w%d" % i, l2(0.01)) for i in range(50)]
    loss = tf.add_n([fed_loss(w) for w in ws]) + tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
    with tf1_wd.decoupled_weight_decay() as decay:
        tf.train.GradientDescentOptimizer(LR).minimize(loss)
    assert len(decay.plan.decaying) == 50


@with_each_order
@with_each_coefficient
@pytest.mark.parametrize("words", [words for words in COUPLED if words != "map_fn"])
def test_others_can_be_decoupled_too(words, coefficient, order, kind):
    build, of_term = COUPLED[words]
    c = COEFFICIENTS[coefficient]()
    got, plan = adam(lambda w: fed_loss(w) + c * build(w), others="decouple", order=order, scale=0.5, rates=0.25)
    assert_close(got, numpy_adam(lambda w: 0.5 * (0.25 * w + RATE * of_term(w)), order))
    assert [fate for _, fate in plan.terms] == [Fate.DECOUPLED]


@with_each_order
@pytest.mark.parametrize("where", ["loss", "collection"])
def test_a_step_of_its_own_sees_the_other_variable_as_the_decay_does(where, order, kind):
    w, v = weights("w"), weights("v", value=2 * W0)
    loss, term = fed_loss(w) + fed_loss(v), RATE * tf.nn.l2_loss(w - v)
    if where == "collection":
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, term)
    with tf1_wd.decoupled_weight_decay(others="decouple", exclude="v", order=order):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss + term if where == "loss" else loss)
    got_w, got_v = run(train_op, [w, v], 1)
    stepped, stepped_v = W0 - LR * gradient(W0), 2 * W0 - LR * gradient(2 * W0)
    assert_close(got_v, stepped_v)
    assert_close(got_w, stepped - RATE * (stepped - stepped_v if order == "after" else W0 - 2 * W0))


def test_a_loop_over_weights_stays_coupled_where_others_are_decoupled(kind):
    build, of_term = COUPLED["map_fn"]
    got, plan = adam(lambda w: fed_loss(w) + RATE * build(w), others="decouple", rates=0.25)
    assert_close(got, numpy_adam(lambda w: 0.25 * w, extra=lambda w: RATE * of_term(w)))
    assert [fate for _, fate in plan.terms] == [Fate.STAYS]


def test_decoupled_l1_of_the_collection_and_the_loss_counts_once(kind):
    w = weights(regularizer=lambda v: RATE * tf.reduce_sum(tf.abs(v)))
    with tf1_wd.decoupled_weight_decay(others="decouple") as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(fed_loss(w) + tf.losses.get_regularization_loss())
    stepped = W0 - LR * gradient(W0)
    assert_close(run(train_op, w, 1), stepped - RATE * np.sign(stepped))
    assert [fate for _, fate in decay.plan.terms] == [Fate.DECOUPLED]


@pytest.mark.parametrize(
    "term",
    [tf.nn.l2_loss, lambda w: tf.reduce_sum(tf.abs(w)), lambda w: tf.reduce_sum(w**2)],
    ids=["l2_loss", "L1", "sum of squares"],
)
def test_a_term_behind_a_stopped_gradient_is_not_said_to_have_one(term, kind):
    got, plan = adam(lambda w: fed_loss(w) + RATE * term(tf.stop_gradient(w)), rates=0.25)
    assert_close(got, numpy_adam(lambda w: 0.25 * w))
    assert [fate for _, fate in plan.terms] == [Fate.NORM]


@pytest.mark.parametrize("in_loss", [True, False])
def test_l1_beside_l2_in_one_regularizer_is_named_once(in_loss, kind):
    w = weights(regularizer=lambda v: tf.add(RATE * tf.reduce_sum(tf.abs(v)), l2()(v), name="l1_l2"))
    loss = fed_loss(w) + (tf.losses.get_regularization_loss() if in_loss else 0.0)
    with tf1_wd.decoupled_weight_decay() as decay:
        tf.train.AdamOptimizer(LR).minimize(loss)
    assert [fate for _, fate in decay.plan.terms] == [Fate.STAYS if in_loss else Fate.OWN_STEP]


def test_attach_leaves_the_gradient_and_so_others_as_they_are(kind):
    w = weights()
    train_op = tf.train.GradientDescentOptimizer(LR).minimize(fed_loss(w))
    with pytest.raises(errors.InvalidOptionError, match="attach leaves the gradient as it is"):
        tf1_wd.attach(train_op, rates=0.25, others="decouple")


@pytest.mark.parametrize("guard", ["where", "clip"])
def test_a_guard_around_the_loss_hides_no_term(guard, kind):
    def build(w):
        loss = fed_loss(w) + RATE * (tf.nn.l2_loss(-w) + tf.nn.l2_loss(MASK * w))
        if guard == "clip":
            return tf.clip_by_value(loss, 0.0, 1e6)
        return tf.where(tf.is_nan(loss), tf.zeros_like(loss), loss)

    got, _ = adam(build)
    assert_close(got, numpy_adam(lambda w: RATE * (1.0 + MASK) * w))


def test_a_scale_of_the_batch_is_a_coefficient(kind):
    x = tf.placeholder_with_default(np.ones([4, 1]), [None, 1])
    n = tf.cast(tf.shape(x)[0], tf.float64)
    got, _ = adam(lambda w: fed_loss(w) + 0.0 * tf.reduce_sum(x) + 4 * RATE * tf.nn.l2_loss(-w) / n)
    assert_close(got, numpy_adam(lambda w: RATE * w))


def test_a_term_that_another_one_is_made_of_stays_with_it(kind):
    def build(w):
        term = tf.nn.l2_loss(-w)
        return fed_loss(w) + RATE * term + RATE * tf.log(1.0 + term)

    got, plan = adam(build, rates=0.25)
    assert_close(got, numpy_adam(lambda w: 0.25 * w, extra=lambda w: RATE * w * (1.0 + 1.0 / (1.0 + np.sum(w**2) / 2))))
    assert {fate for _, fate in plan.terms} == {Fate.STAYS}


@pytest.mark.parametrize("words", ["a mask", "a distance"])
def test_a_step_that_reads_the_weights_comes_between_a_step_of_its_own_and_its_subtraction(words, kind):
    build, of_term = OTHERS[words]
    w = weights()
    with tf1_wd.decoupled_weight_decay(order="before"):
        train_op = oracle.tf_optimizer(tf, "ftrl", LR).minimize(fed_loss(w) + RATE * build(w))
    optimizer, want = oracle.Optimizer("ftrl", LR), W0
    for _ in range(2):
        want = want - optimizer.step(want, gradient(want)) - RATE * of_term(want)
    assert_close(run(train_op, w), want)


def test_rows_that_decay_late_and_a_step_on_all_rows_do_not_go_together(kind):
    w, ids = weights("table"), tf.placeholder_with_default([1], [None])
    data = tf.reduce_sum(tf.gather(w, ids))
    with pytest.raises(errors.UnsupportedUpdateError, match="all rows of table, and under sparse='lazy'"):
        with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy"):
            tf.train.GradientDescentOptimizer(LR).minimize(data + RATE * tf.nn.l2_loss(w - ANCHOR))


def test_gradients_out_of_accumulators_need_a_coefficient_that_is_there(kind):
    w, c = weights(), tf.placeholder_with_default(np.float64(RATE), [])
    optimizer = tf.train.SyncReplicasOptimizer(
        tf.train.GradientDescentOptimizer(LR), replicas_to_aggregate=1, total_num_replicas=1
    )
    with pytest.raises(errors.UnsupportedUpdateError, match=r"depends on .*SyncReplicasOptimizer"):
        with tf1_wd.decoupled_weight_decay():
            optimizer.minimize(fed_loss(w) + c * tf.nn.l2_loss(MASK * w), tf.train.get_or_create_global_step())
