"""Checks of tf1_wd.tf2.decay in a process that executes eagerly; prints as JSON what is wrong with each, or null."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if len(sys.argv) > 1:
    os.environ["TF_USE_LEGACY_KERAS"] = sys.argv[1]

import numpy as np
import pytest
import tensorflow as tf

import tf1_wd

BACKENDS = ("native", "tensorflow")
PRECISION = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 2.5e-7, "float64": 5e-16}
START = np.array([[4.0, -3.0, 0.7], [1e-3, 250.0, -6.0]])
IS_TF1 = tf.__version__.startswith("1.")

if IS_TF1:
    tf.compat.v1.enable_eager_execution()
tf.config.experimental.set_virtual_device_configuration(
    tf.config.experimental.list_physical_devices("CPU")[0], [tf.config.experimental.VirtualDeviceConfiguration()] * 2
)


def variable(name="w", dtype="float32", value=START):
    return tf.Variable(tf.cast(tf.constant(value, tf.float64), dtype), name=name)


def value(variable):
    return np.array(variable.numpy()).astype(np.float64)


def raises(kind, words, call):
    with pytest.raises(kind) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value


def both_modes(step):
    """`step` as it is, and as a tf.function."""
    return [step, tf.function(step)]


def check_a_step_is_the_formula_in_float64(backend):
    for dtype, precision in PRECISION.items():
        a, b = variable("a", dtype), variable("b", dtype)

        def step(pair=(a, b)):
            tf1_wd.tf2.decay(pair, [0.05, 0.3], 0.5, backend)

        for run in both_modes(step):
            before = value(a), value(b)
            run()
            np.testing.assert_allclose(value(a), before[0] * (1 - 0.05 * 0.5), rtol=precision)
            np.testing.assert_allclose(value(b), before[1] * (1 - 0.3 * 0.5), rtol=precision)


def check_twin_and_function_give_the_bits_of_the_native_op(backend):
    for dtype in PRECISION:
        native, other = [variable("w", dtype, np.random.RandomState(0).randn(1000)) for _ in range(2)]
        step = tf.function(lambda w=other: tf1_wd.tf2.decay([w], 0.3, 0.7, backend=backend))
        for _ in range(3):
            tf1_wd.tf2.decay([native], 0.3, 0.7, backend="native")
            step()
        np.testing.assert_array_equal(value(other), value(native))
        tf1_wd.tf2.decay([native], 0.3, 0.7, backend="native")
        tf1_wd.tf2.decay([other], 0.3, 0.7, backend=backend)
        np.testing.assert_array_equal(value(other), value(native))


def check_rates_may_be_numbers_arrays_tensors_and_variables(backend):
    forms = [
        [0.25, 0.5],
        (0.25, np.float32(0.5)),
        np.array([0.25, 0.5]),
        tf.constant([0.25, 0.5]),
        tf.Variable([0.25, 0.5]),
        [tf.constant(0.25), tf.Variable(0.5, dtype=tf.float64)],
    ]
    for rates in forms:
        a, b = variable("a"), variable("b", "float64")

        def step(pair=(a, b), rates=rates):
            tf1_wd.tf2.decay(pair, rates, tf.constant(1.0), backend)

        for run in both_modes(step):
            run()
        np.testing.assert_allclose(value(a), START * 0.75**2, rtol=1e-6)
        np.testing.assert_array_equal(value(b), START * 0.5**2)


def check_one_rate_of_float64_keeps_its_precision(backend):
    w = variable("w", "float64")
    tf1_wd.tf2.decay([w], 0.1, 0.3, backend)
    np.testing.assert_allclose(value(w), START * (1 - 0.1 * 0.3), rtol=5e-16)


def check_a_schedule_is_read_in_every_step_and_nothing_is_traced_again(backend):
    w, scale, traced = variable(), tf.Variable(0.0), []

    def step(factor):
        traced.append(1)
        tf1_wd.tf2.decay([w], 0.5, factor * scale, backend=backend)

    compiled, want = tf.function(step), START
    for factor, now in [(1.0, 0.0), (0.5, 1.0), (1.0, 0.25)]:
        scale.assign(now)
        compiled(tf.constant(factor))
        want = want * (1 - 0.5 * factor * now)
    np.testing.assert_allclose(value(w), want, rtol=1e-6)
    assert len(traced) == 1, traced


def check_decay_in_a_function_comes_after_the_update_and_before_the_next_read(backend):
    w = variable()

    @tf.function
    def step():
        w.assign_sub(tf.ones_like(w))
        before = w * 1.0
        tf1_wd.tf2.decay([w], 0.25, backend=backend)
        return before, w * 1.0

    before, after = step()
    np.testing.assert_allclose(before.numpy(), START - 1, rtol=1e-6)
    np.testing.assert_allclose(after.numpy(), 0.75 * (START - 1), rtol=1e-6)


def check_other_dtypes_and_devices_decay_in_the_same_call(backend):
    variables = []
    for device in ("CPU:0", "CPU:1"):
        with tf.device(device):
            variables += [variable("w", dtype) for dtype in ("float32", "float64", "float32")]
    with tf.device("CPU:0"):
        tf1_wd.tf2.decay(variables, np.linspace(0.1, 0.6, 6), backend=backend)
    for w, rate in zip(variables, np.linspace(0.1, 0.6, 6)):
        np.testing.assert_allclose(value(w), START * (1 - rate), rtol=1e-6)


def check_an_error_names_the_variable_and_leaves_all_as_they_were(backend):
    good, kernel = variable("good"), variable("kernel", "float64")  # the wrong rate is in the second group
    pair = [good, kernel]

    def decay(rates, scale=1.0):
        tf1_wd.tf2.decay(pair, rates, scale, backend=backend)

    compiled = tf.function(decay)
    for wrong in (1.0, -0.1, np.nan):
        raises(tf1_wd.InvalidRateError, ["kernel"], lambda wrong=wrong: decay([0.1, wrong]))
        raises(tf1_wd.InvalidRateError, ["kernel"], lambda wrong=wrong: decay(tf.constant([0.1, wrong])))
        fed = tf.constant([0.1, wrong])
        raises(tf.errors.InvalidArgumentError, ["kernel"], lambda fed=fed: compiled(fed))
    raises(tf1_wd.InvalidRateError, ["good", "times the scale"], lambda: decay(0.5, 2.0))
    raises(tf.errors.InvalidArgumentError, ["good", "kernel"], lambda: compiled(0.5, tf.constant(2.0)))
    raises(Exception, ["kernel is 1.5"], lambda: compiled((0.1, 1.5)))  # TensorFlow 1.15 wraps what a function raises
    for w in pair:
        np.testing.assert_array_equal(value(w), value(variable("w", w.dtype)))


def decay_of_fed(pair, backend, name, shape):
    """A tf.function that decays a pair by a rate or scale of which only `shape` is known when it is traced."""

    def step(fed):
        tf1_wd.tf2.decay(pair, **{"rates": [0.25, 0.5], name: fed}, backend=backend)

    return tf.function(step, input_signature=[tf.TensorSpec(shape, tf.float32)])


def check_a_shape_that_only_the_run_knows_is_right_or_refused_with_the_variables(backend):
    wrong = {"scale": [[1.0], [1.0, 0.5], [[0.5]]], "rates": [[0.1], [0.1] * 3, [[0.1, 0.1]], [[0.1] * 2] * 2]}
    right = {"scale": {0.5: [0.125, 0.25]}, "rates": {0.125: [0.125, 0.125], (0.25, 0.125): [0.25, 0.125]}}
    for dtypes in (["float32", "float32"], ["float32", "float64"]):
        for name in wrong:
            pair = [variable(*each) for each in zip(["good", "kernel"], dtypes)]
            step, want = decay_of_fed(pair, backend, name, None), [START, START]
            for fed, rates in right[name].items():
                step(tf.constant(fed))
                want = [w * (1 - rate) for w, rate in zip(want, rates)]
            for fed in wrong[name]:
                words = ["good", "kernel", name, "no variable was decayed"]
                raises(tf.errors.InvalidArgumentError, words, lambda step=step, fed=fed: step(tf.constant(fed)))
            for w, values in zip(pair, want):
                np.testing.assert_allclose(value(w), values, rtol=1e-6)


def check_as_many_rates_as_only_the_run_knows_are_right_or_refused(backend):
    pair = [variable("good"), variable("kernel")]
    step = decay_of_fed(pair, backend, "rates", [None])
    raises(tf.errors.InvalidArgumentError, ["kernel", "rates"], lambda: step(tf.constant([0.1] * 3)))
    step(tf.constant([0.25, 0.5]))
    np.testing.assert_allclose(value(pair[0]), START * 0.75, rtol=1e-6)
    np.testing.assert_allclose(value(pair[1]), START * 0.5, rtol=1e-6)


def check_what_makes_no_sense_is_refused(backend):
    w, refuse, decay = variable(), tf1_wd.InvalidOptionError, tf1_wd.tf2.decay
    raises(refuse, ["listed twice", "w"], lambda: decay([w, w], 0.1))
    raises(refuse, ["list of variables"], lambda: decay(w, 0.1))
    raises(refuse, ["empty"], lambda: decay([], 0.1))
    raises(refuse, ["list of variables", "None"], lambda: decay(None, 0.1))
    raises(refuse, ["tf.Variables", "Tensor"], lambda: decay([tf.constant(1.0)], 0.1))
    raises(refuse, ["count", "int32"], lambda: decay([tf.Variable(1, name="count")], 0.1))
    raises(refuse, ["rates is a function"], lambda: decay([w], lambda: 0.1))
    raises(refuse, ["scale is a function"], lambda: decay([w], 0.1, lambda: 0.1))
    raises(refuse, ["1 variables and 2 rates"], lambda: decay([w], [0.1, 0.2]))
    raises(refuse, ["shape"], lambda: decay([w], np.array([0.1, 0.2])))
    raises(refuse, ["scale must be a scalar"], lambda: decay([w], 0.1, np.array([0.1, 0.2])))
    for number in ("fast", "0.1", True, 0.1j, np.array(0.1j), [0.1j]):
        raises(refuse, ["rates", "not a number"], lambda number=number: decay([w], number))
        raises(refuse, ["scale", "not a number"], lambda number=number: decay([w], 0.1, number))
    for tensor, dtype in ((tf.constant(0.1j), "complex"), (tf.constant(True), "bool"), (tf.constant("a"), "string")):
        raises(refuse, ["rates", dtype], lambda tensor=tensor: decay([w], tensor))
        raises(refuse, ["scale", dtype], lambda tensor=tensor: decay([w], 0.1, tensor))
    raises(refuse, ["backend"], lambda: decay([w], 0.1, backend="cuda"))
    np.testing.assert_array_equal(value(w), value(variable()))


def check_a_plan_gives_the_variables_and_their_rates(backend):
    kernel, bias = variable("kernel"), variable("bias", value=START[0])
    plan = tf1_wd.plan_decay([kernel, bias], 0.25, exclude=tf1_wd.bias_and_norm)
    tf1_wd.tf2.decay([d.variable for d in plan.decaying], [d.rate for d in plan.decaying], backend=backend)
    np.testing.assert_allclose(value(kernel), START * 0.75, rtol=1e-6)
    np.testing.assert_allclose(value(bias), START[0], rtol=1e-6)
    for change in (tf1_wd.add_decay_to_gradients, tf1_wd.remove_decay_from_gradients):
        raises(tf1_wd.EagerModeError, ["tf.Graph"], lambda change=change: change([(None, kernel)], plan))


def check_a_graph_of_tensorflow_1_is_refused(backend):
    with tf.Graph().as_default():
        w = tf.compat.v1.get_variable("w", [2], use_resource=True)
        raises(tf1_wd.UnsupportedUpdateError, ["decoupled_weight_decay"], lambda: tf1_wd.tf2.decay([w], 0.1))


def check_no_decay_of_another_thread_is_lost(backend):
    w = variable("w", "float64", np.full(1000, 1.0))

    def work():
        for _ in range(50):
            tf1_wd.tf2.decay([w], 0.01, backend=backend)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(value(w), np.full(1000, 0.99**200), rtol=1e-12)


def check_all_copies_of_a_mirrored_variable_decay_outside_of_the_replicas(backend):
    if IS_TF1:
        return  # eager replicas of TensorFlow 1.15 are a preview
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        a, b = variable("a"), variable("b")

    def step():
        tf1_wd.tf2.decay([a, b], [0.25, 0.5], backend=backend)

    step()
    tf.function(step)()
    with strategy.scope():
        step()
    for w, keeps in ((a, 0.75**3), (b, 0.5**3)):
        for copy in strategy.experimental_local_results(w):
            np.testing.assert_allclose(value(copy), START * keeps, rtol=1e-6)
    raises(tf1_wd.UnsupportedUpdateError, ["outside of strategy.run", "a"], lambda: strategy.run(step))
    plain = variable("plain")  # of no strategy: each replica would decay it
    one = lambda: tf1_wd.tf2.decay([plain], 0.25, backend=backend)  # noqa: E731
    raises(tf1_wd.UnsupportedUpdateError, ["outside of strategy.run", "plain"], lambda: strategy.run(one))


def keras_layers():
    from tensorflow import keras

    model = keras.Sequential([keras.layers.Dense(3, name="first"), keras.layers.Dense(1)])
    model.build((None, 2))
    return keras, model


def check_the_variables_of_keras_decay_and_are_named_by_their_path(backend):
    if IS_TF1:
        return
    keras, model = keras_layers()
    start = [value(w) for w in model.trainable_variables]
    for step in both_modes(lambda: tf1_wd.tf2.decay(model.trainable_variables, 0.25, 1.0, backend)):
        step()
    for w, before in zip(model.trainable_variables, start):
        np.testing.assert_allclose(value(w), before * 0.75**2, rtol=1e-6)
    wrong = [0.1, 2.0, 0.1, 0.1]
    raises(tf1_wd.InvalidRateError, ["first/bias"], lambda: tf1_wd.tf2.decay(model.trainable_variables, wrong))
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        before = value(layer.kernel)
        tf1_wd.tf2.decay([layer.kernel], 0.25, backend=backend)
        np.testing.assert_allclose(value(layer.kernel), before * 0.75, rtol=1e-6)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def check_biases_and_norms_of_keras_are_told_apart(backend):
    if IS_TF1:
        return
    from tensorflow import keras

    model = keras.Sequential([keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    model.build((None, 5, 5, 2))
    chosen = [w.name.split(":")[0].split("/")[-1] for w in model.trainable_variables if not tf1_wd.bias_and_norm(w)]
    assert chosen == ["kernel", "kernel"], chosen


def check_a_decay_between_gradient_and_update_is_keras_adamw(backend):
    if IS_TF1:
        return
    keras, _ = keras_layers()
    ours, theirs = variable(), variable()
    adam = keras.optimizers.Adam(0.125)
    adamw = keras.optimizers.AdamW(0.125, weight_decay=0.25)
    for optimizer, w in ((adam, ours), (adamw, theirs)):
        optimizer.build([w])

    @tf.function
    def step():
        gradients = [tf.sin(3.0 * w) + w for w in (ours, theirs)]
        tf1_wd.tf2.decay([ours], 0.25, adam.learning_rate, backend=backend)
        adam.apply_gradients([(gradients[0], ours)])
        adamw.apply_gradients([(gradients[1], theirs)])

    for _ in range(10):
        step()
    np.testing.assert_allclose(value(ours), value(theirs), rtol=1e-5)
    assert abs(value(ours) - START).max() > 1.0


if __name__ == "__main__":
    wrong = {}
    for name, check in [item for item in globals().items() if item[0].startswith("check_")]:
        try:
            for backend in BACKENDS:
                check(backend)
            wrong[name] = None
        except Exception:
            wrong[name] = traceback.format_exc()
    json.dump(wrong, sys.stdout)
