"""L2 of looked-up rows leaves the gradient, and each row decays as often as it is looked up; against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.looked_up import (
    IDS,
    ONCE,
    RATE,
    TIMES,
    Feeds,
    X,
    data_gradient,
    looked_up,
    lookup,
    numpy_table,
    penalty,
    run,
    trained,
)
from support.programs import assert_close
from support.tables import LR, ROWS, W0, WIDTH, table
from tf1_wd.plan.reasons import Fate

DIMS = np.array([0.5, 2.0, 1.0])
LAST = np.array([0.0, 1.0, 1.0])


def batch_of(feeds):
    return tf.cast(tf.shape(feeds.ids)[0], tf.float64)


def concat_of_two(w, feeds):
    return tf.concat([lookup(w, feeds), tf.gather(w, tf.reverse(feeds.ids, [0]))], 1)


def in_pairs(w, feeds):
    return tf.nn.embedding_lookup(w, tf.reshape(feeds.ids, [2, -1]))


def times(factor):
    """What multiplies each row in a step, by how often it is looked up in it."""
    return lambda step: factor * RATE * TIMES[step]


def once(step):
    return RATE * ONCE[step]


def twice_by_one_more(step):
    return RATE * (TIMES[step] + np.roll(TIMES[step], 1, 0))


# what a program writes -> what multiplies each row in a step, the rate that the plan names
WORDS = {
    "l2_loss of embedding_lookup": (penalty, times(1), RATE),
    "l2_loss of gather": (lambda w, feeds: RATE * tf.nn.l2_loss(tf.gather(w, feeds.ids)), times(1), RATE),
    "a sum of squares": (lambda w, feeds: RATE * tf.reduce_sum(lookup(w, feeds) ** 2), times(2), 2 * RATE),
    "sums of squares by row": (
        lambda w, feeds: RATE * tf.reduce_sum(tf.reduce_sum(tf.square(lookup(w, feeds)), 1)),
        times(2),
        2 * RATE,
    ),
    "a squared norm": (lambda w, feeds: RATE * tf.norm(-lookup(w, feeds)) ** 2, times(2), 2 * RATE),
    "the mean of squares": (lambda w, feeds: 12 * RATE * tf.reduce_mean(lookup(w, feeds) ** 2), times(2), None),
    "divided by the batch size": (lambda w, feeds: 4 * penalty(w, feeds) / batch_of(feeds), times(1), None),
    "divided by the batch size inside": (
        lambda w, feeds: 4 * RATE * tf.reduce_sum(tf.square(lookup(w, feeds)) / batch_of(feeds)),
        times(2),
        None,
    ),
    "divided by a number": (lambda w, feeds: penalty(w, feeds) / 2, times(0.5), RATE / 2),
    "rows that differ": (lambda w, feeds: RATE * tf.nn.l2_loss(tf.gather(w, tf.unique(feeds.ids)[0])), once, RATE),
    "pairs of rows": (lambda w, feeds: RATE * tf.nn.l2_loss(in_pairs(w, feeds)), times(1), RATE),
    "two lookups in one": (lambda w, feeds: RATE * tf.nn.l2_loss(concat_of_two(w, feeds)), times(2), RATE),
    "two terms": (
        lambda w, feeds: penalty(w, feeds) + RATE * tf.nn.l2_loss(tf.gather(w, feeds.ids + 1)),
        twice_by_one_more,
        RATE,
    ),
    "by dimension": (lambda w, feeds: RATE * tf.reduce_sum(DIMS * lookup(w, feeds) ** 2), times(2 * DIMS), None),
    "some dimensions": (
        lambda w, feeds: RATE * tf.nn.l2_loss(lookup(w, feeds)[:, 1:]),
        times(LAST),
        None,
    ),
}
with_each_order = pytest.mark.parametrize("order", ["after", "before"])


@pytest.mark.parametrize("words", WORDS)
def test_rows_decay_as_often_as_they_are_looked_up(words, kind):
    build, factor, rate = WORDS[words]
    got, plan = trained(build, "adam")
    assert_close(got, numpy_table("adam", lambda step, w: factor(step) * w))
    assert {fate for _, fate in plan.terms} == {Fate.OWN_ROWS}
    named = "(rows of table%s)" % ("" if rate is None else ": %g a lookup" % rate)
    assert all(name.endswith(named) for name, _ in plan.terms)


@with_each_order
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad"])
def test_rows_decay_in_each_order_with_each_optimizer(optimizer, order, kind):
    got, _ = trained(penalty, optimizer, order=order, scale=0.5)
    assert_close(got, numpy_table(optimizer, lambda step, w: 0.5 * looked_up(step, w), order))


def test_rows_decay_by_the_learning_rate_where_the_convention_says_so(kind):
    got, _ = trained(penalty, convention="adamw")
    assert_close(got, numpy_table("sgd", lambda step, w: LR * looked_up(step, w), "before"))


def test_rows_decay_where_their_l2_is_a_loss_of_its_own(kind):
    feeds, w = Feeds(), table()
    with tf1_wd.decoupled_weight_decay() as decay:
        (of_both,) = tf.gradients([feeds.loss(lookup(w, feeds)), penalty(w, feeds)], w)
        train_op = tf.train.GradientDescentOptimizer(LR).apply_gradients([(of_both, w)])
    assert_close(run(feeds, train_op, w), numpy_table("sgd", looked_up))
    assert [fate for _, fate in decay.plan.terms] == [Fate.OWN_ROWS]


@with_each_order
def test_a_decay_of_the_table_as_a_whole_stands_beside(order, kind, backend):
    got, plan = trained(
        lambda w, feeds: penalty(w, feeds) + 0.25 * tf.nn.l2_loss(w), "adam", order=order, backend=backend
    )
    assert_close(got, numpy_table("adam", lambda step, w: looked_up(step, w) + 0.25 * w, order))
    assert [d.rate for d in plan.decaying] == [0.25]
    assert [fate for _, fate in plan.terms] == [Fate.OWN_ROWS]


@pytest.mark.parametrize("sparse", ["all_rows", "touched_rows"])
def test_a_rate_that_is_given_takes_the_place_of_it(sparse, kind):
    got, plan = trained(penalty, rates=0.25, sparse=sparse)
    rows = ONCE if sparse == "touched_rows" else [1.0] * len(IDS)
    assert_close(got, numpy_table("sgd", lambda step, w: 0.25 * rows[step] * w))
    ((name, fate),) = plan.terms
    assert fate is Fate.LEFT_OUT
    assert name.endswith("(rows of table: %g a lookup)" % RATE)


def test_the_plan_names_tables_and_rates(kind):
    _, plan = trained(penalty)
    text = str(plan)
    assert "(rows of table: 0.0625 a lookup): L2 of rows: each decays as often as it is looked up" in text
    assert "no rate as a whole: rows decay as they are looked up, see the terms" in text
    assert "0 of 1 variables decay, 0 of 36 weights, and the rows that 1 term looks up" in text


def test_rows_of_two_tables_in_one_sum(kind):
    feeds, u, v = Feeds(), table("u"), table("v", value=2 * W0)
    rows = [tf.nn.embedding_lookup(t, feeds.ids) for t in (u, v)]
    loss = feeds.loss(rows[0]) + feeds.loss(rows[1])
    loss += RATE * tf.reduce_sum(tf.square(rows[0]) + 0.5 * tf.square(rows[1]))
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    got_u, got_v = run(feeds, train_op, [u, v])
    assert_close(got_u, numpy_table("sgd", lambda step, w: 2 * looked_up(step, w)))
    w = 2 * W0
    for step in range(len(IDS)):
        w = (1 - RATE * TIMES[step]) * (w - LR * data_gradient(step))
    assert_close(got_v, w)
    ((name, _),) = decay.plan.terms
    assert name.endswith("(rows of u: 0.125 a lookup, v: 0.0625 a lookup)") or name.endswith(
        "(rows of v: 0.0625 a lookup, u: 0.125 a lookup)"
    )


def test_a_gradient_by_rows_keeps_its_l2(kind):
    feeds, w = Feeds(), table()
    rows = lookup(w, feeds)
    with tf1_wd.decoupled_weight_decay(rates=0.25):
        (by_rows,) = tf.gradients(feeds.loss(rows) + RATE * tf.nn.l2_loss(rows), [rows])
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(feeds.loss(rows))
    assert_close(run(feeds, train_op, w), numpy_table("sgd", lambda step, w: 0.25 * w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert_close(session.run(by_rows, feeds.of(0)), X + RATE * W0[IDS[0]])


def test_rows_that_are_drawn_in_the_graph(kind):
    feeds, w, drawn = Feeds(), table(), tf.random.uniform([5], 0, ROWS, tf.int32)
    loss = feeds.loss(lookup(w, feeds)) + RATE * tf.nn.l2_loss(tf.gather(w, drawn))
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        ids = session.run([drawn, train_op], feeds.of(0))[0]
        want = W0 - LR * data_gradient(0)
        assert_close(session.run(w), (1 - RATE * np.bincount(ids, minlength=ROWS)[:, None]) * want)


def test_a_table_of_numbers(kind):
    feeds, b = Feeds(), table("b", value=W0[:, 0])
    rows = tf.gather(b, feeds.ids)
    loss = tf.reduce_sum(rows * feeds.x[:, 0]) + RATE * tf.nn.l2_loss(rows)
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    assert_close(run(feeds, train_op, b), numpy_table("sgd", looked_up)[:, 0])


@pytest.mark.parametrize("strategy", ["mod", "div"])
def test_a_partitioned_table(strategy, kind):
    feeds = Feeds()
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(3)):
        w = tf.get_variable("w", [ROWS, WIDTH], tf.float64, tf.ones_initializer())
    rows = tf.nn.embedding_lookup(w, feeds.ids, partition_strategy=strategy)
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(feeds.loss(rows) + RATE * tf.nn.l2_loss(rows))
    got = run(feeds, train_op, w.as_tensor())
    want = np.ones_like(W0)
    for step in range(len(IDS)):
        want = (1 - RATE * TIMES[step]) * (want - LR * data_gradient(step))
    if strategy == "mod":  # row i is in part i % 3
        want = np.concatenate([want[i::3] for i in range(3)])
    assert_close(got, want)
    assert [fate for _, fate in decay.plan.terms] == [Fate.OWN_ROWS]


def test_terms_and_a_model_of_rows_alone_are_told_apart(kind):
    users, items = (tf.placeholder(tf.int32, [None]) for _ in range(2))
    w = table()
    p, q = tf.nn.embedding_lookup(w, users), tf.nn.embedding_lookup(w, items)
    loss = tf.reduce_mean(tf.nn.softplus(-tf.reduce_sum(p * q, 1))) + RATE * (tf.nn.l2_loss(p) + tf.nn.l2_loss(q))
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {users: [0, 0], items: [1, 2]})
        got = session.run(w)
    want = W0.copy()
    for u, i in [(0, 1), (0, 2)]:
        slope = -0.5 / (1 + np.exp(W0[u].dot(W0[i])))
        want[u] -= LR * slope * W0[i]
        want[i] -= LR * slope * W0[u]
    assert_close(got, (1 - RATE * np.bincount([0, 0, 1, 2], minlength=ROWS)[:, None]) * want)
    assert [fate for _, fate in decay.plan.terms] == [Fate.OWN_ROWS] * 2


MODELS = {
    "a factorization machine": lambda rows, x: tf.nn.l2_loss(tf.reduce_sum(rows * x, 0)) - tf.nn.l2_loss(rows * x),
    "squares by example": lambda rows, x: tf.reduce_sum(tf.reduce_sum(tf.square(rows), 1) * x[:, 0]),
    "a distance of rows": lambda rows, x: tf.nn.l2_loss(rows[:2] - rows[2:]) * tf.reduce_sum(x),
    "a distance from data": lambda rows, x: tf.nn.l2_loss(rows - x),
    "products of rows": lambda rows, x: tf.reduce_sum(x) + tf.reduce_sum(rows[:2] * rows[2:]),
    "a norm": lambda rows, x: tf.reduce_sum(x) * tf.log(1.0 + tf.nn.l2_loss(rows)),
    "dropout": lambda rows, x: (
        tf.reduce_sum(x) + tf.nn.l2_loss(rows * tf.round(tf.random.uniform([4, 1], 0.5, 1.0, tf.float64)))
    ),
    "a mask of the indices": lambda rows, x: tf.reduce_sum(x) + tf.nn.l2_loss(rows * tf.cast(x > 0.0, tf.float64)),
}


@pytest.mark.parametrize("model", MODELS)
def test_squares_of_rows_in_a_model_are_no_l2_and_are_not_named(model, kind):
    feeds, w = Feeds(), table()
    loss = MODELS[model](tf.nn.embedding_lookup(w, feeds.ids), feeds.x) / 16.0
    want = run(feeds, tf.train.GradientDescentOptimizer(LR).minimize(loss), w)
    v = table("v")
    loss = MODELS[model](tf.nn.embedding_lookup(v, feeds.ids), feeds.x) / 16.0 + RATE * tf.nn.l2_loss(weights_beside())
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    assert_close(run(feeds, train_op, v), want)
    assert decay.plan.terms == ()


def weights_beside():
    return tf.get_variable("beside", initializer=np.float64([1.0, 2.0]))


COUPLED = {
    "a coefficient of data": (lambda w, feeds: tf.reduce_sum(feeds.x) * penalty(w, feeds), np.sum(X) * RATE),
    "a negative coefficient": (lambda w, feeds: -penalty(w, feeds), -RATE),
}


@pytest.mark.parametrize("words", COUPLED)
def test_what_is_no_decay_stays_and_is_named(words, kind):
    build, factor = COUPLED[words]
    got, plan = trained(lambda w, feeds: build(w, feeds) + 0.25 * tf.nn.l2_loss(weights_beside()))
    assert_close(got, numpy_table("sgd", lambda step, w: 0.0, extra=lambda step, w: factor * TIMES[step] * w))
    assert [fate for _, fate in plan.terms] == [Fate.STAYS]


@pytest.mark.parametrize("coefficient", ["fed", "a variable"])
def test_a_coefficient_that_only_a_run_knows(coefficient, kind):
    def build(w, feeds):
        c = tf.placeholder_with_default(np.float64(RATE), []) if coefficient == "fed" else None
        c = tf.get_variable("c", initializer=np.float64(RATE), trainable=False) if c is None else c
        return c * tf.nn.l2_loss(lookup(w, feeds))

    got, plan = trained(build, "adam")
    assert_close(got, numpy_table("adam", looked_up))
    assert [name.endswith("(rows of table)") for name, _ in plan.terms] == [True]


OPTIONS = {
    "exclude": dict(exclude="table"),
    "include": dict(include="beside"),
    "multipliers": dict(multipliers={"table": 0.5}),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_for_rows_too(option, kind):
    got, plan = trained(lambda w, feeds: penalty(w, feeds) + 0.25 * tf.nn.l2_loss(weights_beside()), **OPTIONS[option])
    factor = 0.5 if option == "multipliers" else 0.0
    assert_close(got, numpy_table("sgd", lambda step, w: factor * looked_up(step, w)))
    assert [fate for _, fate in plan.terms] == [Fate.OWN_ROWS if factor else Fate.LEFT_OUT]


def test_each_of_two_optimizers_decays_its_own_rows(kind):
    feeds, u, v = Feeds(), table("u"), table("v")
    rows = [tf.nn.embedding_lookup(t, feeds.ids) for t in (u, v)]
    loss = feeds.loss(rows[0]) + feeds.loss(rows[1]) + RATE * (tf.nn.l2_loss(rows[0]) + tf.nn.l2_loss(rows[1]))
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.group(*[oracle.tf_optimizer(tf, "adam", LR).minimize(loss, var_list=[t]) for t in (u, v)])
    for got in run(feeds, train_op, [u, v]):
        assert_close(got, numpy_table("adam", looked_up))


def test_terms_of_the_collection_that_are_in_the_loss_count_once(kind):
    def build(w, feeds):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, penalty(w, feeds))
        return tf.losses.get_regularization_loss()

    got, plan = trained(build)
    assert_close(got, numpy_table("sgd", looked_up))
    assert [fate for _, fate in plan.terms] == [Fate.OWN_ROWS]


def test_gradients_stay_sparse_and_without_l2(kind):
    feeds, w = Feeds(), table()
    rows = lookup(w, feeds)
    optimizer = tf.train.GradientDescentOptimizer(LR)
    with tf1_wd.decoupled_weight_decay():
        ((gradient, _),) = pairs = optimizer.compute_gradients(feeds.loss(rows) + RATE * tf.nn.l2_loss(rows))
        optimizer.apply_gradients(pairs)
    assert isinstance(gradient, tf.IndexedSlices)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert_close(session.run(gradient.values, feeds.of(0)), X)
    whole = [op.name for op in tf.get_default_graph().get_operations() if op.type == "UnsortedSegmentSum"]
    assert not whole


def test_a_table_that_l2_alone_reaches_has_sparse_zeros_for_a_gradient(kind):
    feeds, w, v = Feeds(), table(), table("v")
    loss = feeds.loss(lookup(w, feeds)) + RATE * tf.nn.l2_loss(lookup(v, feeds))
    optimizer = oracle.tf_optimizer(tf, "adam", LR)
    with tf1_wd.decoupled_weight_decay():
        pairs = optimizer.compute_gradients(loss)
        train_op = optimizer.apply_gradients(pairs)
    assert all(isinstance(gradient, tf.IndexedSlices) for gradient, _ in pairs)
    want = W0
    for times in TIMES:
        want = (1 - RATE * times) * want
    assert_close(run(feeds, train_op, v), want)


def test_coupled_weight_decay_keeps_rows_rows(kind):
    feeds, w = Feeds(), table()
    rows = lookup(w, feeds)
    with tf1_wd.coupled_weight_decay() as decay:
        train_op = tf.train.AdagradOptimizer(LR).minimize(feeds.loss(rows) + RATE * tf.nn.l2_loss(rows))
    assert_close(run(feeds, train_op, w), numpy_table("adagrad", lambda step, w: 0.0, extra=looked_up))
    assert [fate for _, fate in decay.plan.terms] == [Fate.IN_GRADIENT]
    brought_together = [op for op in tf.get_default_graph().get_operations() if op.type == "UnsortedSegmentSum"]
    assert all(op.name.startswith("Adagrad/update_") for op in brought_together)


def test_towers_and_a_loss_scale_leave_the_rate_as_it_is(kind):
    feeds, w = Feeds(), table()
    rows, optimizer = lookup(w, feeds), tf.train.GradientDescentOptimizer(LR)
    with tf1_wd.decoupled_weight_decay():
        pairs = optimizer.compute_gradients(8.0 * (feeds.loss(rows) + RATE * tf.nn.l2_loss(rows)))
        train_op = optimizer.apply_gradients(
            [(tf.IndexedSlices(g.values / 8.0, g.indices, g.dense_shape), v) for g, v in pairs]
        )
    assert_close(run(feeds, train_op, w), numpy_table("sgd", looked_up))


def test_a_fetched_loss_has_the_rows_the_step_began_from(kind):
    feeds, w = Feeds(), table()
    loss = feeds.loss(lookup(w, feeds)) + RATE * tf.nn.l2_loss(tf.gather(w, tf.reverse(feeds.ids, [0])))
    with tf1_wd.decoupled_weight_decay():
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    rows = W0[IDS[0]]
    with tf.Session() as session:
        for _ in range(20):
            session.run(tf.global_variables_initializer())
            got = session.run([loss, train_op], feeds.of(0))[0]
            assert got == pytest.approx(np.sum(rows * X) + RATE / 2 * np.sum(rows**2))
