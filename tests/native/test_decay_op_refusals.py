"""What the native op and its twin refuse, before the graph runs and while it does."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.decay_op import both_backends, both_kinds, session, values, variable
from tf1_wd import _tf, errors
from tf1_wd.native import loader
from tf1_wd.native.decay import decay


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
