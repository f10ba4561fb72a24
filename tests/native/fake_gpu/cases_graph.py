"""Cases on the fake GPU: the op in sessions, with soft placement off."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from gpu_cases import (
    CPU,
    DTYPES,
    EMPTY,
    GPU,
    RATES,
    TENSORS_PER_LAUNCH,
    Calls,
    assert_same_bits,
    both_kinds,
    expected,
    initialize,
    session,
    shapes,
    variable,
    weights,
)

from tf1_wd.native import loader
from tf1_wd.native.decay import decay

KERNELS = {
    tf.float16: "tf1_wd_decay_half",
    tf.bfloat16: "tf1_wd_decay_bfloat16",
    tf.float32: "tf1_wd_decay_float",
    tf.float64: "tf1_wd_decay_double",
}

all_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)


def make_variables(kind, dtype, device=GPU):
    return [variable("w%d" % i, weights(i, shape, dtype), kind, dtype, device) for i, shape in enumerate(shapes(kind))]


def decay_on(device, variables, rates, scale):
    with tf.device(device):
        return decay(variables, rates, scale, backend="native")


def test_tensorflow_sees_the_gpu():
    assert "/physical_device:GPU:0" in [device.name for device in tf.config.list_physical_devices()]


@both_kinds
@all_dtypes
@pytest.mark.parametrize("rates", [0.05, RATES], ids=["scalar", "vector"])
def test_the_gpu_gives_the_bits_of_the_cpu_and_of_numpy(kind, dtype, rates):
    with session() as opened, tf.variable_scope("gpu"):
        on_gpu = make_variables(kind, dtype)
        with tf.variable_scope("cpu"):
            on_cpu = make_variables(kind, dtype, CPU)
        steps = [decay_on(GPU, on_gpu, rates, 0.3), decay_on(CPU, on_cpu, rates, 0.3)]
        initialize(opened)
        want = opened.run(on_cpu)
        for _ in range(3):
            calls = Calls()
            opened.run(steps)
            assert [kernel for kernel, *_ in calls.launches()] == [KERNELS[dtype]]
            want = [expected(w, rate, 0.3) for w, rate in zip(want, np.broadcast_to(rates, [len(want)]))]
            got = opened.run(on_gpu)
            assert_same_bits(got, opened.run(on_cpu))
            assert_same_bits(got, want)


@both_kinds
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_every_finite_half_precision_number_has_the_bits_of_the_cpu_and_of_numpy(kind, dtype):
    every = np.arange(65536, dtype=np.uint16).view(dtype.as_numpy_dtype)
    every = every[np.isfinite(every.astype(np.float32))]
    with session() as opened:
        pair = [variable(name, every, kind, dtype, device) for name, device in (("gpu", GPU), ("cpu", CPU))]
        steps = [decay_on(v.device, [v], 0.3, 1.0) for v in pair]
        initialize(opened)
        opened.run(steps)
        on_gpu, on_cpu = opened.run(pair)
        assert_same_bits([on_gpu], [expected(every, 0.3, 1.0)])
        # TensorFlow's threads on the CPU take float32's subnormal numbers for 0
        normal = np.abs(0.3 * every.astype(np.float32)) >= np.finfo(np.float32).tiny
        assert_same_bits([on_gpu[normal]], [on_cpu[normal]])


@both_kinds
def test_300_tensors_take_three_launches(kind):
    random = np.random.RandomState(0)
    sizes, rates = random.randint(kind == "reference", 300, 300), random.uniform(0, 0.9, 300)
    launches = -(-np.count_nonzero(sizes) // TENSORS_PER_LAUNCH)  # empty ones are left out
    with session() as opened:
        variables = [variable("w%d" % i, weights(i, size, tf.float32), kind) for i, size in enumerate(sizes)]
        step = decay_on(GPU, variables, rates, 0.5)
        initialize(opened)
        before, calls = opened.run(variables), Calls()
        opened.run(step)
        assert len(calls.launches()) == launches == 3
        want = [expected(value, rate, 0.5) for value, rate in zip(before, rates.astype(np.float32))]
        assert_same_bits(opened.run(variables), want)


def test_empty_variables_alone_are_no_launch():
    with session() as opened:
        step = decay_on(GPU, [variable(name, np.zeros(EMPTY), "resource") for name in "ab"], 0.5, 1.0)
        initialize(opened)
        calls = Calls()
        opened.run(step)
        assert not calls.launches()


@both_kinds
def test_the_launch_is_on_tensorflows_stream_and_waits_for_nothing(kind):
    with session() as opened:
        w, other = variable("w", [4.0], kind), variable("other", [4.0], "reference")
        step = decay_on(GPU, [w], 0.5, 1.0)
        with tf.device(GPU):
            copy = tf.assign(other, [8.0]).op
        initialize(opened)
        opened.run(step)  # the first one loads the kernels
        calls = Calls()
        opened.run(step)
        opened.run(copy)
        assert [words[0] for words in calls.by_our_op()] == ["cuCtxGetCurrent", "cuLaunchKernel"]
        copies = [words[-1] for words in calls.all() if words[0] == "cudaMemcpyAsync"]
        assert len(copies) == 1  # Assign copies on the stream of TensorFlow's own kernels
        assert calls.launches() == [("tf1_wd_decay_float", "1", "256", copies[0])]


@both_kinds
@all_dtypes
def test_rates_and_scale_may_be_fed_to_the_gpu(kind, dtype):
    rate_dtype = tf.float64 if dtype == tf.float64 else tf.float32
    with session() as opened:
        variables = [variable(name, weights(i, (9,), dtype), kind, dtype) for i, name in enumerate("abc")]
        with tf.device(GPU):
            rates, scale = tf.placeholder(rate_dtype), tf.placeholder(rate_dtype, [])
        step = decay_on(GPU, variables, rates, scale)
        initialize(opened)
        for fed in ([0.5, 0.0, 0.25], 0.3):
            before = opened.run(variables)
            opened.run(step, {rates: fed, scale: 0.7})
            want = [expected(value, rate, 0.7) for value, rate in zip(before, np.broadcast_to(fed, [3]))]
            assert_same_bits(opened.run(variables), want)


@both_kinds
def test_rates_and_scale_may_be_variables_on_the_gpu(kind):
    with session() as opened:
        variables = [variable(name, [4.0], kind) for name in "ab"]
        rates, scale = variable("rates", [0.5, 0.25], kind), variable("scale", 0.0, kind)
        with tf.device(GPU), tf.control_dependencies([scale.assign(0.5).op]):
            step = decay(variables, rates, scale, backend="native")
        initialize(opened)
        opened.run(step)
        np.testing.assert_array_equal(opened.run(variables), [[3.0], [3.5]])


@both_kinds
@pytest.mark.parametrize("many", [1, 2 * TENSORS_PER_LAUNCH], ids=["one launch", "three launches"])
def test_rates_and_a_scale_that_decay_themselves_are_read_before(kind, many):
    with session() as opened:
        scale, rates = variable("scale", 0.5, kind), variable("rates", np.full(many + 2, 0.5), kind)
        variables = [scale, rates, *(variable("w%d" % i, np.full(40000 // many, 8.0), kind) for i in range(many))]
        step = decay_on(GPU, variables, rates, scale)
        initialize(opened)
        opened.run(step)
        after = opened.run(variables)
        assert after[0] == 0.375
        np.testing.assert_array_equal(after[1], np.full(many + 2, 0.375))
        for value in after[2:]:
            np.testing.assert_array_equal(value, np.full(40000 // many, 6.0))


@both_kinds
def test_rate_zero_changes_no_bit(kind):
    special = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-45, 3.0], np.float32)
    with session() as opened:
        kept, decayed = variable("kept", special, kind), variable("decayed", [4.0], kind)
        step = decay_on(GPU, [kept, decayed], [0.0, 0.5], 1.0)
        initialize(opened)
        opened.run(step)
        assert_same_bits(opened.run([kept, decayed]), [special, np.float32([2.0])])


@both_kinds
def test_a_variable_listed_twice_decays_twice(kind):
    with session() as opened:
        a, b = variable("a", np.full(70000, 8.0), kind), variable("b", [16.0], kind)
        step = decay_on(GPU, [a, b, a, a], [0.5, 0.5, 0.25, 0.0], 1.0)
        initialize(opened)
        opened.run(step)
        after = opened.run([a, b])
        np.testing.assert_array_equal(after[0], np.full(70000, 3.0))
        np.testing.assert_array_equal(after[1], [8.0])


def test_variables_that_share_a_buffer_decay_apart():
    with session() as opened:
        a, b = (variable(name, np.full(1000, 4.0), "resource") for name in "ab")
        step = decay_on(GPU, [a, a], [0.25, 0.5], 1.0)
        with tf.device(GPU):
            share = b.assign(a.read_value()).op
        initialize(opened)
        for want in (1.5, 0.5625):
            opened.run(share)
            shared = opened.run(b)
            opened.run(step)
            np.testing.assert_array_equal(opened.run([a, b]), [np.full(1000, want), shared])


@both_kinds
@pytest.mark.parametrize("missing", [0, 2])
def test_an_uninitialized_variable_is_named_and_no_other_changes(kind, missing):
    with session() as opened:
        variables = [variable(name, np.full(5, 4.0), kind) for name in ("first", "second", "third")]
        step = decay_on(GPU, variables, 0.5, 1.0)
        others = [v for i, v in enumerate(variables) if i != missing]
        opened.run([v.initializer for v in others])
        with pytest.raises(tf.errors.FailedPreconditionError, match=variables[missing].op.name):
            opened.run(step)
        np.testing.assert_array_equal(opened.run(others), np.full((2, 5), 4.0))


def test_a_variable_of_another_dtype_is_named():
    with session() as opened:
        single, double = variable("single", [4.0], "resource"), variable("double", [4.0], "resource", tf.float64)
        with tf.device(GPU):
            handles, rate = [single.handle, double.handle], np.float32(0.5)
            step = loader.native_ops().tf1_wd_resource_decay(handles, rate, rate, T=tf.float32)
        initialize(opened)
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="variable double is double, the op was built for float"
        ):
            opened.run(step)
        np.testing.assert_array_equal(opened.run([single, double]), [[4.0], [4.0]])


@both_kinds
@pytest.mark.parametrize("bad", [-1.0, 2.0, np.nan, np.inf])
def test_a_rate_out_of_range_changes_nothing_and_the_next_run_says_so(kind, bad):
    with session() as opened:
        variables = [variable("w%d" % i, [4.0], kind) for i in range(2 * TENSORS_PER_LAUNCH)]
        with tf.device(GPU):
            rates = tf.placeholder(tf.float32, [len(variables)])
        step = decay_on(GPU, variables, rates, 0.5)
        initialize(opened)
        fed = np.full(len(variables), 0.5)
        fed[200] = bad
        opened.run(step, {rates: fed})
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"w200: .* not in \[0, 1\)"):
            opened.run(step, {rates: np.full(len(variables), 0.5)})
        np.testing.assert_array_equal(opened.run(variables), np.full([len(variables), 1], 4.0))
        opened.run(step, {rates: np.full(len(variables), 0.5)})
        np.testing.assert_array_equal(opened.run(variables), np.full([len(variables), 1], 3.0))


@both_kinds
def test_one_run_with_rates_out_of_range_stops_one_later_run_however_many_ops_it_has(kind):
    with session() as opened:
        variables = [variable("w%d" % i, [4.0], kind) for i in range(3)]
        with tf.device(GPU):
            scale = tf.placeholder(tf.float32, [])
        steps = [decay_on(GPU, [v], 0.5, scale) for v in variables]
        initialize(opened)
        opened.run(steps, {scale: 2.0})
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"w0: .* not in \[0, 1\)"):
            opened.run(steps[0], {scale: 1.0})
        np.testing.assert_array_equal(opened.run(variables), np.full([3, 1], 4.0))
        opened.run(steps, {scale: 1.0})
        np.testing.assert_array_equal(opened.run(variables), np.full([3, 1], 2.0))


def test_rates_out_of_range_in_the_last_run_are_told_when_the_session_closes(capfd):
    with session() as opened:
        w = variable("w", [4.0], "resource")
        with tf.device(GPU):
            scale = tf.placeholder(tf.float32, [])
        step = decay_on(GPU, [w], 0.5, scale)
        initialize(opened)
        opened.run(step, {scale: 3.0})
        np.testing.assert_array_equal(opened.run(w), [4.0])
        assert "not in [0, 1)" not in capfd.readouterr().err
    del opened
    gc.collect()
    assert "rate * scale of the variable number 0 of a decay op = 1.5 is not in [0, 1)" in capfd.readouterr().err


def test_an_error_of_the_driver_names_the_call(monkeypatch):
    with session() as opened:
        w = variable("w", [4.0], "resource")
        step = decay_on(GPU, [w], 0.5, 1.0)
        initialize(opened)
        monkeypatch.setenv("FAKE_GPU_FAIL", "cuLaunchKernel:719")
        with pytest.raises(tf.errors.InternalError, match=r"cuLaunchKernel failed: .*719"):
            opened.run(step)
        monkeypatch.delenv("FAKE_GPU_FAIL")
        opened.run(step)
        np.testing.assert_array_equal(opened.run(w), [2.0])


def test_every_gpu_has_kernels_of_its_own():
    with session() as opened:
        variables = [variable("w%d" % i, [4.0], "resource", device="/gpu:%d" % i) for i in range(2)]
        steps = [decay_on(v.device, [v], 0.5, 1.0) for v in variables]
        initialize(opened)
        calls = Calls()
        opened.run(steps)
        np.testing.assert_array_equal(opened.run(variables), [[2.0], [2.0]])
        assert len({stream for *_, stream in calls.launches()}) == 2


@both_kinds
def test_concurrent_decays_of_the_same_variables_in_other_orders_lose_nothing(kind):
    with session() as opened:
        variables = [variable("w%d" % i, np.ones(100000), kind, tf.float64) for i in range(2)]
        steps = [decay_on(GPU, order, 0.05, 1.0) for order in [variables, variables[::-1]] * 2]
        initialize(opened)
        threads = [threading.Thread(target=run_often, args=[opened, step, 20], daemon=True) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        np.testing.assert_allclose(opened.run(variables), np.full((2, 100000), 0.95**80), rtol=1e-12)


def run_often(opened, step, times):
    for _ in range(times):
        opened.run(step)
