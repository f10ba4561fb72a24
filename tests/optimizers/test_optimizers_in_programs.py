"""Optimizers of tf1_wd in programs: tables, branches, averages, replicas, scopes and audits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.optimizers import DECAYS, RATES, operations, optimizer, wanted
from support.other_decays import KEEPS, every_second, loss_scaled, nothing, ones, skip_then_step
from support.programs import LR, RATE, W0, assert_close, data_loss, run, weights
from support.replicas import assert_all, in_replicas
from support.replicas import run as run_replicas
from support.tables import batches, loss_of, numpy_weights, table
from support.watching import from_file, watched
from tf1_wd import errors
from tf1_wd.graph.marks import made_by_optimizers, made_in
from tf1_wd.graph.walk import predecessors

# --- tables


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adagrad", "ftrl"])
def test_the_rows_in_the_gradient_decay_each_once_and_no_other(name, kind):
    w, ids = table(), tf.placeholder(tf.int32, [None])
    loss = loss_of(tf.nn.embedding_lookup(w, ids), ids)
    train_op, steps = optimizer(name, 0.25).minimize(loss), batches(12)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for batch in steps:
            session.run(train_op, {ids: batch})
        want = numpy_weights(name, steps, "before", 0.25, "touched_rows")
        np.testing.assert_allclose(session.run(w), want, rtol=2e-6)


# --- when it decays


def test_no_decay_on_a_step_that_is_skipped(kind):
    assert skip_then_step(ones(), lambda loss: loss_scaled(optimizer(rate=1 - KEEPS), loss)) == [1.0, KEEPS]


@pytest.mark.parametrize("name", ["adam", "ftrl"])
def test_one_decay_for_each_update_inside_a_branch(name, flow):
    w = weights()
    g = tf.gradients(data_loss(w), w)[0]
    train_op = every_second(lambda: optimizer(name).apply_gradients([(g, w)]))
    assert_close(run(*[train_op] * 4, w), wanted(name, 2))


def test_sync_replicas_decays_with_the_averaged_update(kind):
    inner = optimizer("adam", backend="native")
    loss, count = data_loss(weights()), tf.train.get_or_create_global_step()
    tf.train.SyncReplicasOptimizer(inner, 1, 1).minimize(loss, count)
    (decay,) = operations(DECAYS)
    (update,) = operations(("ApplyAdam", "ResourceApplyAdam"))
    assert any(op.type.endswith("AccumulatorTakeGradient") for op in predecessors([decay]))
    assert decay in predecessors([update])


def test_an_average_behind_the_update_sees_decayed_weights(kind):
    w = ones()
    average = tf.train.ExponentialMovingAverage(0.75)
    with tf.control_dependencies([optimizer("adam", 1 - KEEPS).minimize(nothing(w))]):
        train_op = average.apply([w])
    np.testing.assert_array_equal(run(train_op, average.average(w)), np.full(2, 0.75 + 0.25 * KEEPS))


# --- replicas


@pytest.fixture
def strategy():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        yield strategy


@pytest.mark.parametrize("name", ["sgd", "adam", "unknown"])
def test_every_copy_of_a_mirrored_strategy_decays_once(name, strategy, backend):
    class Unknown(tf.train.GradientDescentOptimizer):
        """An optimizer whose step may read the weights."""

    w, bias = weights(), weights("bias")

    def step():
        made = optimizer("sgd" if name == "unknown" else name, backend=backend)
        if name == "unknown":
            made = tf1_wd.extend_with_decoupled_weight_decay(Unknown)(RATE, LR)
            made.backend = backend
        return made.minimize((data_loss(w) + data_loss(bias)) / 2, decay_var_list=[w])

    got = run_replicas(in_replicas(strategy, step), 3, w, bias)
    rule = "sgd" if name == "unknown" else name
    assert_all(got[0], wanted(rule, 3))
    assert_all(got[1], wanted(rule, 3, 0.0))


def test_the_rows_of_all_replicas_decay_on_every_copy(strategy):
    start = 8.0 + np.arange(36.0).reshape(12, 3)
    w = table(value=start)

    def step():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = number if isinstance(number, int) else int(tf.get_static_value(number))
        return optimizer(rate=0.25).minimize(0.0 * tf.reduce_sum(tf.gather(w, [[0, 1, 1], [1, 4, 4]][number])))

    want = start.copy()
    want[[0, 1, 4]] *= 0.75
    for copy in run_replicas(in_replicas(strategy, step), 1, w)[0]:
        np.testing.assert_array_equal(copy, want)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_loss_scale_optimizer_skips_the_decay_of_every_copy(name, strategy):
    from tensorflow.python.training.experimental import loss_scale, loss_scale_optimizer

    w, factor = weights(dtype=np.float32), tf.placeholder_with_default(np.float32(1.0), [])
    scale = loss_scale.DynamicLossScale(initial_loss_scale=8.0)
    made = loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(optimizer(name), scale)
    train_op = in_replicas(strategy, lambda: made.minimize(factor * data_loss(w) / 2))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {factor: np.inf})
        for value in session.run(strategy.experimental_local_results(w)):
            np.testing.assert_array_equal(value, W0.astype(np.float32))
        session.run(train_op)
        assert_all(session.run(strategy.experimental_local_results(w)), wanted(name, 1))


def test_a_strategy_of_one_device_trains_as_none_does():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        w = weights()
        train_op = in_replicas(strategy, lambda: optimizer("adam").minimize(data_loss(w)))
        assert_close(run(train_op, w), wanted("adam", 1))


def test_a_strategy_that_is_not_known_is_refused():
    strategy = tf.distribute.experimental.CentralStorageStrategy(["/cpu:0"])
    with strategy.scope():
        w = weights()
        with pytest.raises(errors.UnsupportedUpdateError, match="CentralStorageStrategy"):
            in_replicas(strategy, lambda: optimizer().minimize(data_loss(w)))


# --- with the rest of tf1_wd


@pytest.mark.parametrize("rate", ["float", "Tensor of the step", "function of nothing", "schedule"])
def test_inside_a_scope_it_is_refused_as_decoupled_already(rate):
    w, count = weights(), tf.train.get_or_create_global_step()
    made = optimizer("adam", RATES[rate][0](count))
    with pytest.raises(errors.AlreadyDecoupledError, match="AdamWOptimizer decays weights by itself"):
        with tf1_wd.decoupled_weight_decay(rates=RATE):
            made.minimize(data_loss(w), count)


def test_inside_a_scope_it_may_train_what_the_scope_leaves_alone(kind, backend):
    a, b = weights("a"), weights("b")
    with tf1_wd.decoupled_weight_decay(rates=0.25, exclude="a", order="before", backend=backend):
        first = optimizer("adam", backend=backend).minimize(data_loss(a), var_list=[a])
        second = tf.train.AdamOptimizer(LR).minimize(data_loss(b), var_list=[b])
    got = run(first, second, [a, b])
    assert_close(got[0], wanted("adam", 1))
    assert_close(got[1], wanted("adam", 1, 0.25))


def test_inside_a_scope_it_may_train_with_its_own_decay_set_to_0():
    w = weights()
    with tf1_wd.decoupled_weight_decay(rates=0.25, order="before"):
        train_op = optimizer("adam", 0.0).minimize(data_loss(w))
    assert_close(run(train_op, w), wanted("adam", 1, 0.25))


@pytest.mark.parametrize("name", ["adam", "ftrl"])
def test_a_second_decay_of_its_variables_is_refused(name, kind, backend):
    w, other = weights("kernel"), weights("other")
    train_op = optimizer(name, backend=backend).minimize(data_loss(w) + data_loss(other), decay_var_list=[w])
    with pytest.raises(errors.AlreadyDecoupledError, match=r"these variables by itself.*: kernel \(in "):
        tf1_wd.attach(train_op, rates=RATE)
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in "):
        with tf1_wd.decoupled_weight_decay(rates=RATE):
            tf.train.AdamOptimizer(LR).minimize(data_loss(w), var_list=[w])
    attached = tf1_wd.attach(train_op, rates={"other": 0.25}, backend=backend)
    start = wanted(name, 1, 0.0)
    assert_close(run(attached, other), 0.75 * start)


@pytest.mark.parametrize("reader", ["watched", "file"])
@pytest.mark.parametrize("name", ["adam", "ftrl"])
def test_an_audit_reports_its_decay_as_decoupled_already(name, reader, kind, backend, tmp_path):
    def build():
        w, other = weights("kernel"), weights("other")
        made = optimizer(name, backend=backend)
        made.minimize(data_loss(w) + data_loss(other), decay_var_list=[w])

    report = watched(build) if reader == "watched" else from_file(build, tmp_path)
    found = [f.sentence for f in report.findings if f.code == "already-decoupled"]
    assert len(found) == 1  # told once: by the optimizer where it is seen, else by the ops
    assert ("decays weights by itself" if reader == "watched" else "takes a fraction of kernel off by itself") in found[
        0
    ]


def test_no_decay_of_a_scope_is_taken_for_one_of_an_optimizer():
    w = weights()
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w))
    with pytest.raises(errors.UnsupportedUpdateError, match="has a decay already"):
        tf1_wd.attach(train_op, rates=RATE)
    assert made_in(tf.get_default_graph())


def test_no_decay_of_an_optimizer_is_taken_for_one_of_a_scope(kind, backend):
    optimizer(backend=backend).minimize(data_loss(weights()))
    assert made_by_optimizers(tf.get_default_graph())
    assert not made_in(tf.get_default_graph())
