"""Cases on the fake GPU: TensorFlow 2 as it is by default, eager and with tf.function."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from gpu_cases import CPU, DTYPES, GPU, Calls, assert_same_bits, expected, shapes, weights

from tf1_wd.native import loader

tf.config.set_soft_device_placement(False)

all_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)


def variable(value, dtype=tf.float32, device=GPU):
    with tf.device(device):
        return tf.Variable(tf.constant(np.asarray(value).astype(dtype.as_numpy_dtype)))


def decay(variables, rates, scale, device=GPU):
    """The op itself: tf1_wd's functions are for graphs."""
    dtype = variables[0].dtype
    number = np.float64 if dtype == tf.float64 else np.float32
    with tf.device(device):
        rates, scale = tf.convert_to_tensor(rates, number), tf.convert_to_tensor(scale, number)
        loader.native_ops().tf1_wd_resource_decay([v.handle for v in variables], rates, scale, T=dtype)


@all_dtypes
def test_the_gpu_gives_the_bits_of_the_cpu_and_of_numpy(dtype):
    values = [weights(i, shape, dtype) for i, shape in enumerate(shapes("resource"))]
    on_gpu, on_cpu = ([variable(value, dtype, device) for value in values] for device in (GPU, CPU))
    assert all("GPU:0" in v.device for v in on_gpu)
    decay(on_gpu, np.full(len(values), 0.3), 0.5)
    decay(on_cpu, np.full(len(values), 0.3), 0.5, CPU)
    got = [v.numpy() for v in on_gpu]
    assert_same_bits(got, [v.numpy() for v in on_cpu])
    assert_same_bits(got, [expected(value, 0.3, 0.5) for value in values])


def test_in_a_tf_function_too():
    w, scale = variable([4.0]), variable(0.5)

    @tf.function
    def step():
        decay([w], 0.5, scale)

    step()
    scale.assign(0.0)
    step()
    np.testing.assert_array_equal(w.numpy(), [3.0])


def test_a_value_read_before_stays_as_it_is():
    w = variable(np.full(100000, 4.0))
    held = w.read_value()
    assert "GPU:0" in held.device
    for _ in range(3):
        decay([w, w], [0.5, 0.25], 1.0)
    np.testing.assert_array_equal(held.numpy(), np.full(100000, 4.0))
    np.testing.assert_array_equal(w.numpy(), np.full(100000, 4.0 * 0.375**3))


def bytes_allocated_by(function):
    """The most GPU memory that was in use meanwhile, over that in use before."""
    before = tf.config.experimental.get_memory_info("GPU:0")["current"]
    tf.config.experimental.reset_memory_stats("GPU:0")
    function()
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] - before


def test_a_variable_that_nobody_reads_decays_in_place():
    size = 1 << 20
    w = variable(np.full(size, 4.0))
    assert bytes_allocated_by(lambda: decay([w], 0.5, 1.0)) < size
    held = w.read_value()
    assert bytes_allocated_by(lambda: decay([w], 0.5, 1.0)) >= 4 * size
    np.testing.assert_array_equal([held.numpy()[0], w.numpy()[0]], [2.0, 1.0])


def test_the_launch_waits_for_nothing():
    w = variable([4.0])
    decay([w], 0.5, 1.0)
    calls = Calls()
    decay([w], 0.5, 1.0)
    assert [words[0] for words in calls.by_our_op()] == ["cuCtxGetCurrent", "cuLaunchKernel"]


def test_a_rate_out_of_range_changes_nothing():
    w = variable([4.0])
    decay([w], 1.5, 1.0)
    np.testing.assert_array_equal(w.numpy(), [4.0])
