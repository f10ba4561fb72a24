"""The decay op and its twin: w <- w - (rate * scale) * w, wholly or not at all."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from decay_cases import BACKENDS, DTYPES, KINDS, PRECISION, session, values, variable, weights
from tensorflow.python.framework import kernels

from tf1_wd import _tf, errors
from tf1_wd.native import choose, loader
from tf1_wd.native.decay import decay

SHAPES = [(3, 5), (1,), (), (0, 4), (1000, 7), (8191,), (8193,), (100003,)]
RATES = np.array([0.05, 0.5, 0.25, 0.9, 0.0, 0.1, 0.3, 0.7])

both_backends = pytest.mark.parametrize("backend", BACKENDS)
both_kinds = pytest.mark.parametrize("kind", KINDS)
all_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)


def make_variables(kind, dtype=tf.float32, shapes=SHAPES):
    return [variable("w%d" % i, weights(i, shape), kind, dtype) for i, shape in enumerate(shapes)]


def decayed(opened, variables, *args, **options):
    """Values after one decay from the initial values."""
    step = decay(variables, *args, **options)
    opened.run(tf.global_variables_initializer())
    opened.run(step)
    return values(opened, variables)


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
def test_ten_thousand_variables_decay_in_one_op(kind):
    count, resource = 10000, kind == "resource"
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
@pytest.mark.parametrize("missing", [0, 2])
def test_uninitialized_variable_is_named_and_leaves_all_others_unchanged(backend, kind, missing):
    with session() as opened:
        variables = [variable(name, np.full(50000, 4.0), kind) for name in ("first", "second", "third")]
        step = decay(variables, 0.5, 1.0, backend=backend)
        others = [v for i, v in enumerate(variables) if i != missing]
        opened.run([v.initializer for v in others])
        for _ in range(10):
            with pytest.raises(tf.errors.FailedPreconditionError, match=variables[missing].op.name):
                opened.run(step)
        np.testing.assert_array_equal(values(opened, others), np.full((2, 50000), 4.0))


@both_backends
@both_kinds
@pytest.mark.parametrize("bad", [-1.0, 2.0, np.nan, np.inf])
def test_run_time_rate_out_of_range_is_named_and_leaves_all_unchanged(backend, kind, bad):
    with session() as opened:
        variables = [variable(name, [4.0], kind) for name in ("first", "second")]
        rates = tf.placeholder(tf.float32, [2])
        step = decay(variables, rates, 0.5, backend=backend)
        opened.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            opened.run(step, {rates: [0.5, bad]})
        assert "second" in caught.value.message
        assert "first" not in caught.value.message.split("[[")[0]
        assert "not in [0, 1)" in caught.value.message
        np.testing.assert_array_equal(values(opened, variables), [[4.0], [4.0]])


@both_backends
@both_kinds
def test_rates_and_scales_of_other_shapes_are_refused_when_they_are_fed(backend, kind):
    with session() as opened:
        variables = [variable(name, [4.0], kind) for name in "ab"]
        rates, scale = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
        step = decay(variables, rates, scale, backend=backend)
        opened.run(tf.global_variables_initializer())
        for wrong in ([0.5], [0.5] * 3, [[0.5, 0.5]]):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"rates must have shape \[\] or \[2\]"):
                opened.run(step, {rates: wrong, scale: 1.0})
        for wrong in ([1.0], [1.0, 1.0], [[1.0]]):
            with pytest.raises(tf.errors.InvalidArgumentError, match="scale must be a scalar"):
                opened.run(step, {rates: 0.5, scale: wrong})
        np.testing.assert_array_equal(values(opened, variables), [[4.0], [4.0]])
        opened.run(step, {rates: [0.5, 0.25], scale: 1.0})
        opened.run(step, {rates: 0.5, scale: 0.5})
        np.testing.assert_array_equal(values(opened, variables), [[1.5], [2.25]])


def test_the_kernel_refuses_a_resource_of_another_dtype():
    with session() as opened:
        w = variable("kernel", [4.0], "resource")
        step = loader.native_ops().tf1_wd_resource_decay([w.handle], np.float64(0.5), np.float64(1.0), T=tf.float64)
        opened.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match="kernel is float, the op was built for double"):
            opened.run(step)


@both_kinds
def test_the_shape_function_refuses_what_it_can_know(kind):
    with session():
        operands = [_tf.operand(variable(name, [4.0], kind)) for name in "ab"]
        ops = loader.native_ops()
        if kind == "resource":

            def make(rates, scale):
                return ops.tf1_wd_resource_decay(operands, np.float32(rates), np.float32(scale), T=tf.float32)
        else:

            def make(rates, scale):
                return ops.tf1_wd_decay(operands, np.float32(rates), np.float32(scale))

        make(0.5, 1.0)
        make([0.5, 0.5], 1.0)
        for rates, scale in (([0.5] * 3, 1.0), ([[0.5, 0.5]], 1.0), (0.5, [1.0])):
            with pytest.raises(ValueError, match=r"[Ss]hape|[Dd]imension"):
                make(rates, scale)


@both_backends
@both_kinds
def test_without_locking_the_result_is_the_same(backend, kind):
    with session() as opened:
        w = variable("w", np.full(70000, 4.0), kind)
        after = decayed(opened, [w, w], 0.5, 1.0, backend=backend, use_locking=False)
        np.testing.assert_array_equal(after[0], np.full(70000, 1.0))


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (-0.1, r"decay rate of first is -0\.1: .* \[0, 1\)"),
        ([0.1, 1.0], r"decay rate of second is 1: "),
        ([np.nan, 0.1], "decay rate of first is nan"),
        (np.inf, "decay rate of first is inf"),
        ([0.1, 0.2, 0.3], r"shape \[\] or \[2\], one for each variable, not \(3,\)"),
        ([[0.1, 0.2]], r"shape \[\] or \[2\]"),
    ],
)
@both_backends
def test_constant_rate_that_makes_no_sense_is_an_error_of_the_graph(backend, rates, message):
    with session():
        variables = [variable(name, [4.0], "resource") for name in ("first", "second")]
        with pytest.raises(errors.InvalidRateError, match=message):
            decay(variables, rates, 1.0, backend=backend)
        with pytest.raises(errors.InvalidRateError, match=message):
            decay(variables, tf.constant(rates, tf.float32), 1.0, backend=backend)


def test_constant_rate_times_scale_out_of_range_is_an_error_of_the_graph():
    with session():
        with pytest.raises(errors.InvalidRateError, match=r"w times the scale, 0\.5 \* 2 = 1"):
            decay([variable("w", [4.0], "resource")], 0.5, 2.0)


def test_scale_that_is_no_scalar_is_an_error():
    with session(), pytest.raises(errors.InvalidOptionError, match=r"scale must be a scalar, not of shape \(2,\)"):
        decay([variable("w", [4.0], "resource")], 0.5, [0.5, 0.5])


def test_variables_that_cannot_share_an_op_are_named():
    with session():
        single, double = variable("single", [4.0], "resource"), variable("double", [4.0], "resource", tf.float64)
        reference = variable("reference", [4.0], "reference")
        counter = tf.get_variable("counter", initializer=np.int64([1]), use_resource=True)
        with pytest.raises(errors.InvalidOptionError, match="variable counter is int64"):
            decay([counter], 0.5, 1.0)
        with pytest.raises(errors.InvalidOptionError, match="single is float32, double is float64"):
            decay([single, double], 0.5, 1.0)
        with pytest.raises(errors.InvalidOptionError, match="all reference or all resource: single and reference"):
            decay([single, reference], 0.5, 1.0)
        with pytest.raises(errors.InvalidOptionError, match="at least one variable"):
            decay([], 0.5, 1.0)


@pytest.mark.parametrize(("name", "on_the_host"), [("Tf1WdDecay", []), ("Tf1WdResourceDecay", ["vars"])])
def test_gpu_kernels_take_rates_and_scale_from_the_gpus_memory(name, on_the_host):
    loader.native_ops()
    registered = [k for k in kernels.get_registered_kernels_for_op(name).kernel if k.device_type == "GPU"]
    assert [list(k.host_memory_arg) for k in registered] == [on_the_host] * len(DTYPES)


def test_unknown_backend_lists_the_known_ones():
    with session(), pytest.raises(errors.InvalidOptionError, match="'auto', 'native', 'tensorflow', not 'gpu'"):
        decay([variable("w", [4.0], "resource")], 0.5, 1.0, backend="gpu")


def op_types(graph):
    return {op.type for op in graph.get_operations()}


@both_kinds
def test_auto_is_native_on_a_cpu(kind):
    with session() as opened:
        decay([variable("w", [4.0], kind)], 0.5, 1.0)
        assert op_types(opened.graph) & {"Tf1WdDecay", "Tf1WdResourceDecay"}


def test_auto_is_native_where_the_variable_may_be_on_a_gpu(monkeypatch):
    monkeypatch.setattr(loader, "gpu_visible", lambda: True)
    monkeypatch.setattr(loader, "gpu_problem", lambda: None)
    with session() as opened:
        decay([variable("w", [4.0], "resource")], 0.5, 1.0)
        assert "Tf1WdResourceDecay" in op_types(opened.graph)


def test_a_driver_that_cannot_run_the_op_is_told_before_the_graph_runs(monkeypatch, recwarn):
    monkeypatch.setattr(choose, "_warned", False)
    monkeypatch.setattr(loader, "gpu_visible", lambda: True)
    monkeypatch.setattr(loader, "gpu_problem", lambda: "the CUDA driver is too old")
    with session() as opened:
        w = variable("w", [4.0], "resource")
        decay([w], 0.5, 1.0)
        assert "Tf1WdResourceDecay" not in op_types(opened.graph)
        with pytest.raises(errors.NativeOpError, match="w may be on a GPU: the CUDA driver is too old"):
            decay([w], 0.5, 1.0, backend="native")
        with tf.device("/cpu:0"):
            pinned = variable("pinned", [4.0], "resource")
        decay([pinned], 0.5, 1.0)
        assert "Tf1WdResourceDecay" in op_types(opened.graph)
    ours = [str(w.message) for w in recwarn if issubclass(w.category, errors.NativeOpWarning)]
    assert len(ours) == 1
    assert "the CUDA driver is too old" in ours[0]


def test_a_variable_on_another_kind_of_device_decays_by_the_twin():
    with session() as opened:
        with tf.device("/device:TPU:0"):
            w = variable("kernel", [4.0], "resource")
        decay([w], 0.5, 1.0)
        assert "Tf1WdResourceDecay" not in op_types(opened.graph)
        with pytest.raises(errors.NativeOpError, match="variable kernel is on /device:TPU:0"):
            decay([w], 0.5, 1.0, backend="native")


def test_auto_without_the_op_warns_once_and_uses_the_twin(monkeypatch, recwarn):
    monkeypatch.setattr(choose, "_warned", False)
    monkeypatch.setattr(loader, "_loaded", (loader.Status("twin", None, "no C++ compiler", None), None))
    with session() as opened:
        w = variable("w", [4.0], "resource")
        for _ in range(3):
            decay([w], 0.5, 1.0)
        assert "Tf1WdResourceDecay" not in op_types(opened.graph)
        with pytest.raises(errors.NativeOpError, match=r"no C\+\+ compiler"):
            decay([w], 0.5, 1.0, backend="native")
    ours = [str(w.message) for w in recwarn if issubclass(w.category, errors.NativeOpWarning)]
    assert len(ours) == 1
    assert "no C++ compiler" in ours[0]
    assert "tf1-wd doctor" in ours[0]
