"""Where a policy for the rows of a table is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.looked_up import RATE, Feeds, lookup, penalty, trained
from support.tables import LR, ROWS, W0, WIDTH, Program, batches, loss_of, numpy_weights, table
from tf1_wd import errors


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


# --- L2 of looked-up rows


def test_a_lazy_table_is_refused_beside_it(kind):
    with pytest.raises(
        errors.UnsupportedUpdateError, match="takes a step of its own on rows of table, and under sparse='lazy'"
    ):
        trained(lambda w, feeds: penalty(w, feeds) + 0.25 * tf.nn.l2_loss(w), sparse="lazy")


def test_a_rate_that_leaves_nothing_of_a_row_is_an_error_and_rates_help(kind):
    def build(w, feeds):
        return 20.0 * tf.nn.l2_loss(lookup(w, feeds))

    with pytest.raises(errors.InvalidRateError, match=r"rate 20.0 of variable table .* another with rates="):
        trained(build)
    with tf.Graph().as_default():
        trained(build, rates=0.25)
    with tf.Graph().as_default():
        trained(build, scale=RATE / 4)


def test_a_run_that_takes_gradients_alone_is_refused_and_rates_help(kind):
    feeds, w = Feeds(), table()
    step = tf.train.get_or_create_global_step()
    rows = lookup(w, feeds)
    loss = feeds.loss(rows) + RATE * tf.nn.l2_loss(rows)

    def build(**options):
        optimizer = tf.train.SyncReplicasOptimizer(tf.train.GradientDescentOptimizer(LR), 1, 1)
        with tf1_wd.decoupled_weight_decay(**options):
            optimizer.minimize(loss, global_step=step)

    with pytest.raises(errors.UnsupportedUpdateError, match=r"L2Loss depends on ids.* Pass rates="):
        build()
    build(rates=0.25)
