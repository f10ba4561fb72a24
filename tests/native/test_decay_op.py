"""The decay op and its twin: w <- w - (rate * scale) * w, wholly or not at all."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.decay_op import (
    PRECISION,
    RATES,
    all_dtypes,
    both_backends,
    both_kinds,
    decayed,
    make_variables,
    session,
    values,
    variable,
)
from tf1_wd import _tf
from tf1_wd.native import loader
from tf1_wd.native.decay import decay


@both_backends
@both_kinds
@all_dtypes
@pytest.mark.parametrize("rates", [0.05, RATES], ids=["scalar", "vector"])
def test_decay_equals_the_formula_in_float64(backend, kind, dtype, rates):
    with session() as opened:
        variables = make_variables(kind, dtype)
        opened.run(tf.global_variables_initializer())
        before = values(opened, variables)
        after = decayed(opened, variables, rates, 0.5, backend=backend)
        for old, new, rate in zip(before, after, np.broadcast_to(rates, [len(variables)])):
            np.testing.assert_allclose(new, old * (1 - rate * 0.5), rtol=PRECISION[dtype])


@both_kinds
@all_dtypes
@pytest.mark.parametrize("rates", [0.05, RATES], ids=["scalar", "vector"])
def test_native_and_twin_are_equal_to_the_last_bit(kind, dtype, rates):
    with session() as opened:
        variables = make_variables(kind, dtype)
        native = decayed(opened, variables, rates, 0.3, backend="native")
        twin = decayed(opened, variables, rates, 0.3, backend="tensorflow")
        for one, other in zip(native, twin):
            np.testing.assert_array_equal(one, other)


@both_kinds
@all_dtypes
def test_a_rate_of_zero_leaves_infinite_weights_alone_in_the_twin_too(kind, dtype):
    wide = np.array([np.inf, -np.inf, np.nan, 1.0, -2.0])
    with session() as opened:
        ws = [variable(name, wide, kind, dtype) for name in ("still", "moves")]
        native = decayed(opened, ws, [0.0, 0.25], 1.0, backend="native")
        twin = decayed(opened, ws, [0.0, 0.25], 1.0, backend="tensorflow")
    for one, other in zip(native, twin):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(twin[0], wide)


@both_kinds
def test_every_half_precision_number_decays_as_in_the_twin(kind):
    bits = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = bits[np.isfinite(bits)]
    with session() as opened:
        w = tf.get_variable("w", initializer=finite, use_resource=kind == "resource")
        native = decayed(opened, [w], 0.3, 1.0, backend="native")
        twin = decayed(opened, [w], 0.3, 1.0, backend="tensorflow")
        np.testing.assert_array_equal(native, twin)


@both_backends
@both_kinds
@all_dtypes
def test_scale_may_be_fed_at_run_time(backend, kind, dtype):
    with session() as opened:
        w = variable("w", [4.0, -8.0], kind, dtype)
        scale = tf.placeholder(tf.float32, [])
        step = decay([w], 0.5, scale, backend=backend)
        opened.run(tf.global_variables_initializer())
        for fed in (1.0, 0.0, 0.5):
            opened.run(step, {scale: fed})
        np.testing.assert_array_equal(values(opened, [w])[0], [1.5, -3.0])


@both_backends
@both_kinds
def test_rates_may_be_fed_at_run_time(backend, kind):
    with session() as opened:
        variables = [variable(name, [4.0], kind) for name in "ab"]
        rates = tf.placeholder(tf.float32)
        step = decay(variables, rates, 1.0, backend=backend)
        opened.run(tf.global_variables_initializer())
        opened.run(step, {rates: [0.5, 0.25]})
        np.testing.assert_array_equal(values(opened, variables), [[2.0], [3.0]])
        opened.run(step, {rates: 0.5})
        np.testing.assert_array_equal(values(opened, variables), [[1.0], [1.5]])


@both_backends
@both_kinds
def test_a_variable_as_scale_is_read_when_the_step_runs(backend, kind):
    with session() as opened:
        w, scale = variable("w", [4.0], kind), variable("scale", 0.0, kind)
        with tf.control_dependencies([scale.assign(0.5)]):
            step = decay([w], 0.5, scale, backend=backend)
        opened.run(tf.global_variables_initializer())
        opened.run(step)
        np.testing.assert_array_equal(values(opened, [w])[0], [3.0])


@both_backends
@both_kinds
def test_reads_and_writes_obey_control_dependencies(backend, kind):
    with session() as opened:
        w = variable("w", np.zeros(50000), kind)
        with tf.control_dependencies([w.assign(tf.fill([50000], 4.0)).op]):
            step = decay([w], 0.5, 0.5, backend=backend)
        with tf.control_dependencies([step]):
            after = _tf.fresh_read(w) + 0.0
        opened.run(tf.global_variables_initializer())
        for _ in range(30):
            np.testing.assert_array_equal(opened.run(after), np.full(50000, 3.0))


@both_kinds
def test_native_adds_three_nodes_for_constant_rates(kind):
    with session() as opened:
        variables = make_variables(kind)
        before = set(opened.graph.get_operations())
        step = decay(variables, RATES, 0.5, backend="native")
        added = [op.type for op in opened.graph.get_operations() if op not in before]
        assert sorted(added) == sorted([step.type, "Const", "Const"])
        assert isinstance(step, tf.Operation)


@both_backends
@both_kinds
def test_a_variable_listed_twice_decays_twice(backend, kind):
    with session() as opened:
        a, b = variable("a", np.full(70000, 8.0), kind), variable("b", [16.0], kind)
        after = decayed(opened, [a, b, a, a], [0.5, 0.5, 0.25, 0.0], 1.0, backend=backend)
        np.testing.assert_array_equal(after[0], np.full(70000, 3.0))
        np.testing.assert_array_equal(after[1], [8.0])


@both_backends
def test_a_variable_listed_twice_decays_twice_while_a_reader_holds_its_buffer(backend):
    with session() as opened:
        w = variable("w", np.full(70000, 8.0), "resource")
        opened.run(tf.global_variables_initializer())
        held = opened.run(w.read_value())
        opened.run(decay([w, w], [0.5, 0.25], 1.0, backend=backend))
        np.testing.assert_array_equal(values(opened, [w])[0], np.full(70000, 3.0))
        np.testing.assert_array_equal(held, np.full(70000, 8.0))


@both_kinds
def test_three_thousand_variables_decay_in_one_op(kind):
    count, resource = 3000, kind == "resource"
    sample = slice(0, None, 99)
    ops = loader.native_ops()
    with session() as opened:
        value = tf.fill([3], 2.0)
        if resource:
            handles = [tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[3], shared_name="v%d" % i) for i in range(count)]
            start = [tf.raw_ops.AssignVariableOp(resource=handle, value=value) for handle in handles]
            read = tf.stack(
                [tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32) for handle in handles[sample]]
            )
            step = ops.tf1_wd_resource_decay(handles, np.float32(0.5), np.float32(0.5), T=tf.float32)
        else:
            handles = [tf.raw_ops.VariableV2(dtype=tf.float32, shape=[3]) for _ in range(count)]
            start = [tf.raw_ops.Assign(ref=handle, value=value).op for handle in handles]
            read = tf.stack([tf.identity(handle) for handle in handles[sample]])
            step = ops.tf1_wd_decay(handles, np.float32(0.5), np.float32(0.5))
        opened.run(tf.group(*start))
        opened.run(step)
        assert (opened.run(read) == 1.5).all()


@both_backends
@pytest.mark.parametrize("mode", ["copy on write", "copy on read"])
def test_a_read_in_the_same_run_is_wholly_old_or_wholly_new(backend, mode):
    with session() as opened:
        w = variable("w", np.full(200000, 1.0), "resource")
        step = decay([w], 0.05, 1.0, backend=backend)
        touch = tf.scatter_add(w, [0], [0.0])
        opened.run(tf.global_variables_initializer())
        if mode == "copy on read":
            opened.run(touch)
        for _ in range(100):
            read, _ = opened.run([w.read_value(), step])
            assert read.min() == read.max()
            assert read.min() in (np.float32(1.0), np.float32(1.0) - np.float32(0.05))
            opened.run(w.initializer)


@both_backends
def test_an_array_fetched_before_keeps_its_values(backend):
    with session() as opened:
        w = variable("w", np.full(200000, 1.0), "resource")
        step = decay([w], 0.5, 1.0, backend=backend)
        opened.run(tf.global_variables_initializer())
        held = [opened.run(w.read_value())]
        for _ in range(3):
            opened.run(step)
            held.append(opened.run(w.read_value()))
        for array, want in zip(held, (1.0, 0.5, 0.25, 0.125)):
            np.testing.assert_array_equal(array, np.full(200000, want))


def test_variables_that_share_a_buffer_decay_apart():
    with session() as opened:
        a, b = (variable(name, np.full(1000, 4.0), "resource") for name in "ab")
        step = decay([a], 0.5, 1.0, backend="native")
        opened.run(tf.global_variables_initializer())
        opened.run(b.assign(a.read_value()).op)
        opened.run(step)
        np.testing.assert_array_equal(values(opened, [a, b]), [np.full(1000, 2.0), np.full(1000, 4.0)])


@pytest.mark.parametrize("mode", ["copy on write", "copy on read"])
def test_concurrent_readers_see_no_half_decayed_tensor_in_a_thousand_runs(mode):
    with session() as opened:
        w = variable("w", np.full(300000, 1.0), "resource")
        read, step = w.read_value(), decay([w, w], [0.05, 0.01], 1.0, backend="native")
        touch = tf.scatter_add(w, [0], [0.0])
        opened.run(tf.global_variables_initializer())
        if mode == "copy on read":
            opened.run(touch)
        legal = [np.float32(1.0)]
        for _ in range(1000):
            once = legal[-1] - np.float32(0.05) * legal[-1]
            legal.append(once - np.float32(0.01) * once)
        legal, torn, count, done = set(legal), [], [0], threading.Event()

        def keep_reading():
            while not done.is_set():
                seen = opened.run(read)
                count[0] += 1
                if seen.min() != seen.max() or seen[0] not in legal:
                    torn.append(seen)

        readers = [threading.Thread(target=keep_reading) for _ in range(2)]
        for reader in readers:
            reader.start()
        for _ in range(1000):
            opened.run(step)
        done.set()
        for reader in readers:
            reader.join()
        assert count[0] > 20
        assert not torn


@both_backends
@both_kinds
def test_concurrent_decays_of_the_same_variables_in_other_orders_neither_block_nor_overlap(backend, kind):
    with session() as opened:
        variables = [variable("w%d" % i, np.ones(100000), kind, tf.float64) for i in range(4)]
        orders = [variables, variables[::-1]] * 2
        steps = [decay(order, 0.05, 1.0, backend=backend) for order in orders]
        opened.run(tf.global_variables_initializer())
        run_in_threads(opened, steps, 50)
        np.testing.assert_allclose(values(opened, variables), np.full((4, 100000), 0.95**200), rtol=1e-12)


@both_backends
@both_kinds
@pytest.mark.parametrize("dtype", [tf.float16, tf.float32], ids=lambda dtype: dtype.name)
def test_a_decay_overwrites_no_update_that_comes_in_between(backend, kind, dtype):
    with session() as opened:
        w = variable("w", np.zeros(30000), kind, dtype)
        count = w.assign_add(tf.ones([30000], dtype), use_locking=True, read_value=False)
        nothing = decay([w], tf.placeholder_with_default(1e-30, []), 1.0, backend=backend)  # too little to see
        opened.run(tf.global_variables_initializer())
        run_in_threads(opened, [count, nothing, count, nothing], 150)
        np.testing.assert_array_equal(values(opened, [w])[0], np.full(30000, 300.0))


def run_in_threads(opened, steps, times):
    """Runs each step so many times, all at once."""

    def keep_running(step):
        for _ in range(times):
            opened.run(step)

    threads = [threading.Thread(target=keep_running, args=[step], daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)


@both_backends
@both_kinds
def test_without_locking_the_result_is_the_same(backend, kind):
    with session() as opened:
        w = variable("w", np.full(70000, 4.0), kind)
        after = decayed(opened, [w, w], 0.5, 1.0, backend=backend, use_locking=False)
        np.testing.assert_array_equal(after[0], np.full(70000, 1.0))
