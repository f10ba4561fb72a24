"""Several tf.gradients calls into one update: the author's net rate, once, however the gradients are combined."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import CURVATURE, LR, RATE, TARGET, W0, assert_close, data_loss, gradient, l2, run, weights
from tf1_wd import errors

N = 3


# --- how the towers' gradients of one variable become one


def average_of_concat(gradients):
    """average_gradients of the CIFAR-10 multi-GPU tutorial."""
    return tf.reduce_mean(tf.concat([tf.expand_dims(g, 0) for g in gradients], 0), 0)


COMBINATIONS = {
    "concat and mean": average_of_concat,
    "stack and mean": lambda gs: tf.reduce_mean(tf.stack(gs), axis=0),
    "stack along another axis": lambda gs: tf.reduce_mean(tf.stack(gs, axis=-1), axis=-1),
    "stack and sum": lambda gs: tf.reduce_sum(tf.stack(gs), axis=0) / N,
    "add_n": lambda gs: tf.add_n(gs) / N,
    "add_n, multiplied": lambda gs: tf.multiply(tf.add_n(gs), 1.0 / N),
    "chain of +": lambda gs: (gs[0] + gs[1] + gs[2]) * (1.0 / N),
    "weighted": lambda gs: 0.5 * gs[0] + 0.25 * gs[1] + 0.25 * gs[2],
    "through casts": lambda gs: tf.cast(average_of_concat([tf.cast(g, tf.float32) for g in gs]), tf.float64),
    "clipped by tower": lambda gs: average_of_concat([tf.clip_by_norm(g, 100.0) for g in gs]),
    "clipped together": lambda gs: tf.clip_by_global_norm([average_of_concat(gs)], 100.0)[0][0],
    "flattened and split": lambda gs: flattened(gs),
    "difference of minus": lambda gs: (gs[0] - (-gs[1] - gs[2])) / N,
    "accumulate_n": lambda gs: tf.accumulate_n(gs) / N,
    "divide_no_nan": lambda gs: tf.div_no_nan(tf.add_n(gs), np.float64(N)),
    "printed": lambda gs: tf.Print(tf.add_n(gs), [0.0]) / N,
    "a full tensor": lambda gs: tf.add_n(gs) / tf.fill([2, 3], np.float64(N)),
    "number of towers fed": lambda gs: tf.add_n(gs) / tf.placeholder_with_default(np.float64(N), []),
}


def flattened(gradients):
    """All gradients in one vector, averaged as one, as all-reduce code has it."""
    flat = [tf.concat([tf.reshape(g, [-1]), tf.zeros([4], g.dtype)], 0) for g in gradients]
    return tf.reshape(tf.split(tf.add_n(flat) / N, [6, 4])[0], [2, 3])


def towers(penalty, combine):
    """One update from N towers on one shared variable; penalty: function (tower, w) -> term of its loss."""
    w = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)[0]
    optimizer = tf.train.GradientDescentOptimizer(LR)
    raw = []
    for i in range(N):
        with tf.name_scope("tower%d" % i):
            raw.append(optimizer.compute_gradients(data_loss(w) + penalty(i, w))[0][0])
    return optimizer.apply_gradients([(combine(raw), w)])


def same_terms(i, w):
    return tf.losses.get_regularization_loss()


def one_copy_a_tower(i, w):
    return RATE * tf.nn.l2_loss(w)


def last_tower_times_n(i, w):
    return N * RATE * tf.nn.l2_loss(w) if i == N - 1 else 0.0


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("order", ["after", "before"])
def test_towers_with_the_same_terms_averaged_decay_once(combination, order, kind):
    weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay(order=order) as decay:
        train_op = towers(same_terms, COMBINATIONS[combination])
    assert len(decay.plan.decaying) == 1
    got = run(*[train_op] * 3, tf.trainable_variables()[0])
    assert_close(got, oracle.train("sgd", LR, W0, gradient, 3, order, RATE))


@pytest.mark.parametrize("combination", ["clipped together", "clipped by tower", "add_n", "stack and mean"])
def test_the_rate_of_a_scalar_variable_combines_too(combination, kind):
    tf.get_variable("scalar", initializer=np.float64(2.0))
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = towers(one_copy_a_tower, COMBINATIONS[combination])
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)
    slope = np.sum(CURVATURE * (2.0 - TARGET))
    assert_close(run(train_op, tf.trainable_variables()[0]), (1 - RATE) * (2.0 - LR * slope))


WAYS = {
    "one copy a tower, averaged": (one_copy_a_tower, average_of_concat, 1.0),
    "last tower times N, averaged": (last_tower_times_n, average_of_concat, 1.0),
    "first tower only, summed": (lambda i, w: RATE * tf.nn.l2_loss(w) if i == 0 else 0.0, tf.add_n, float(N)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["after", "before"])
def test_the_other_ways_of_towers_decay_once_too(way, order, kind, backend):
    penalty, combine, data_weight = WAYS[way]
    weights()
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
        train_op = towers(penalty, combine)
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)
    got = run(*[train_op] * 3, tf.trainable_variables()[0])
    assert_close(got, oracle.train("sgd", LR, W0, lambda w: data_weight * gradient(w), 3, order, RATE))


def test_a_penalty_in_the_collection_alone_counts_once_for_all_towers(kind):
    weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay():
        train_op = towers(lambda i, w: 0.0, average_of_concat)
    assert_close(run(train_op, tf.trainable_variables()[0]), (1 - RATE) * (W0 - LR * gradient(W0)))


def test_other_rates_in_every_tower_combine_as_the_gradients_do(kind):
    weights()
    with tf1_wd.decoupled_weight_decay() as decay:
        towers(lambda i, w: (0.05 + 0.1 * i) * tf.nn.l2_loss(w), COMBINATIONS["weighted"])
    assert decay.plan.decaying[0].rate == pytest.approx(0.5 * 0.05 + 0.25 * 0.15 + 0.25 * 0.25)


def test_coefficients_that_are_fed_combine_too(kind):
    w, wd = weights(), tf.placeholder_with_default(np.float64(RATE), [])
    with tf1_wd.decoupled_weight_decay():
        train_op = towers(lambda i, w: wd * tf.nn.l2_loss(w) if i else 0.5 * wd * tf.nn.l2_loss(w), average_of_concat)
    rate = (0.5 * RATE + 2 * RATE) / 3
    assert_close(run(train_op, w), (1 - rate) * (W0 - LR * gradient(W0)))


@pytest.mark.parametrize("aggregate", ["concat", "add_n"])
def test_sparse_gradients_of_towers_combine_too(aggregate, kind):
    table = weights()
    optimizer = tf.train.GradientDescentOptimizer(LR)

    def combine(slices):
        if aggregate == "add_n":
            return tf.add_n([tf.convert_to_tensor(s) for s in slices]) / N
        values = tf.concat([s.values for s in slices], 0) / N
        return tf.IndexedSlices(values, tf.concat([s.indices for s in slices], 0), slices[0].dense_shape)

    with tf1_wd.decoupled_weight_decay() as decay:
        raw = []
        for _ in range(N):
            loss = tf.reduce_sum(tf.nn.embedding_lookup(table, [0])) + RATE * tf.nn.l2_loss(table)
            raw.append(tf.gradients(loss, table)[0])
        train_op = optimizer.apply_gradients([(combine(raw), table)])
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)
    assert_close(run(train_op, table), (1 - RATE) * (W0 - LR * np.array([[1.0] * 3, [0.0] * 3])))


def test_towers_with_variables_of_their_own_decay_their_own(kind):
    optimizer, pairs = tf.train.GradientDescentOptimizer(LR), []
    with tf1_wd.decoupled_weight_decay():
        for i in range(2):
            w = weights("tower%d" % i)
            pairs += optimizer.compute_gradients(data_loss(w) + (i + 1) * RATE * tf.nn.l2_loss(w), [w])
        train_op = optimizer.apply_gradients(pairs)
    for i, got in enumerate(run(train_op, tf.trainable_variables())):
        assert_close(got, (1 - (i + 1) * RATE) * (W0 - LR * gradient(W0)))


def test_two_losses_of_one_update_add_up(kind):
    w = weights()
    optimizer = tf.train.GradientDescentOptimizer(LR)
    with tf1_wd.decoupled_weight_decay():
        main = tf.gradients(0.5 * data_loss(w) + RATE * tf.nn.l2_loss(w), w)[0]
        auxiliary = tf.gradients(0.5 * data_loss(w) + 2 * RATE * tf.nn.l2_loss(w), w)[0]
        train_op = optimizer.apply_gradients([(main + auxiliary, w)])
    assert_close(run(train_op, w), (1 - 3 * RATE) * (W0 - LR * gradient(W0)))


NOT_LINEAR = {
    "median": lambda gs: tf.sort(tf.stack(gs), axis=0)[1],
    "maximum": lambda gs: tf.maximum(gs[0], gs[1]),
    "sum of signs": lambda gs: tf.add_n([tf.sign(g) for g in gs]),
    "product": lambda gs: gs[0] * gs[1],
    "one of them": lambda gs: tf.gather(tf.stack(gs), 1),
    "py_func of all": lambda gs: tf.reshape(tf.py_func(lambda *a: np.median(a, 0), gs, tf.float64), [2, 3]),
}


@pytest.mark.parametrize("case", NOT_LINEAR)
def test_towers_whose_combination_is_not_linear_ask_for_the_net_rate(case, kind):
    weights("kernel")
    with pytest.raises(errors.AmbiguousRateError, match=r"kernel.*rates="), tf1_wd.decoupled_weight_decay():
        towers(one_copy_a_tower, NOT_LINEAR[case])


@pytest.mark.parametrize("case", NOT_LINEAR)
def test_towers_whose_combination_is_not_linear_take_the_rate_that_is_given(case, kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = towers(one_copy_a_tower, NOT_LINEAR[case])
    stepped = W0 - LR * run_numpy(NOT_LINEAR[case])
    assert_close(run(train_op, w), (1 - RATE) * stepped)


def run_numpy(combine):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(combine([tf.constant(gradient(W0))] * N))


def test_the_collection_asks_for_nothing_whatever_the_combination(kind):
    weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay(source="collection") as decay:
        towers(same_terms, NOT_LINEAR["median"])
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)


def test_the_sign_of_an_average_leaves_the_average_rate(kind):
    weights()
    with tf1_wd.decoupled_weight_decay() as decay:
        towers(one_copy_a_tower, lambda gs: 0.01 * tf.sign(tf.add_n(gs) / N))
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)


def test_towers_into_one_accumulator_are_averaged_as_it_averages(kind):
    w, step = weights(), tf.train.get_or_create_global_step()
    with tf1_wd.decoupled_weight_decay() as decay:
        optimizer = tf.train.SyncReplicasOptimizer(tf.train.GradientDescentOptimizer(LR), 1, 1)
        raw = [tf.gradients(data_loss(w) + one_copy_a_tower(i, w), w)[0] for i in range(N)]
        optimizer.apply_gradients([(tf.add_n(raw) / N, w)], step)
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)


def test_the_gradient_of_the_penalties_may_be_added_by_hand(kind):
    w = weights()
    optimizer = tf.train.GradientDescentOptimizer(LR)
    with tf1_wd.decoupled_weight_decay():
        data = tf.clip_by_norm(tf.gradients(data_loss(w), w)[0], 1.0)
        penalty = tf.gradients(RATE * tf.nn.l2_loss(w), w)[0]
        train_op = optimizer.apply_gradients([(data + penalty, w)])
    g = gradient(W0)
    assert_close(run(train_op, w), (1 - RATE) * (W0 - LR * g / np.linalg.norm(g)))


def test_a_head_with_a_penalty_alone_keeps_its_slots(kind):
    w, head = weights(), weights("head")
    optimizer = tf.train.AdamOptimizer(LR)
    with tf1_wd.decoupled_weight_decay():
        train_op = optimizer.minimize(data_loss(w) + RATE * (tf.nn.l2_loss(w) + tf.nn.l2_loss(head)))
    assert optimizer.get_slot(head, "m") is not None
    assert_close(run(*[train_op] * 3, head), (1 - RATE) ** 3 * W0)


BETWEEN = {
    "Print": lambda g: tf.Print(g, [0.0]) / 4.0,
    "stop_gradient": lambda g: tf.stop_gradient(g) / 4.0,
    "identity_n": lambda g: tf.identity_n([g])[0] / 4.0,
    "divide_no_nan": lambda g: tf.div_no_nan(g, np.float64(4.0)),
    "fill": lambda g: g / tf.fill(tf.shape(g), np.float64(4.0)),
    "centralized": lambda g: (g - tf.reduce_mean(g, axis=0, keepdims=True)) / 4.0,
}


@pytest.mark.parametrize("case", BETWEEN)
def test_a_loss_scale_is_taken_back_whatever_stands_between(case, kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay() as decay:
        raw = tf.gradients(4.0 * (data_loss(w) + RATE * tf.nn.l2_loss(w)), w)[0]
        tf.train.GradientDescentOptimizer(LR).apply_gradients([(BETWEEN[case](raw), w)])
    assert decay.plan.decaying[0].rate == pytest.approx(RATE)


def test_a_multiple_of_what_is_not_known_asks_for_the_rate(kind):
    w = weights("kernel")
    with pytest.raises(errors.AmbiguousRateError, match=r"kernel goes through .*MatMul.*rates="):
        with tf1_wd.decoupled_weight_decay():
            raw = tf.gradients(4.0 * (data_loss(w) + RATE * tf.nn.l2_loss(w)), w)[0]
            mixed = tf.matmul(raw, tf.eye(3, dtype=tf.float64)) / 4.0
            tf.train.GradientDescentOptimizer(LR).apply_gradients([(mixed, w)])


def test_a_loss_scale_that_the_step_changes_is_read_before_that(kind):
    w = weights(value=np.full((64, 64), 1.0))
    scale = tf.get_variable("scale", initializer=np.float64(4.0), trainable=False)
    with tf1_wd.decoupled_weight_decay():
        raw = tf.gradients(scale * (tf.reduce_sum(0.0 * w) + RATE * tf.nn.l2_loss(w)), w)[0]
        gradient = raw / scale
        update = tf.train.GradientDescentOptimizer(LR).apply_gradients([(gradient, w)])
        with tf.control_dependencies([gradient]):
            train_op = tf.group(update, scale.assign_add(4.0))
    initialize = tf.global_variables_initializer()
    with tf.Session() as session:
        for _ in range(50):
            session.run(initialize)
            session.run(train_op)
            np.testing.assert_allclose(session.run(w), np.full((64, 64), 1 - RATE), rtol=1e-12)


@pytest.mark.parametrize("each", [True, False])
def test_variables_of_each_towers_own_with_one_averaged_gradient_ask_for_the_net_rate(each, kind):
    optimizer, copies = tf.train.GradientDescentOptimizer(LR), [weights("v%d" % i) for i in range(2)]

    def build():
        raw = []
        for i, w in enumerate(copies):
            penalty = (RATE if each else 2 * RATE * i) * tf.nn.l2_loss(w)
            raw.append(tf.gradients(data_loss(w) + penalty, w)[0])
        return optimizer.apply_gradients([(tf.add_n(raw) / 2, w) for w in copies])

    with pytest.raises(errors.AmbiguousRateError, match=r"v\d is made of gradients of v\d too.*rates="):
        with tf1_wd.decoupled_weight_decay():
            build()
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = build()
    for got in run(train_op, copies):
        assert_close(got, (1 - RATE) * (W0 - LR * gradient(W0)))


def test_towers_from_outside_with_l2_in_them_are_refused(kind):
    w = weights("kernel")
    raw = [tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)[0] for _ in range(N)]
    optimizer = tf.train.GradientDescentOptimizer(LR)
    with pytest.raises(errors.CoupledPenaltyError, match="kernel"), tf1_wd.decoupled_weight_decay(rates=RATE):
        optimizer.apply_gradients([(average_of_concat(raw), w)])
    with pytest.raises(errors.CoupledPenaltyError, match="kernel"):
        tf1_wd.attach(optimizer.apply_gradients([(average_of_concat(raw), w)]), rates=RATE)


def test_an_own_decay_behind_stop_gradient_is_found(kind):
    w = weights("kernel")
    w.assign_sub(RATE * tf.stop_gradient(w))
    with pytest.raises(errors.AlreadyDecoupledError, match="kernel"), tf1_wd.decoupled_weight_decay(rates=RATE):
        tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
