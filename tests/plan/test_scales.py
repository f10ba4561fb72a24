"""The option scale=: what is refused, when the graph is built or when it runs, and what is warned of."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, W0, assert_close, data_loss, gradient, run, weights
from tf1_wd import errors

RATE = 0.25
SCOPES = {"decoupled": tf1_wd.decoupled_weight_decay, "coupled": tf1_wd.coupled_weight_decay}


def sgd():
    return tf.train.GradientDescentOptimizer(LR)


def minimized(way, loss, global_step=None, **options):
    """The train_op of `loss`, decayed by a scope or by attach, or with L2 added to its gradients by hand."""
    if way == "by hand":
        plan = tf1_wd.plan_decay(tf.trainable_variables(), options["rates"])
        pairs = tf1_wd.add_decay_to_gradients(sgd().compute_gradients(loss), plan, options["scale"])
        return sgd().apply_gradients(pairs, global_step)
    if way == "attach":
        return tf1_wd.attach(sgd().minimize(loss, global_step), **options)
    with SCOPES[way](**options):
        return sgd().minimize(loss, global_step)


def applied():
    return [op.name for op in tf.get_default_graph().get_operations() if "Apply" in op.type or "Decay" in op.type]


# --- known when the graph is built


@pytest.mark.parametrize("way", ["decoupled", "coupled", "attach", "by hand"])
@pytest.mark.parametrize("scale", [1j, np.array([1.0, 100.0]), np.array([0.5]), -1.0, np.nan, "0.5", [0.5], object()])
def test_a_scale_that_is_no_finite_number_is_refused_everywhere(way, scale):
    loss = data_loss(weights())
    with pytest.raises(errors.InvalidOptionError, match="scale"):
        minimized(way, loss, rates=RATE, scale=scale)
    if way != "attach":
        assert applied() == []


def test_a_scale_by_hand_that_the_scopes_alone_know_is_refused_with_what_to_pass():
    w = weights()
    pairs, plan = [(tf.ones_like(w), w)], tf1_wd.plan_decay(w, RATE)
    for scale, words in (
        (None, "scale must be a scalar"),
        ("learning_rate", "multiplies all of a gradient by its learning rate.*leave scale= out"),
        (lambda step: tf.constant(0.5), "scale is a function: call it"),
    ):
        for change in (tf1_wd.add_decay_to_gradients, tf1_wd.remove_decay_from_gradients):
            with pytest.raises(errors.InvalidOptionError, match=words):
                change(pairs if change is tf1_wd.add_decay_to_gradients else [(tf.identity(w) * 0.5, w)], plan, scale)


@pytest.mark.parametrize("way", ["decoupled", "coupled", "by hand"])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_a_rate_times_scale_beyond_1_is_refused_with_its_variable(way, as_tensor, kind):
    loss = data_loss(weights("kernel"))
    with pytest.raises(errors.InvalidRateError, match=r"kernel.*\[0, 1\)"):
        minimized(way, loss, rates=RATE, scale=tf.constant(20.0) if as_tensor else 20.0)


@pytest.mark.parametrize("way", ["decoupled", "coupled", "attach", "by hand"])
@pytest.mark.parametrize("kind_of_zero", ["number", "integer", "Tensor"])
def test_a_scale_of_zero_decays_nothing_and_says_so(way, kind_of_zero):
    loss, zero = data_loss(weights()), {"number": 0.0, "integer": 0, "Tensor": tf.zeros([])}[kind_of_zero]
    with pytest.raises(errors.NothingToDecayError, match="is 0, so nothing would ever decay: pass another scale="):
        minimized(way, loss, rates=RATE, scale=zero)


def test_a_learning_rate_of_zero_trains_and_decays_nothing_as_the_program_says(kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay(rates=RATE, scale="learning_rate"):
        train_op = tf.train.GradientDescentOptimizer(0.0).minimize(data_loss(w))
    np.testing.assert_array_equal(run(train_op, w), W0)


@pytest.mark.parametrize("way", ["decoupled", "coupled", "attach", "by hand"])
def test_a_scale_of_another_graph_is_refused_by_name(way):
    with tf.Graph().as_default():
        scale = tf.placeholder(tf.float32, [], name="elsewhere")
    with pytest.raises(errors.InvalidOptionError, match="scale: elsewhere:0 is of another graph"):
        minimized(way, data_loss(weights()), rates=RATE, scale=scale)


# --- known when it runs

WAYS = [("decoupled", "native"), ("decoupled", "tensorflow"), ("coupled", "auto"), ("by hand", "auto")]


@pytest.mark.parametrize(("way", "implementation"), WAYS)
@pytest.mark.parametrize("value", [-5.0, np.nan, 20.0])
def test_a_fed_scale_out_of_range_stops_the_step_with_the_name_of_the_variable(way, implementation, value, kind):
    loss, scale = data_loss(weights("kernel")) + data_loss(weights("other")), tf.placeholder(tf.float32, [])
    options = {"backend": implementation} if way == "decoupled" else {}
    rates = {"kernel": RATE, "other": 0.0625} if value == 20.0 else RATE
    train_op = minimized(way, loss, rates=rates, scale=scale, **options)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match="kernel"):
            session.run(train_op, {scale: value})
        if way != "decoupled":  # there the step comes before the decay
            for weight in session.run(tf.trainable_variables()):
                np.testing.assert_array_equal(weight, W0)


@pytest.mark.parametrize(("way", "implementation"), WAYS)
def test_a_vector_fed_as_the_scale_is_refused_and_a_number_is_not(way, implementation, kind):
    w, scale = weights(), tf.placeholder(tf.float32, name="fed")
    options = {"backend": implementation} if way == "decoupled" else {}
    train_op = minimized(way, data_loss(w), rates=RATE, scale=scale, **options)
    want = (W0 - LR * gradient(W0)) * (1 - 0.5 * RATE)
    if way != "decoupled":
        want = W0 - LR * (gradient(W0) + 0.5 * RATE * W0)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"tf1_wd: scale must be a scalar.*\[3\]"):
            session.run(train_op, {scale: [0.5, 0.25, 0.125]})
        session.run(tf.global_variables_initializer())
        session.run(train_op, {scale: 0.5})
        assert_close(session.run(w), want)


def test_a_fed_coefficient_out_of_range_stops_the_coupled_step_too(kind):
    w, coefficient = weights("kernel"), tf.placeholder(tf.float64, [])
    with tf1_wd.coupled_weight_decay():
        train_op = sgd().minimize(data_loss(w) + coefficient * tf.nn.l2_loss(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match="kernel"):
            session.run(train_op, {coefficient: -0.5})
        session.run(train_op, {coefficient: 0.5})
        assert_close(session.run(w), W0 - LR * (gradient(W0) + 0.5 * W0))


# --- functions of the global step


def nothing(step):
    return None


def another_function(step):
    return nothing


def two_arguments(step, other):
    return step


def python_condition(step):
    return 1.0 if step is tf.constant(2) else 0.0


def comparison(step):
    return tf.equal(step, 2)


BAD_FUNCTIONS = [
    (lambda: 0.5, r"scale=<lambda>: it is called with the global step.*TypeError"),
    (two_arguments, r"scale=two_arguments: it is called with the global step.*TypeError"),
    (nothing, "scale=nothing returned None: it must return a scalar Tensor"),
    (another_function, "scale=another_function returned <function nothing"),
    (python_condition, r"scale=python_condition returned 0\.0, which is the same in every step.*tf\.where, tf\.cond"),
    (lambda step: np.float32(0.5), "which is the same in every step"),
    (comparison, r"scale must be a number; .* is bool: tf\.cast it"),
    (lambda step: tf.ones([2]), "scale must be a scalar"),
]


@pytest.mark.parametrize("way", ["decoupled", "coupled", "attach"])
@pytest.mark.parametrize(("scale", "words"), BAD_FUNCTIONS)
def test_a_function_that_is_no_scale_is_refused_with_what_to_do(way, scale, words):
    step = tf.train.get_or_create_global_step()
    with pytest.raises(errors.InvalidOptionError, match=words):
        minimized(way, data_loss(weights()), step, rates=RATE, scale=scale)


def on_from_2(step):
    return tf.cast(step >= 2, tf.float32)


@pytest.mark.parametrize("way", ["decoupled", "attach"])
@pytest.mark.parametrize("is_function", [True, False])
def test_a_scale_that_follows_a_global_step_that_nothing_counts_is_warned_of(way, is_function, kind):
    w, step = weights(), tf.train.get_or_create_global_step()
    tf.train.Saver()  # restores it, and so assigns it
    with pytest.warns(errors.Tf1WdWarning, match=r"so far nothing in the graph counts global_step.*pass global_step="):
        train_op = minimized(way, data_loss(w), rates=RATE, scale=on_from_2 if is_function else on_from_2(step))
    want = W0
    for _ in range(4):
        want = want - LR * gradient(want)
    assert_close(run(*[train_op] * 4, w), want)


def counted_by_minimize(step, loss):
    return sgd().minimize(loss, step)


def counted_by_assign_add(step, loss):
    with tf.control_dependencies([sgd().minimize(loss)]):
        return tf.assign_add(step, 1)


def counted_by_assign(step, loss):
    with tf.control_dependencies([sgd().minimize(loss)]):
        return tf.assign(step, tf.identity(step) + 1)


@pytest.mark.parametrize("build", [counted_by_minimize, counted_by_assign_add, counted_by_assign])
def test_a_global_step_that_is_counted_is_not_warned_of(build, kind):
    w, step = weights(), tf.train.get_or_create_global_step()
    with tf1_wd.decoupled_weight_decay(rates=RATE, scale=on_from_2):  # warnings are errors here
        train_op = build(step, data_loss(w))
    want = W0
    for t in range(4):
        want = (want - LR * gradient(want)) * (1 - RATE * (t >= 2))
    assert_close(run(*[train_op] * 4, w), want)


def test_a_step_counted_in_a_branch_is_not_warned_of(flow):
    w, step = weights(), tf.train.get_or_create_global_step()

    def update():
        with tf.control_dependencies([sgd().minimize(data_loss(w), step)]):
            return tf.constant(True)

    with tf1_wd.decoupled_weight_decay(rates=RATE, scale=on_from_2):
        train_op = tf.cond(tf.constant(True), update, lambda: tf.constant(False))
    want = W0
    for t in range(4):
        want = (want - LR * gradient(want)) * (1 - RATE * (t >= 2))
    assert_close(run(*[train_op] * 4, w), want)
