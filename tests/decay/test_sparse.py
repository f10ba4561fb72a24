"""Tables whose gradients are sparse: which rows decay, when, and that late rows end where all others do."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.tables import (
    KEEPS_ROWS,
    LOOKUPS,
    LR,
    ROWS,
    TARGETS,
    W0,
    WIDTH,
    Program,
    batches,
    loss_of,
    numpy_weights,
    table,
)

# --- what each policy means

CASES = [(policy, name) for policy in ("all_rows", "touched_rows") for name in oracle.OPTIMIZERS]


CASES += [("lazy", name) for name in KEEPS_ROWS]


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize(("policy", "optimizer"), CASES)
def test_each_policy_decays_the_rows_it_names(policy, optimizer, order, lookup, kind):
    program, ids = Program(optimizer, LOOKUPS[lookup], order=order, sparse=policy), batches(12)
    want = numpy_weights(optimizer, ids, order, 0.25, policy)
    np.testing.assert_allclose(program.weights(ids), want, rtol=2e-6)


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_all_rows_is_the_default(optimizer, order, kind, backend):
    program, ids = Program(optimizer, order=order, backend=backend), batches(12)
    want = numpy_weights(optimizer, ids, order, 0.25, "all_rows")
    np.testing.assert_allclose(program.weights(ids), want, rtol=2e-6)


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", KEEPS_ROWS)
@pytest.mark.parametrize("rate", [0.05, 0.5, "schedule"])
def test_late_rows_end_where_all_others_do(rate, optimizer, order, kind):
    def schedule(step):
        return 0.1 + tf.cast(step % 10, tf.float64) / 10.0

    options = {"rate": 0.5, "scale": schedule} if rate == "schedule" else {"rate": rate}
    ids, ends = batches(200, size=2), []
    for policy in ("all_rows", "lazy"):
        with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
            ends.append(Program(optimizer, order=order, sparse=policy, **options).weights(ids))
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-12)
    scale = (lambda t: 0.1 + (t % 10) / 10.0) if rate == "schedule" else 1.0
    want = numpy_weights(optimizer, ids, order, options["rate"], "all_rows", scale)
    np.testing.assert_allclose(ends[1], want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_rows_follow_the_learning_rate_too(policy, kind):
    program, ids = Program("sgd", rate=0.5, scale="learning_rate", sparse=policy), batches(20)
    np.testing.assert_allclose(program.weights(ids), numpy_weights("sgd", ids, "after", 0.5, policy, LR), rtol=1e-9)


def test_a_row_that_is_not_touched_is_not_written(kind):
    program = Program("adagrad", sparse="lazy")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        program.train(session, [[0, 1, 1]] * 5)
        np.testing.assert_array_equal(session.run(program.table)[2:], W0[2:])
        session.run(program.catch_up)
        np.testing.assert_allclose(session.run(program.table)[2:], W0[2:] * 0.75**5, rtol=1e-12)
        session.run(program.catch_up)  # a second time there is nothing to do
        np.testing.assert_allclose(session.run(program.table)[2:], W0[2:] * 0.75**5, rtol=1e-12)


def test_the_loss_sees_rows_with_all_their_decay(kind):
    program = Program("sgd", sparse="lazy")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        program.train(session, [[0]] * 3)
        np.testing.assert_allclose(session.run(program.rows, {program.ids: [4]}), [W0[4] * 0.75**3], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_half_types_are_computed_in_float32_and_rounded_once(policy, dtype, kind):
    dtype = tf.as_dtype(dtype)
    start = W0.astype(dtype.as_numpy_dtype)
    ids = tf.placeholder(tf.int32, [None])
    w = tf.get_variable("table", dtype=dtype, initializer=tf.cast(start.astype(np.float32), dtype))
    with tf1_wd.decoupled_weight_decay(rates=0.3, sparse=policy) as decay:
        rows = tf.nn.embedding_lookup(w, ids)
        train_op = tf.train.GradientDescentOptimizer(0.0).minimize(tf.reduce_sum(rows))
    catch_up = decay.catch_up()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {ids: [1, 1, 2]})
        session.run(catch_up)
        got = session.run(tf.cast(w, tf.float32))
    wide = start.astype(np.float32)
    want = (wide - np.float32(0.3) * wide).astype(dtype.as_numpy_dtype).astype(np.float32)
    np.testing.assert_array_equal(got[1:3], want[1:3])
    if policy == "touched_rows":
        np.testing.assert_array_equal(got[3:], wide[3:])
    else:
        np.testing.assert_allclose(got[3:], want[3:], rtol=0.01)


# --- ways to look rows up


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_rows_of_two_lookups_decay_once(policy, order, kind):
    first, second = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int64, [None, 2])
    w = table()
    rows = tf.nn.embedding_lookup(w, first), tf.gather(w, second)
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy, order=order) as decay:
        loss = loss_of(rows[0], first) + loss_of(rows[1], second)
        train_op = tf.train.AdagradOptimizer(LR).minimize(loss)
    catch_up = decay.catch_up()
    steps = [(a, b.reshape(-1, 2)) for a, b in zip(batches(20), batches(20, 4, seed=2))]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for a, b in steps:
            session.run(train_op, {first: a, second: b})
        session.run(catch_up)
        got = session.run(w)
    want = numpy_weights("adagrad", [np.concatenate([a, b.ravel()]) for a, b in steps], order, 0.25, policy)
    np.testing.assert_allclose(got, want, rtol=2e-6)


def test_one_lookup_can_be_run_without_the_indices_of_the_other(kind):
    first, second = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [None])
    w = table()
    rows = tf.nn.embedding_lookup(w, first), tf.nn.embedding_lookup(w, second)
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy"):
        train_op = tf.train.AdagradOptimizer(LR).minimize(loss_of(rows[0], first) + loss_of(rows[1], second))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {first: [0], second: [1]})
        np.testing.assert_allclose(session.run(rows[1], {second: [5]}), [0.75 * W0[5]], rtol=1e-12)


def test_indices_may_depend_on_rows_that_were_looked_up_before(kind):
    ids = tf.placeholder(tf.int32, [None])
    w = table()
    rows = tf.nn.embedding_lookup(w, ids)
    after = tf.cast(tf.abs(rows[:, 0]) * 1e6, tf.int32) % ROWS  # not the same index if the rows lack a decay
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy") as decay:
        loss = loss_of(rows, ids) + loss_of(tf.nn.embedding_lookup(w, after), after)
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    catch_up, want = decay.catch_up(), W0
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for batch in batches(20):
            session.run(train_op, {ids: batch})
            both = np.concatenate([batch, (np.abs(want[batch, 0]) * 1e6).astype(int) % ROWS])
            gradient = np.zeros_like(want)
            np.add.at(gradient, both, want[both] - TARGETS[both])
            want = 0.75 * (want - LR * gradient)
        session.run(catch_up)
        np.testing.assert_allclose(session.run(w), want, rtol=1e-9)


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_lookup_that_no_gradient_waits_for_comes_before_the_update(order, kind):
    trained, read = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [None])
    w = table()
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy", order=order) as decay:
        loss = loss_of(tf.gather(w, trained), trained) + tf.stop_gradient(tf.reduce_sum(tf.gather(w, read)))
        train_op = tf.train.FtrlOptimizer(LR).minimize(loss)
    catch_up, steps = decay.catch_up(), batches(50, 2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for batch in steps:
            session.run(train_op, {trained: batch, read: np.arange(ROWS)})
        session.run(catch_up)
        want = numpy_weights("ftrl", steps, order, 0.25, "lazy")
        np.testing.assert_allclose(session.run(w), want, rtol=1e-5)


def bags(w, ids):
    """Means over bags of words, by weights."""
    bag = tf.SparseTensor(tf.stack([ids // 4, ids], 1), ids, [3, ROWS])
    weights = tf.SparseTensor(bag.indices, tf.cast(ids + 1, w.dtype.base_dtype), bag.dense_shape)
    return tf.reduce_sum(tf.square(tf.nn.embedding_lookup_sparse(w, bag, weights, combiner="mean") - 1.0))


def sampled(w, ids):
    """A sampled softmax over the rows of the table, as of an output layer (TensorFlow wants float32)."""
    inputs = tf.constant(TARGETS[:1], tf.float32) * tf.ones([tf.size(ids), 1])
    biases = tf.get_variable("biases", [ROWS], initializer=tf.ones_initializer())
    drawn = tf.constant([3, 5], tf.int64), tf.fill([tf.size(ids), 1], 0.5), tf.constant([0.5, 0.5])
    return tf.reduce_sum(
        tf.nn.sampled_softmax_loss(w, biases, tf.expand_dims(ids, 1), inputs, 2, ROWS, sampled_values=drawn)
    )


@pytest.mark.filterwarnings("ignore:Converting sparse IndexedSlices:UserWarning")  # a gradient of TensorFlow 1.15
@pytest.mark.parametrize(("form", "dtype", "rtol"), [(bags, np.float64, 1e-12), (sampled, np.float32, 1e-4)])
def test_lookups_inside_of_other_functions_see_late_rows(form, dtype, rtol, kind):
    ends, steps = [], [[0, 1], [0, 9], [4, 5], [2, 8]] * 5
    for policy in ("all_rows", "lazy"):
        with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
            w, ids = table(dtype=dtype), tf.placeholder(tf.int64, [None])
            with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy) as decay:
                train_op = tf.train.AdagradOptimizer(LR).minimize(form(w, ids))
            catch_up = decay.catch_up()
            assert len(decay.plan.decaying) == (1 if form is bags else 2)
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                for step in steps:
                    session.run(train_op, {ids: step})
                session.run(catch_up)
                ends.append(session.run(tf.trainable_variables()))
    for lazy, whole in zip(ends[1], ends[0]):
        np.testing.assert_allclose(lazy, whole, rtol=rtol)


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_every_part_of_a_partitioned_table_decays_by_its_own_rows(policy, order, kind):
    ids = tf.placeholder(tf.int32, [None])
    w = tf.get_variable(
        "table", [ROWS, WIDTH], tf.float64, tf.constant_initializer(W0[0]), partitioner=tf.fixed_size_partitioner(3)
    )
    rows = tf.nn.embedding_lookup(w, ids, partition_strategy="div")
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy, order=order) as decay:
        train_op = tf.train.MomentumOptimizer(LR, 0.9).minimize(loss_of(rows, ids))
    catch_up, steps = decay.catch_up(), batches(12, 2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([part.assign(value) for part, value in zip(w, np.split(W0, 3))])
        for batch in steps:
            session.run(train_op, {ids: batch})
        session.run(catch_up)
        got = np.concatenate(session.run(list(w)))
    np.testing.assert_allclose(got, numpy_weights("momentum", steps, order, 0.25, policy), rtol=2e-6)


@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_the_rows_of_several_towers_decay_once(policy, kind):
    w, ids = table(), [tf.placeholder(tf.int32, [None]) for _ in range(2)]
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy) as decay:
        optimizer = tf.train.AdagradOptimizer(LR)
        slices = [optimizer.compute_gradients(loss_of(tf.gather(w, i), i), [w])[0][0] for i in ids]
        whole = tf.IndexedSlices(tf.concat([s.values for s in slices], 0), tf.concat([s.indices for s in slices], 0))
        train_op = optimizer.apply_gradients([(whole, w)])
    catch_up, steps = decay.catch_up(), list(zip(batches(12), batches(12, seed=2)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step in steps:
            session.run(train_op, dict(zip(ids, step)))
        session.run(catch_up)
        want = numpy_weights("adagrad", [np.concatenate(step) for step in steps], "after", 0.25, policy)
        np.testing.assert_allclose(session.run(w), want, rtol=2e-6)


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_rows_of_other_processes_decay_like_those_of_this_one(policy, order, kind):
    w, ids, others = table(), tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [None])
    values = tf.placeholder(tf.float64, [None, WIDTH])  # gathered from all processes, as Horovod does it
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy, order=order) as decay:
        optimizer = tf.train.AdagradOptimizer(LR)
        mine = optimizer.compute_gradients(loss_of(tf.gather(w, ids), ids))[0][0]
        whole = tf.IndexedSlices(tf.concat([mine.values, values], 0), tf.concat([mine.indices, others], 0))
        train_op = optimizer.apply_gradients([(whole, w)])
    catch_up, steps = decay.catch_up(), list(zip(batches(20, 2), batches(20, 2, seed=2)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for t, (a, b) in enumerate(steps):
            seen = numpy_weights("adagrad", [np.concatenate(s) for s in steps[:t]], order, 0.25, policy)
            session.run(train_op, {ids: a, others: b, values: seen[b] - TARGETS[b]})
        session.run(catch_up)
        want = numpy_weights("adagrad", [np.concatenate(s) for s in steps], order, 0.25, policy)
        np.testing.assert_allclose(session.run(w), want, rtol=2e-6)


@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_a_vector_and_a_table_of_matrices_have_rows_too(policy, kind):
    vector, matrices = table("vector", value=W0[:, 0]), table("matrices", value=W0.reshape(ROWS, 3, 1))
    loss = tf.add_n([tf.reduce_sum(tf.gather(v, [1, 1])) for v in (vector, matrices)])
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy) as decay:
        train_op = tf.train.GradientDescentOptimizer(0.0).minimize(loss)
    catch_up, factor = decay.catch_up(), np.ones([ROWS, 1])
    factor[1 if policy == "touched_rows" else slice(None)] = 0.75
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        session.run(catch_up)
        got = session.run([vector, matrices])
    np.testing.assert_allclose(got[0], W0[:, 0] * factor[:, 0], rtol=1e-12)
    np.testing.assert_allclose(got[1].reshape(ROWS, 3), W0 * factor, rtol=1e-12)


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_dense_variables_beside_a_table_decay_as_ever(policy, order, kind):
    w, dense, ids = table(), table("dense"), tf.placeholder(tf.int32, [None])
    loss = loss_of(tf.gather(w, ids), ids) + tf.reduce_sum(dense)
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy, order=order) as decay:
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    assert [d.why for d in decay.plan.decays][1] == "rates=0.25"
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {ids: [0, 0]})
        want = 0.75 * (W0 - LR) if order == "after" else W0 - LR - 0.25 * W0
        np.testing.assert_allclose(session.run(dense), want, rtol=1e-12)
