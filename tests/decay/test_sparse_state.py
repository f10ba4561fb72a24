"""What late rows keep beside their table: variables, checkpoints, graphs out of files, and what the plan says."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.tables import LR, W0, Program, batches, loss_of, numpy_weights, table

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
