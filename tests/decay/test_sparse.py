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
from tf1_wd import errors

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


# --- around the update


def gated(policy, order, optimizer):
    """(catch_up, the table, indices, gate, an update inside of tf.cond)."""
    w, ids, taken = table(), tf.placeholder(tf.int32, [None]), tf.placeholder(tf.bool, [])
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy, order=order) as decay:
        optimizer = oracle.tf_optimizer(tf, optimizer, LR)
        pairs = optimizer.compute_gradients(loss_of(tf.gather(w, ids), ids))
        train_op = tf.cond(taken, lambda: tf.group(optimizer.apply_gradients(pairs)), tf.no_op)
    return decay.catch_up(), w, ids, taken, train_op


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", ["adagrad", "ftrl"])
@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_a_skipped_update_decays_no_row(policy, optimizer, order, flow):
    if policy == "lazy" and flow.startswith("function"):
        with pytest.raises(errors.UnsupportedUpdateError, match=r"built in a function.*another sparse="):
            gated(policy, order, optimizer)
        return
    catch_up, w, ids, taken, train_op = gated(policy, order, optimizer)
    steps = batches(20)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for t, batch in enumerate(steps):
            session.run(train_op, {ids: batch, taken: t % 3 == 0})
        session.run(catch_up)
        want = numpy_weights(optimizer, steps[::3], order, 0.25, policy)
        np.testing.assert_allclose(session.run(w), want, rtol=2e-6)


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", ["sgd", "ftrl"])
def test_a_training_loop_decays_the_rows_of_every_turn(optimizer, order, flow):
    w, steps = table(), batches(7, seed=3)
    steps[3] = steps[2]  # batches of one size, in a tensor
    ids = tf.constant(np.array(steps))

    def turn(i):
        now = ids[i]
        with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="touched_rows", order=order):
            train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(loss_of(tf.gather(w, now), now))
        with tf.control_dependencies([train_op]):
            return i + 1

    loop = tf.while_loop(lambda i: i < len(steps), turn, [tf.constant(0)], parallel_iterations=1)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(loop)
        want = numpy_weights(optimizer, steps, order, 0.25, "touched_rows")
        np.testing.assert_allclose(session.run(w), want, rtol=2e-6)


@pytest.mark.parametrize("order", ["after", "before"])
def test_two_updates_of_one_table_share_what_is_known_of_its_rows(order, kind):
    w, ids = table(), tf.placeholder(tf.int32, [None])
    ends = []
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy", order=order) as decay:
        for _ in range(2):
            optimizer = tf.train.GradientDescentOptimizer(LR)
            ends.append(optimizer.minimize(loss_of(tf.nn.embedding_lookup(w, ids), ids)))
    catch_up, steps = decay.catch_up(), batches(30)
    assert [v.op.name for v in tf.global_variables()] == [
        "table",
        "table/tf1_wd_lazy/log_decay",
        "table/tf1_wd_lazy/row_log_decay",
    ]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for t, batch in enumerate(steps):
            session.run(ends[t % 2], {ids: batch})
        session.run(catch_up)
        np.testing.assert_allclose(session.run(w), numpy_weights("sgd", steps, order, 0.25, "lazy"), rtol=1e-9)


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("form", ["minimize", "clip_by_global_norm"])
def test_a_penalty_in_the_loss_gives_rows_their_rate(form, order, kind):
    w, ids = table(), tf.placeholder(tf.int32, [None])
    loss = loss_of(tf.gather(w, ids), ids) + 0.25 * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay(sparse="lazy", order=order) as decay:
        optimizer = tf.train.AdagradOptimizer(LR)
        if form == "minimize":
            train_op = optimizer.minimize(loss)
        else:
            clipped, _ = tf.clip_by_global_norm(tf.gradients(loss, [w]), 1e9)
            train_op = optimizer.apply_gradients(zip(clipped, [w]))
    catch_up, steps = decay.catch_up(), batches(12)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for batch in steps:
            session.run(train_op, {ids: batch})
        session.run(catch_up)
        want = numpy_weights("adagrad", steps, order, 0.25, "lazy")
        np.testing.assert_allclose(session.run(w), want, rtol=2e-6)


def test_an_optimizer_of_another_kind_may_decay_late_if_it_scatters(kind):
    class Mine(tf.train.Optimizer):
        """Moves the rows in the gradient, and is on no list."""

        def _apply_sparse(self, grad, var):
            return tf.group(var.scatter_sub(tf.IndexedSlices(LR * grad.values, grad.indices)).op)

        def _resource_apply_sparse(self, grad, handle, indices):
            return self._apply_sparse(tf.IndexedSlices(grad, indices), handle)

        def _apply_dense(self, grad, var):
            raise NotImplementedError

    program, ids = Program(Mine(False, "Mine"), sparse="lazy"), batches(12)
    np.testing.assert_allclose(program.weights(ids), numpy_weights("sgd", ids, "after", 0.25, "lazy"), rtol=1e-9)


if tf.version.VERSION.startswith("1."):  # TensorFlow 2 has no tf.contrib

    @pytest.mark.parametrize(
        "optimizer", [tf.train.MomentumOptimizer, tf.train.AdagradOptimizer, tf.train.AdamOptimizer]
    )
    def test_touched_rows_are_those_of_tf_contrib(optimizer, kind):
        from tensorflow.contrib.opt import extend_with_decoupled_weight_decay

        arguments = {"learning_rate": LR}
        if optimizer is tf.train.MomentumOptimizer:
            arguments["momentum"] = 0.9
        ours, theirs, ids = table("ours"), table("theirs"), tf.placeholder(tf.int32, [None])

        def loss(w):
            # tf.contrib does not wait for the forward pass: its rows are compared where that does not matter
            return tf.reduce_sum(tf.gather(tf.constant(TARGETS), ids) * tf.nn.embedding_lookup(w, ids))

        with tf1_wd.decoupled_weight_decay(rates=0.25, convention="contrib", sparse="touched_rows"):
            train_ours = optimizer(**arguments).minimize(loss(ours), var_list=[ours])
        extended = extend_with_decoupled_weight_decay(optimizer)
        train_theirs = extended(0.25, **arguments).minimize(loss(theirs), var_list=[theirs], decay_var_list=[theirs])
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for batch in batches(20):
                session.run(train_ours, {ids: batch})
                session.run(train_theirs, {ids: batch})
                np.testing.assert_allclose(*session.run([ours, theirs]), rtol=1e-12)

    @pytest.mark.parametrize("order", ["after", "before"])
    def test_rows_decay_late_under_lazy_adam(order, kind):
        from tensorflow.contrib.opt import LazyAdamOptimizer

        ids, ends = batches(50, size=2), []
        for policy in ("all_rows", "lazy"):
            with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
                ends.append(Program(LazyAdamOptimizer(LR), order=order, sparse=policy).weights(ids))
        np.testing.assert_allclose(ends[1], ends[0], rtol=1e-12)


# --- replicas of a strategy


class Unknown(tf.train.GradientDescentOptimizer):
    """An optimizer whose step may read the weights, for all that tf1_wd knows."""


def in_replicas(optimizer, order):
    """(op of one update on two replicas, the table's copies, indices of each replica)."""
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        w, ids = table(), [tf.placeholder(tf.int32, [None]) for _ in range(2)]

        @tf1_wd.decoupled_weight_decay(rates=0.25, sparse="touched_rows", order=order)
        def step():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            mine = ids[number if isinstance(number, int) else int(tf.get_static_value(number))]
            chosen = Unknown(LR) if optimizer == "unknown" else oracle.tf_optimizer(tf, optimizer, LR)
            return chosen.minimize(loss_of(tf.gather(w, mine), mine))

        run = getattr(strategy, "run", None) or strategy.experimental_run_v2
        train_op = tf.group(*strategy.experimental_local_results(run(step)))
        return train_op, strategy.experimental_local_results(w), ids


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "unknown"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_every_copy_decays_the_rows_that_any_replica_touches(optimizer, order):
    train_op, copies, ids = in_replicas(optimizer, order)
    steps = list(zip(batches(12), batches(12, seed=2)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step in steps:
            session.run(train_op, dict(zip(ids, step)))
        got = session.run(list(copies))
    rule = "sgd" if optimizer == "unknown" else optimizer
    want = numpy_weights(rule, [np.concatenate(step) for step in steps], order, 0.25, "touched_rows")
    for copy in got:
        np.testing.assert_allclose(copy, want, rtol=2e-6)


# --- attach


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", KEEPS_ROWS)
def test_attach_reads_the_touched_rows_off_the_update(optimizer, order, kind):
    w, ids = table(), tf.placeholder(tf.int32, [None])
    train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(loss_of(tf.gather(w, ids), ids))
    plans = []
    attached = tf1_wd.attach(train_op, rates=0.25, sparse="touched_rows", order=order, report=plans.append)
    assert plans[0].decays[0].why == "rates=0.25; touched rows only"
    steps = batches(12)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for batch in steps:
            session.run(attached, {ids: batch})
        want = numpy_weights(optimizer, steps, order, 0.25, "touched_rows")
        np.testing.assert_allclose(session.run(w), want, rtol=2e-6)


def test_attach_takes_the_rows_of_all_updates_of_a_table(kind):
    w, optimizer = table(), tf.train.GradientDescentOptimizer(0.0)
    losses = [tf.reduce_sum(tf.gather(w, rows)) for rows in ([1, 2], [2, 4])]
    train_op = tf1_wd.attach(tf.group(*map(optimizer.minimize, losses)), rates=0.25, sparse="touched_rows")
    want = W0.copy()
    want[[1, 2, 4]] *= 0.75
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        np.testing.assert_allclose(session.run(w), want, rtol=1e-12)


def test_attach_cannot_decay_late(kind):
    train_op = tf.train.AdagradOptimizer(LR).minimize(tf.reduce_sum(tf.gather(table(), [1])))
    with pytest.raises(errors.UnsupportedUpdateError, match=r"lookups.*decoupled_weight_decay around"):
        tf1_wd.attach(train_op, rates=0.25, sparse="lazy")


def test_a_decay_of_rows_counts_as_a_decay(kind):
    program = Program("sgd", sparse="touched_rows")
    with pytest.raises(errors.UnsupportedUpdateError, match="has a decay already"):
        tf1_wd.attach(program.train_op, rates=0.25)


# --- variables and checkpoints


@pytest.mark.parametrize("policy", ["all_rows", "touched_rows", "lazy"])
def test_only_late_rows_need_variables(policy, kind):
    Program("sgd", sparse=policy)
    names = [v.op.name for v in tf.global_variables()]
    new = ["table/tf1_wd_lazy/log_decay", "table/tf1_wd_lazy/row_log_decay"] if policy == "lazy" else []
    assert sorted(names) == sorted(["table", "global_step", *new])
    assert [v.op.name for v in tf.trainable_variables()] == ["table"]


def test_a_restored_run_ends_as_one_that_went_on(kind, tmp_path):
    steps, ends = batches(40, size=2), []
    for cut in (None, 17):
        with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
            program = Program("adagrad", sparse="lazy")
            initialize, saver = tf.global_variables_initializer(), tf.train.Saver()
            with tf.Session() as session:
                session.run(initialize)
                program.train(session, steps[:cut])
                path = saver.save(session, str(tmp_path / "model"))
            with tf.Session() as session:
                saver.restore(session, path)
                program.train(session, steps[len(steps) if cut is None else cut :])
                session.run(program.catch_up)
                ends.append(session.run(program.table))
    np.testing.assert_array_equal(ends[1], ends[0])
    np.testing.assert_allclose(ends[0], numpy_weights("adagrad", steps, "after", 0.25, "lazy"), rtol=2e-6)


def test_after_a_catch_up_the_table_is_complete_without_the_variables(kind, tmp_path):
    steps = batches(40, size=2)
    program = Program("sgd", sparse="lazy")
    saver = tf.train.Saver([program.table, program.step])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        program.train(session, steps[:20])
        session.run(program.catch_up)
        path = saver.save(session, str(tmp_path / "model"))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        saver.restore(session, path)
        program.train(session, steps[20:])
        session.run(program.catch_up)
        got = session.run(program.table)
    np.testing.assert_allclose(got, numpy_weights("sgd", steps, "after", 0.25, "lazy"), rtol=1e-9)


def test_a_graph_out_of_a_file_keeps_its_late_rows(kind, tmp_path):
    steps = batches(20, size=2)
    program = Program("sgd", sparse="lazy")
    names = [program.train_op.name, program.ids.name, program.catch_up.name, program.table.name]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        program.train(session, steps[:10])
        path = tf.train.Saver().save(session, str(tmp_path / "model"))
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.train.import_meta_graph(path + ".meta").restore(session, path)
        train_op, ids, catch_up = (graph.as_graph_element(name) for name in names[:3])
        for batch in steps[10:]:
            session.run(train_op, {ids: batch})
        session.run(catch_up)
        got = session.run(tf.global_variables()[0])
    np.testing.assert_allclose(got, numpy_weights("sgd", steps, "after", 0.25, "lazy"), rtol=1e-9)


def test_catch_up_runs_before_the_checkpoints_of_a_monitored_session(kind, tmp_path):
    program, steps = Program("sgd", sparse="lazy"), batches(10, size=2)

    class CatchUp(tf.train.CheckpointSaverListener):
        def before_save(self, session, global_step):
            session.run(program.catch_up)

    saver = tf.train.CheckpointSaverHook(str(tmp_path), save_steps=5, listeners=[CatchUp()])
    with tf.train.MonitoredSession(hooks=[saver]) as session:
        for batch in steps:
            session.run(program.train_op, {program.ids: batch})
    got = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(tmp_path))).get_tensor("table")
    np.testing.assert_allclose(got, numpy_weights("sgd", steps, "after", 0.25, "lazy"), rtol=1e-9)


def test_catch_up_is_one_op_and_does_nothing_without_late_rows(kind):
    program = Program("sgd")
    assert program.decay.catch_up() is program.catch_up
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(program.catch_up)
        np.testing.assert_array_equal(session.run(program.table), W0)


# --- the plan


def test_the_plan_names_the_policy(kind):
    ids = tf.placeholder(tf.int32, [None])
    whys = {}
    for policy in ("all_rows", "touched_rows", "lazy"):
        w = table(policy)
        loss = loss_of(tf.gather(w, ids), ids) + 0.25 * tf.nn.l2_loss(w)
        with tf1_wd.decoupled_weight_decay(sparse=policy) as decay:
            tf.train.AdagradOptimizer(LR).minimize(loss, var_list=[w])
        whys[policy] = decay.plan.decays[0].why
        assert ("2.40" in str(decay.plan)) == (policy != "touched_rows")  # the half-life of a row without gradient
    assert whys == {
        "all_rows": "penalty in the loss",
        "touched_rows": "penalty in the loss; touched rows only",
        "lazy": "penalty in the loss; lazy: rows decay when next touched, and the loss counts the penalty of rows as "
        "last touched",
    }


def test_the_plan_names_lookups_that_see_rows_as_last_touched(kind):
    w, ids = table(), tf.placeholder(tf.int32, [None])
    for name in ("evaluation", "more", "even_more"):
        tf.gather(w, ids, name=name)
    with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy") as decay:
        tf.train.AdagradOptimizer(LR).minimize(loss_of(tf.gather(w, ids, name="training"), ids))
    assert "; run catch_up() before" in decay.plan.decays[0].why
    assert decay.plan.decays[0].why.endswith("and 2 more")
    assert "training" not in decay.plan.decays[0].why


def test_the_plan_names_averages_of_late_rows(kind):
    plans = {}
    for policy in ("touched_rows", "lazy"):
        with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
            with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy) as decay:
                w = table()
                train_op = tf.train.AdagradOptimizer(LR).minimize(tf.reduce_sum(tf.gather(w, [1])))
                with tf.control_dependencies([train_op]):
                    tf.train.ExponentialMovingAverage(0.9).apply([w])
            plans[policy] = str(decay.plan)
    assert "note:" not in plans["touched_rows"]
    assert "note: the moving average table/ExponentialMovingAverage of table: takes rows as they" in plans["lazy"]


# --- what is refused


@pytest.mark.parametrize("policy", ["touched_rows", "lazy"])
def test_a_policy_without_a_sparse_gradient_is_an_error(policy, kind):
    w = table()
    with pytest.raises(errors.NoMatchError, match=r"sparse='%s' applies to no variable.*IndexedSlices" % policy):
        with tf1_wd.decoupled_weight_decay(rates=0.25, sparse=policy):
            tf.train.AdagradOptimizer(LR).minimize(tf.reduce_sum(w))
    with pytest.raises(errors.NoMatchError, match="sparse='touched_rows' applies to no variable"):
        tf1_wd.attach(tf.train.AdagradOptimizer(LR).minimize(tf.reduce_sum(w)), rates=0.25, sparse="touched_rows")


def test_a_table_that_is_read_as_a_whole_has_a_dense_gradient(kind):
    w = table()
    rows = tf.nn.embedding_lookup(w, [1, 2])
    tied = tf.reduce_sum(tf.matmul(rows, w, transpose_b=True))
    with pytest.raises(errors.NoMatchError, match="read as a whole"):
        with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy"):
            tf.train.AdagradOptimizer(LR).minimize(tied)


def test_a_policy_of_another_name_is_an_error():
    with pytest.raises(errors.InvalidOptionError, match="'all_rows', 'touched_rows', 'lazy'"):
        tf1_wd.decoupled_weight_decay(sparse="touched")


def refused(match, build, **options):
    with pytest.raises(errors.UnsupportedUpdateError, match=match):
        with tf1_wd.decoupled_weight_decay(rates=0.25, sparse="lazy", **options):
            build()


@pytest.mark.parametrize("order", ["after", "before"])
def test_an_optimizer_that_moves_all_rows_cannot_decay_late(order, kind):
    loss = tf.reduce_sum(tf.gather(table(), [1]))
    refused(
        r"all rows of table .*AssignSub.*AdamOptimizer.*another sparse=.*LazyAdam",
        lambda: tf.train.AdamOptimizer(LR).minimize(loss),
        order=order,
    )


def test_a_refused_program_trains_as_if_it_had_not_been_asked(kind):
    w = table()
    rows = tf.gather(w, [1])
    refused("all rows", lambda: tf.train.AdamOptimizer(LR).minimize(tf.reduce_sum(rows)))
    train_op = tf.train.GradientDescentOptimizer(LR).minimize(tf.reduce_sum(rows), var_list=[w])
    want = W0.copy()
    want[1] -= LR
    with tf.Session() as session:
        session.run(w.initializer)  # the variables of the refused decay are not needed
        session.run(train_op)
        np.testing.assert_allclose(session.run(w), want, rtol=1e-12)


OTHER_READS = {
    "stopped": lambda w, rows: tf.reduce_sum(rows) * tf.reduce_sum(tf.stop_gradient(w)),
    "read as a whole": lambda w, rows: tf.reduce_sum(rows) * tf.reduce_sum(tf.stop_gradient(tf.abs(w))),
    "axis 1": lambda w, rows: tf.reduce_sum(rows) * tf.reduce_sum(tf.stop_gradient(tf.gather(w, [0], axis=1))),
}


@pytest.mark.parametrize("other", OTHER_READS)
def test_a_loss_that_also_reads_the_whole_table_cannot_decay_late(other, kind):
    w = table()
    loss = OTHER_READS[other](w, tf.nn.embedding_lookup(w, [1, 2]))
    refused(r"reads table as a whole.*tf.gather", lambda: tf.train.AdagradOptimizer(LR).minimize(loss))


def test_a_loss_that_looks_up_in_a_cond_cannot_decay_late(kind):
    w = table()
    there = tf.placeholder_with_default(True, [])
    other = tf.cond(there, lambda: tf.reduce_sum(tf.gather(w, [1])), lambda: tf.constant(0.0, tf.float64))
    loss = tf.reduce_sum(tf.gather(w, [2])) + tf.stop_gradient(other)
    refused("reads table in a cond", lambda: tf.train.AdagradOptimizer(LR).minimize(loss))


def test_rows_cannot_decay_late_once_there_is_a_session(kind):
    w = table()
    rows = tf.gather(w, [1])
    with tf.Session():
        refused("Session on this graph exists", lambda: tf.train.AdagradOptimizer(LR).minimize(tf.reduce_sum(rows)))


def test_rows_on_a_parameter_server_cannot_decay_late(kind):
    with tf.device("/job:ps/task:0"):
        w = table()
    refused(
        "table is on /job:ps/task:0.*workers",
        lambda: tf.train.AdagradOptimizer(LR).minimize(tf.reduce_sum(tf.gather(w, [1]))),
    )


def test_a_gradient_made_by_hand_cannot_decay_late(kind):
    w = table()
    made = tf.IndexedSlices(tf.ones([1, WIDTH], tf.float64), tf.constant([3]), tf.constant([ROWS, WIDTH]))
    refused("no loss .* looks up rows of table", lambda: tf.train.AdagradOptimizer(LR).apply_gradients([(made, w)]))


def test_indices_out_of_the_read_that_they_index_cannot_be_brought_up_to_date():
    w = table(use_resource=True)
    read = w.read_value()
    rows = tf.gather(read, [1, 2])
    best = tf.argmax(tf.gather(read, [3])[0])
    loss = tf.reduce_sum(rows) + tf.reduce_sum(tf.gather(read, [best]))
    refused("depend on the read of table", lambda: tf.train.AdagradOptimizer(LR).minimize(loss))


def test_rows_out_of_one_read_of_the_whole_may_decay_late(kind):
    program, ids = Program("sgd", lambda w, i: tf.gather(w.read_value(), i), sparse="lazy"), batches(12)
    np.testing.assert_allclose(program.weights(ids), numpy_weights("sgd", ids, "after", 0.25, "lazy"), rtol=1e-9)


def test_a_loss_of_another_optimizer_that_reads_late_rows_is_refused(kind):
    w, other, ids = table(), table("other"), tf.placeholder(tf.int32, [None])

    def build():
        tf.train.AdagradOptimizer(LR).minimize(loss_of(tf.gather(w, ids), ids), var_list=[w])
        reads = tf.reduce_sum(other) * tf.reduce_sum(tf.gather(w, ids))
        tf.train.AdagradOptimizer(LR).minimize(reads, var_list=[other])

    refused(r"rows of table for a loss whose gradient goes to another optimizer.*another sparse=", build)


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_table_and_other_variables_decay_in_different_ops_as_no_op_may_tie_them_to_one_device(order, kind):
    tables = [table("table%d" % i) for i in range(2)]
    dense = [table("dense%d" % i) for i in range(2)]
    loss = tf.add_n([loss_of(tf.gather(w, [1, 2]), [1, 2]) for w in tables] + [tf.reduce_sum(w) for w in dense])
    with tf1_wd.decoupled_weight_decay(rates=0.1, order=order, backend="native"):
        tf.train.RMSPropOptimizer(LR).minimize(loss)
    decays = [op for op in tf.get_default_graph().get_operations() if op.type in ("Tf1WdDecay", "Tf1WdResourceDecay")]
    decayed = [sorted(t.op.name for t in op.inputs if t.op.name[:-1] in ("table", "dense")) for op in decays]
    assert sorted(decayed) == [["dense0", "dense1"], ["table0", "table1"]]
