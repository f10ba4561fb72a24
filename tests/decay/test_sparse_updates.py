"""Tables around the update: in branches and loops, with other optimizers, on replicas, by attach."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.tables import KEEPS_ROWS, LR, TARGETS, W0, Program, batches, loss_of, numpy_weights, table
from support.versions import IS_TF1
from tf1_wd import errors

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


if IS_TF1:  # TensorFlow 2 has no tf.contrib

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
