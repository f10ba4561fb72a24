"""AdamWOptimizer and its kin: the rule against NumPy, tf.contrib.opt on 1.15, and what contrib gets wrong."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.other_decays import KEEPS, every_second, loss_scaled, nothing, ones, skip_then_step
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights
from support.replicas import assert_all, in_replicas
from support.replicas import run as run_replicas
from support.tables import batches, loss_of, numpy_weights, table
from support.watching import from_file, watched
from tf1_wd import errors
from tf1_wd.applied import everything_behind
from tf1_wd.step import made_by_optimizers, made_in

TF1 = tf.__version__.startswith("1.")
DECAYS = ("Tf1WdDecay", "Tf1WdResourceDecay")
BASES = {
    "sgd": tf.train.GradientDescentOptimizer,
    "momentum": tf.train.MomentumOptimizer,
    "adam": tf.train.AdamOptimizer,
    "rmsprop": tf.train.RMSPropOptimizer,
    "adagrad": tf.train.AdagradOptimizer,
    "ftrl": tf.train.FtrlOptimizer,
}


def optimizer(name="sgd", rate=RATE, backend="auto"):
    """An optimizer of ours over the one that the oracle calls `name`."""
    if name == "adam":
        made = tf1_wd.AdamWOptimizer(rate, LR)
    elif name == "momentum":
        made = tf1_wd.MomentumWOptimizer(rate, LR, 0.9)
    else:
        made = tf1_wd.extend_with_decoupled_weight_decay(BASES[name])(rate, LR)
    made.backend = backend
    return made


def wanted(name, steps, rate=RATE, scale=1.0, start=W0):
    return oracle.train(name, LR, start, gradient, steps, "before", rate, scale)


def operations(types):
    return [op for op in tf.get_default_graph().get_operations() if op.type in types]


# --- the rule


@pytest.mark.parametrize("name", oracle.OPTIMIZERS)
def test_the_weights_that_the_step_began_from_decay(name, kind, backend):
    w, other = weights(), weights("other", value=2 * W0)
    train_op = optimizer(name, backend=backend).minimize(data_loss(w) + data_loss(other))
    got = run(*[train_op] * 10, [w, other])
    assert_close(got[0], wanted(name, 10))
    assert_close(got[1], wanted(name, 10, start=2 * W0))


def test_all_variables_decay_in_one_op_after_all_gradients_and_before_all_updates(kind):
    names = ["a", "b", "c"]
    loss = tf.add_n([data_loss(weights(name)) for name in names])
    made = optimizer("adam", backend="native")
    pairs = made.compute_gradients(loss)
    made.apply_gradients(pairs)
    (decay,) = operations(DECAYS)
    updates = operations(("ApplyAdam", "ResourceApplyAdam"))
    assert len(updates) == 3
    assert {g.op for g, _ in pairs} <= set(everything_behind([decay]))
    assert all(decay in everything_behind([update]) for update in updates)


def test_a_gradient_that_reads_another_weight_reads_it_before_it_decays(kind, backend):
    a, b = weights("a"), weights("b")
    train_op = optimizer(backend=backend).minimize(tf.reduce_sum(tf.square(a) * b))
    x, y = W0, W0
    for _ in range(5):
        x, y = x - LR * 2 * x * y - RATE * x, y - LR * x * x - RATE * y
    got = run(*[train_op] * 5, [a, b])
    assert_close(got[0], x)
    assert_close(got[1], y)


def test_nesterov_momentum_and_half_precision_decay_too(kind, backend):
    w = weights(value=W0, dtype=np.float16)
    made = tf1_wd.MomentumWOptimizer(0.25, LR, 0.9, use_nesterov=True)
    made.backend = backend
    train_op = made.minimize(tf.reduce_sum(w))
    np.testing.assert_allclose(run(train_op, w), W0 - LR * 1.9 - 0.25 * W0, rtol=2e-3)


def test_l2_in_the_loss_stays_there_and_the_decay_comes_on_top(kind):
    w = weights(regularizer=l2(0.25))
    train_op = optimizer().minimize(data_loss(w) + tf.losses.get_regularization_loss())
    want = oracle.train("sgd", LR, W0, lambda w: gradient(w) + 0.25 * w, 3, "before", RATE)
    assert_close(run(*[train_op] * 3, w), want)


def test_a_constraint_sees_the_decayed_weights(kind):
    w = tf.get_variable("w", initializer=W0, constraint=lambda v: tf.maximum(v, 0.0))
    want = np.maximum(W0 - LR * gradient(W0) - RATE * W0, 0.0)
    assert_close(run(optimizer().minimize(data_loss(w)), w), want)


def test_the_train_op_has_the_name_and_the_global_step_that_it_would_have_without_decay(kind):
    count = tf.train.get_or_create_global_step()
    named = optimizer("adam").minimize(data_loss(weights()), name="train")
    assert named.name == "train"
    assert tf.get_collection(tf.GraphKeys.TRAIN_OP) == [named]
    counted = optimizer("adam").minimize(data_loss(weights("other")), count)
    assert run(counted, counted, count) == 2


# --- what may be the weight decay: the third defect of contrib, which knows no functions


def schedule(t):
    return 1.0 / (1.0 + t)


RATES = {
    "float": (lambda count: 0.25, 1.0),
    "NumPy": (lambda count: np.float32(0.25), 1.0),
    "variable": (lambda count: tf.get_variable("rate", initializer=0.25, trainable=False), 1.0),
    "Tensor of the step": (lambda count: 0.25 * schedule(tf.cast(count, tf.float64)), schedule),
    "piecewise_constant": (
        lambda count: tf.train.piecewise_constant(count, [0, 2], [0.25, 0.125, 0.0]),
        lambda t: [1.0, 0.5, 0.5, 0.0, 0.0][t],
    ),
    "function of nothing": (lambda count: lambda: 0.25, 1.0),
    "function of nothing, a Tensor": (lambda count: lambda: 0.25 * schedule(tf.cast(count, tf.float64)), schedule),
    "function of the step": (lambda count: lambda t: 0.25 * schedule(tf.cast(t, tf.float64)), schedule),
    "function of a default": (lambda count: lambda rate=0.25: rate, 1.0),
    "schedule": (lambda count: tf.keras.optimizers.schedules.InverseTimeDecay(0.25, 1, 1.0), schedule),
}


@pytest.mark.parametrize("what", RATES)
def test_the_weight_decay_may_be_a(what, kind):
    make, scale = RATES[what]
    count = tf.train.get_or_create_global_step()
    w = weights()
    train_op = optimizer("adam", make(count)).minimize(data_loss(w), count)
    assert_close(run(*[train_op] * 5, w), wanted("adam", 5, 0.25, scale))


def test_a_variable_for_a_weight_decay_is_read_in_every_step(kind, backend):
    w, rate = weights(), tf.get_variable("rate", initializer=0.25, trainable=False)
    train_op = optimizer(rate=rate, backend=backend).minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for value in (0.25, 0.125, 0.0):
            rate.load(value, session)
            session.run(train_op)
        assert_close(session.run(w), wanted("sgd", 3, 1.0, lambda t: [0.25, 0.125, 0.0][t]))


def test_the_contrib_defect_of_callable_rates_is_gone_and_its_documented_schedule_trains():
    count = tf.train.get_or_create_global_step()
    rates = tf.train.piecewise_constant(count, [0, 2], [1e-0, 1e-1, 1e-2])
    w = weights()
    made = tf1_wd.MomentumWOptimizer(
        learning_rate=LR * tf.cast(rates, tf.float64), weight_decay=lambda: 0.25 * rates, momentum=0.9
    )
    train_op = made.minimize(data_loss(w), count)
    value, m = W0, 0.0
    for eta in (1.0, 0.1, 0.1, 0.01):
        m = 0.9 * m + gradient(value)
        value = value - eta * LR * m - 0.25 * eta * value
    assert_close(run(*[train_op] * 4, w), value)


def test_a_function_of_the_step_needs_one():
    with pytest.raises(errors.InvalidOptionError, match=r"the graph has none.*get_or_create_global_step"):
        optimizer(rate=lambda t: 0.25).minimize(data_loss(weights()))


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan"), float("inf"), None, "0.1", [0.1], 1 + 0j])
def test_a_weight_decay_that_would_not_shrink_weights_is_refused(rate):
    with pytest.raises(errors.InvalidRateError, match="weight_decay="):
        tf1_wd.AdamWOptimizer(rate)
    with pytest.raises(errors.InvalidRateError, match="weight_decay="):
        optimizer(rate=lambda: rate).minimize(data_loss(weights()))


def test_a_tensor_for_a_weight_decay_is_a_floating_scalar():
    for value in ([0.1], 0):
        with pytest.raises(errors.InvalidRateError, match="floating scalar"):
            tf1_wd.AdamWOptimizer(tf.constant(value))


def test_a_weight_decay_out_of_range_at_run_time_changes_nothing(kind, backend):
    w, rate = weights(), tf.placeholder(tf.float32, [])
    train_op = optimizer(rate=rate, backend=backend).minimize(data_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"not in \[0, 1\)"):
            session.run(train_op, {rate: 1.5})
        np.testing.assert_array_equal(session.run(w), W0)


# --- which variables decay: the first two defects of contrib


def calls(made):
    """The two ways to train, as functions of (loss, decay_var_list)."""
    return {
        "minimize": lambda loss, **kwargs: made.minimize(loss, **kwargs),
        "apply_gradients": lambda loss, **kwargs: made.apply_gradients(made.compute_gradients(loss), **kwargs),
    }


each_call = pytest.mark.parametrize("call", ["minimize", "apply_gradients"])


@each_call
@pytest.mark.parametrize("name", ["sgd", "adam", "ftrl"])
def test_the_contrib_defect_of_a_list_that_is_ignored_is_gone(name, call, kind, backend):
    a, b = weights("a"), weights("b")
    train_op = calls(optimizer(name, backend=backend))[call](data_loss(a) + data_loss(b), decay_var_list=[a])
    got = run(*[train_op] * 3, [a, b])
    assert_close(got[0], wanted(name, 3))
    assert_close(got[1], wanted(name, 3, 0.0))


@each_call
@pytest.mark.parametrize("empty", [[], (), set()])
def test_the_contrib_defect_of_an_empty_list_that_decays_all_is_gone(empty, call, kind):
    w = weights()
    train_op = calls(optimizer("adam"))[call](data_loss(w), decay_var_list=empty)
    assert_close(run(*[train_op] * 3, w), wanted("adam", 3, 0.0))


@each_call
def test_a_list_counts_for_its_own_call_alone(call):
    a, b = weights("a"), weights("b")
    train = calls(optimizer())[call]
    train(data_loss(a), decay_var_list=[a])
    train_op = train(data_loss(b))
    assert_close(run(train_op, b), wanted("sgd", 1))


def test_a_list_may_name_more_than_is_updated_but_not_only_that():
    a, b = weights("a"), weights("b")
    train_op = optimizer().minimize(data_loss(a) + data_loss(b), var_list=[a], decay_var_list=[a, b])
    got = run(train_op, [a, b])
    assert_close(got[0], wanted("sgd", 1))
    np.testing.assert_array_equal(got[1], W0)
    with pytest.warns(errors.UndecayedWarning, match=r"none of .*decay_var_list is updated here \(a\)"):
        optimizer().minimize(data_loss(a), var_list=[a], decay_var_list=[b])


@pytest.mark.parametrize("listed", ["w", ["w"], False, lambda v: True, 1, np.ones(2), [None]])
def test_a_list_holds_variables(listed):
    with pytest.raises(errors.InvalidOptionError, match=r"decay_var_list takes .*variables; got "):
        optimizer().minimize(data_loss(weights()), decay_var_list=listed)


@each_call
@pytest.mark.parametrize("is_partitioned", [False, True])
def test_one_variable_stands_for_a_list_of_it(is_partitioned, call, kind):
    with tf.variable_scope("p", partitioner=tf.fixed_size_partitioner(2) if is_partitioned else None):
        w = tf.get_variable("w", W0.shape, tf.float64, tf.ones_initializer())
    b = weights("b")
    train_op = calls(optimizer())[call](data_loss(tf.convert_to_tensor(w)) + data_loss(b), decay_var_list=w)
    got = run(train_op, [tf.convert_to_tensor(w), b])
    assert_close(got[0], wanted("sgd", 1, start=np.ones_like(W0)))
    assert_close(got[1], wanted("sgd", 1, 0.0))


@each_call
def test_a_list_with_a_variable_of_another_graph_is_refused(call, kind):
    with tf.Graph().as_default():
        foreign = weights("foreign")
    w = weights()
    with pytest.raises(errors.InvalidOptionError, match=r"decay_var_list: foreign is of another graph"):
        calls(optimizer())[call](data_loss(w), decay_var_list=[foreign, w])
    assert not operations((*DECAYS, "ApplyGradientDescent", "ResourceApplyGradientDescent"))


@pytest.mark.parametrize("named", ["whole", "part"])
def test_a_partitioned_variable_may_be_listed_as_a_whole_or_by_part(named, kind):
    with tf.variable_scope("p", partitioner=tf.fixed_size_partitioner(2)):
        whole = tf.get_variable("a", W0.shape, tf.float64, tf.ones_initializer())
    b = weights("b")
    parts = list(whole)
    listed = [whole] if named == "whole" else parts[:1]
    loss = data_loss(tf.convert_to_tensor(whole)) + data_loss(b)
    assert len(parts) == 2
    got = run(optimizer().minimize(loss, decay_var_list=listed), [*parts, b])
    start = np.ones_like(W0)
    decayed, plain = wanted("sgd", 1, start=start), wanted("sgd", 1, 0.0, start=start)
    assert_close(got[0], decayed[:1])
    assert_close(got[1], (decayed if named == "whole" else plain)[1:])
    assert_close(got[2], wanted("sgd", 1, 0.0))


def test_a_variable_without_gradient_and_one_of_another_optimizer_keep_their_weights(kind):
    a, b, frozen = weights("a"), weights("b"), weights("frozen")
    made = optimizer()
    pairs = [*made.compute_gradients(data_loss(a), var_list=[a]), (None, frozen)]
    first = made.apply_gradients(pairs)
    second = optimizer("adam", 0.25).minimize(data_loss(b), var_list=[b])
    got = run(first, second, second, [a, b, frozen])
    assert_close(got[0], wanted("sgd", 1))
    assert_close(got[1], wanted("adam", 2, 0.25))
    np.testing.assert_array_equal(got[2], W0)


def test_a_variable_that_is_listed_twice_decays_once(kind):
    w = weights()
    g = tf.gradients(data_loss(w), w)[0]
    train_op = optimizer().apply_gradients([(g, w), (g, w)])
    assert_close(run(train_op, w), W0 - 2 * LR * gradient(W0) - RATE * W0)


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
    assert any(op.type.endswith("AccumulatorTakeGradient") for op in everything_behind([decay]))
    assert decay in everything_behind([update])


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
    assert any(re.match("The program takes a fraction of kernel off by itself", text) for text in found)
    assert any("decays weights by itself" in text for text in found) == (reader == "watched")


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


# --- classes of other people


def test_an_own_class_extends_as_contrib_documents_it(kind):
    class AdagradW(tf1_wd.DecoupledWeightDecayExtension, tf.train.AdagradOptimizer):
        def __init__(self, weight_decay, *args, **kwargs):
            super().__init__(weight_decay, *args, **kwargs)

    w = weights()
    assert_close(run(AdagradW(RATE, learning_rate=LR).minimize(data_loss(w)), w), wanted("adagrad", 1))


def test_a_class_whose_step_reads_the_weights_reads_those_it_began_from(kind):
    class Shrinking(tf1_wd.AdamWOptimizer):
        """Its step ends with w <- w - w / 8."""

        def _apply_dense(self, grad, var):
            with tf.control_dependencies([super()._apply_dense(grad, var)]):
                return tf.assign_sub(var, 0.125 * var.read_value()).op

        def _resource_apply_dense(self, grad, var):
            with tf.control_dependencies([super()._resource_apply_dense(grad, var)]):
                return var.assign_sub(0.125 * var.read_value())

    w = weights()
    train_op = Shrinking(RATE, LR).minimize(data_loss(w))
    assert_close(run(train_op, w), 0.875 * wanted("adam", 1, 0.0) - RATE * W0)


def test_an_optimizer_around_another_is_refused():
    class Around(tf.train.Optimizer):
        def __init__(self, inner):
            super().__init__(False, "Around")
            self.inner = inner

        def apply_gradients(self, *args, **kwargs):
            return self.inner.apply_gradients(*args, **kwargs)

    made = tf1_wd.extend_with_decoupled_weight_decay(Around)(RATE, tf.train.AdamOptimizer(LR))
    w = weights()
    with pytest.raises(errors.UnsupportedUpdateError, match=r"its own way.*let that one decay.*tf1_wd\.attach"):
        made.apply_gradients([(tf.gradients(data_loss(w), w)[0], w)])


def test_a_rule_by_contribs_private_methods_is_refused():
    class Own(tf1_wd.AdamWOptimizer):
        def _decay_weights_op(self, var):
            return tf.no_op()

    with pytest.raises(errors.UnsupportedUpdateError, match=r"Own defines _decay_weights_op"):
        Own(RATE)


@pytest.mark.parametrize("base", [tf.train.GradientDescentOptimizer, tf.train.AdamOptimizer])
def test_the_extension_behind_the_optimizer_is_refused_when_the_class_is_made(base):
    with pytest.raises(errors.InvalidOptionError, match=r"class Late\(%s, .*put the extension first" % base.__name__):

        class Late(base, tf1_wd.DecoupledWeightDecayExtension):
            pass


def test_the_extension_may_stand_behind_a_class_of_its_own_and_before_the_optimizer(kind):
    class Logged:
        """Comes before the extension, and is no optimizer."""

    class Extension(tf1_wd.DecoupledWeightDecayExtension):
        """Of no optimizer yet."""

    class Both(Logged, Extension, tf.train.GradientDescentOptimizer):
        pass

    w = weights()
    assert_close(run(Both(RATE, LR).minimize(data_loss(w)), w), wanted("sgd", 1))


def test_what_decays_already_is_not_extended_again():
    with pytest.raises(errors.InvalidOptionError, match="MomentumWOptimizer has decoupled weight decay already"):
        tf1_wd.extend_with_decoupled_weight_decay(tf1_wd.MomentumWOptimizer)


def test_only_optimizers_of_tf_train_are_extended():
    for base in (object, tf.train.AdamOptimizer(LR), None):
        with pytest.raises(errors.InvalidOptionError, match=r"inherits from tf\.train\.Optimizer"):
            tf1_wd.extend_with_decoupled_weight_decay(base)


# --- tf.contrib.opt itself, and under its name

if TF1:  # TensorFlow 2 has no tf.contrib
    from tensorflow.contrib import opt

    TWINS = {
        "AdamW": lambda o, r: o.AdamWOptimizer(r, LR, 0.8, 0.99, 1e-6),
        "MomentumW": lambda o, r: o.MomentumWOptimizer(r, LR, 0.9, False, "M"),
        "nesterov": lambda o, r: o.MomentumWOptimizer(r, LR, 0.9, use_nesterov=True),
        "extended": lambda o, r: o.extend_with_decoupled_weight_decay(tf.train.AdagradOptimizer)(r, learning_rate=LR),
    }

    @pytest.mark.parametrize("name", TWINS)
    def test_each_step_is_that_of_tf_contrib_opt(name, kind, backend, monkeypatch):
        monkeypatch.setattr(tf1_wd.DecoupledWeightDecayExtension, "backend", backend)
        slope, ids = tf.placeholder(tf.float32, W0.shape), tf.placeholder(tf.int32, [None])
        count, found = tf.placeholder(tf.float32, []), []
        for o in (tf1_wd, opt):
            # gradients that read no weights: contrib's decay runs beside them, in either order
            a, b = (weights("%s_%s" % (o.__name__[:3], x), dtype=np.float32) for x in "ab")
            t = table("%s_table" % o.__name__[:3], np.float32)
            loss = tf.reduce_sum(slope * (a + b)) + tf.reduce_sum(tf.gather(t, ids))
            made = TWINS[name](o, 0.25 if name == "AdamW" else 0.25 / count)
            pairs = made.compute_gradients(loss, [a, b, t])
            found.append((made.apply_gradients(pairs, decay_var_list=[a, t]), [a, b, t]))
        (ours, mine), (theirs, others) = found
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for i, batch in enumerate(batches(10)):
                feed = {slope: np.sin(W0 + i), ids: batch, count: 1.0 + i}
                session.run([ours, theirs], feed)
                for x, y in zip(*session.run([mine, others])):
                    np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-7)

    def test_arguments_and_variables_are_those_of_tf_contrib_opt(kind):
        for name in ("AdamWOptimizer", "MomentumWOptimizer", "extend_with_decoupled_weight_decay"):
            assert inspect.signature(getattr(tf1_wd, name)) == inspect.signature(getattr(opt, name))
        for name in ("minimize", "apply_gradients"):
            pair = (getattr(o.AdamWOptimizer, name) for o in (tf1_wd, opt))
            assert len({str(inspect.signature(method)) for method in pair}) == 1
        for make in TWINS.values():
            names = []
            for o in (tf1_wd, opt):
                with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
                    make(o, RATE).minimize(data_loss(weights(dtype=np.float32)))
                    names.append([v.name for v in tf.global_variables()])
            assert names[0] == names[1]

    def test_contrib_decays_no_table_under_gradient_descent(kind):
        w = table(dtype=np.float32)
        made = opt.extend_with_decoupled_weight_decay(tf.train.GradientDescentOptimizer)(0.25, learning_rate=LR)
        train_op = made.minimize(0.0 * tf.reduce_sum(tf.gather(w, [1])))
        np.testing.assert_array_equal(run(train_op, w), run(w))


LEGACY = """
import sys, numpy as np
from tf1_wd.legacy import install
if sys.argv[1] == "2":
    import tensorflow.compat.v2
    import tf1_wd
    try:
        variable = tensorflow.compat.v2.Variable([1.0])
        tf1_wd.AdamWOptimizer(0.25).apply_gradients([(tensorflow.compat.v2.constant([1.0]), variable)])
    except tf1_wd.EagerModeError as error:
        print("disable_v2_behavior" in str(error))
install()
import tensorflow as tf
from tensorflow.contrib.opt import MomentumWOptimizer
from tensorflow.contrib.opt.python.training import weight_decay_optimizers
w = tf.get_variable("w", initializer=np.ones(2, np.float32))
bias = tf.get_variable("bias", initializer=np.ones(2, np.float32))
optimizer = tf.contrib.opt.AdamWOptimizer(weight_decay=0.25, learning_rate=0.125)
train_op = optimizer.minimize(tf.reduce_sum(w + bias), decay_var_list=[w])
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    print([float(np.round(x, 3)) for x in session.run([w, bias])[0]], [float(x) for x in session.run(bias).round(3)])
print(isinstance(optimizer, tf.contrib.opt.DecoupledWeightDecayExtension), type(optimizer).__module__)
"""


def test_tf_contrib_opt_is_there_under_the_legacy_runtime():
    out = subprocess.run(
        [sys.executable, "-c", LEGACY, tf.__version__[0]], stdout=subprocess.PIPE, text=True, check=True, timeout=300
    ).stdout.split("\n")
    if TF1:  # the real one, which forgets decay_var_list
        assert out[0] == "[0.625, 0.625] [0.625, 0.625]"
        assert out[1].startswith("True tensorflow.contrib.opt") or out[1].startswith("True tensorflow_core.contrib.opt")
    else:
        assert out[0] == "True"
        assert out[1] == "[0.625, 0.625] [0.875, 0.875]"
        assert out[2] == "True tf1_wd.extension" or out[2] == "True tf1_wd.optimizers"
