"""What goes wrong says what and what to do, and leaves nothing half-applied."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import run
from tf1_wd import errors


def weights(name="w", rate=0.5, dtype=tf.float32):
    return tf.get_variable(
        name,
        [3],
        dtype,
        initializer=tf.ones_initializer(),
        regularizer=None if rate is None else lambda w: rate * tf.nn.l2_loss(w),
    )


def minimize(*variables, **options):
    with tf1_wd.decoupled_weight_decay(**options):
        return tf.train.GradientDescentOptimizer(0.5).minimize(tf.add_n([tf.reduce_sum(v) for v in variables]))


def test_eager_mode_names_the_way_out():
    script = (
        "import tensorflow as tf, tf1_wd\n"
        "tf.compat.v1.enable_eager_execution()\n"
        "try:\n"
        "    with tf1_wd.decoupled_weight_decay(rates=0.5):\n"
        "        v = tf.Variable([1.0])\n"
        "        tf.compat.v1.train.GradientDescentOptimizer(0.5).minimize(lambda: v * v, var_list=[v])\n"
        "except tf1_wd.EagerModeError as error:\n"
        "    print(error)\n"
        "print(v.numpy())\n"
    )
    out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert "tf.Graph().as_default()" in out.stdout
    assert "[1.]" in out.stdout


def test_nothing_to_decay_says_what_was_looked_at():
    with pytest.raises(
        errors.NothingToDecayError, match=r"loss \(0 penalties\).*REGULARIZATION_LOSSES \(0 entries\).*rates="
    ):
        minimize(weights(rate=None))


def test_nothing_updated_says_where_the_scope_belongs():
    with pytest.raises(
        errors.NothingUpdatedError, match="minimize or apply_gradients"
    ), tf1_wd.decoupled_weight_decay():
        weights()


def test_gradients_without_an_update_are_nothing_updated():
    w = weights()
    with pytest.raises(errors.NothingUpdatedError, match="gradients were computed"), tf1_wd.decoupled_weight_decay():
        tf.gradients(tf.nn.l2_loss(w), w)


@pytest.mark.parametrize("option", ["include", "exclude", "rates"])
def test_a_pattern_that_matches_nothing_lists_near_names(option):
    value = {"konv1/weights": 0.5} if option == "rates" else "konv1/weights"
    with pytest.raises(errors.NoMatchError, match=r"%s='konv1/weights'.*conv1/weights" % option):
        minimize(weights("conv1/weights"), weights("fc/biases"), **{option: value})


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.5, np.nan, np.inf])
@pytest.mark.parametrize("place", ["rates", "collection", "loss"])
def test_a_rate_out_of_range_names_its_variable(rate, place):
    w = weights("kernel", rate if place == "collection" else None)
    loss = tf.reduce_sum(w) + (rate * tf.nn.l2_loss(w) if place == "loss" else 0.0)
    before = len(tf.get_default_graph().get_operations())
    with pytest.raises(errors.InvalidRateError, match=r"kernel.*\[0, 1\)"):
        with tf1_wd.decoupled_weight_decay(rates={"kernel": rate} if place == "rates" else None):
            tf.train.AdamOptimizer(0.5).minimize(loss)
    assert not [op for op in tf.get_default_graph().get_operations()[before:] if "Apply" in op.type]


@pytest.mark.parametrize("place", ["rates", "loss"])
def test_a_rate_beyond_1_decays_where_its_learning_rate_makes_it_less(place, kind, backend):
    def build(learning_rate):
        w = weights("kernel")
        loss = tf.reduce_sum(w) + (8.0 * tf.nn.l2_loss(w) if place == "loss" else 0.0)
        rates = {"kernel": 8.0} if place == "rates" else None
        with tf1_wd.decoupled_weight_decay(rates=rates, convention="adamw", backend=backend):
            return w, tf.train.GradientDescentOptimizer(learning_rate).minimize(loss)

    for as_tensor in (False, True):
        with tf.Graph().as_default():
            tf.get_variable_scope().set_use_resource(kind == "resource")
            w, train_op = build(tf.constant(0.0625) if as_tensor else 0.0625)
            np.testing.assert_allclose(run(train_op, w), np.full(3, 1 - 0.0625 - 0.5), rtol=1e-6)
    with pytest.raises(errors.InvalidRateError, match=r"kernel.*times scale 0.5") as caught:
        build(0.5)
    assert caught.value.variable == "kernel"


def test_a_rate_that_is_no_number_is_refused():
    with pytest.raises(errors.InvalidRateError, match="'fast'"):
        tf1_wd.decoupled_weight_decay(rates="fast")
    with pytest.raises(errors.InvalidRateError, match="is not a number"):
        tf1_wd.decoupled_weight_decay(rates={"w": [0.1, 0.2]})


def test_rate_times_scale_must_shrink_the_weight_too():
    with pytest.raises(errors.InvalidRateError, match="times scale 3"):
        minimize(weights(), scale=3.0)


@pytest.mark.parametrize("scale", [[0.1, 0.2], np.ones([2]), np.nan, np.inf, -1.0, "fast", object()])
def test_a_scale_that_is_no_finite_scalar_is_refused(scale):
    with pytest.raises(errors.InvalidOptionError, match="scale"):
        tf1_wd.decoupled_weight_decay(scale=scale)


def test_a_scale_tensor_must_be_a_scalar():
    with pytest.raises(errors.InvalidOptionError, match=r"scale must be a scalar.*\(2,\)"):
        minimize(weights(), scale=tf.ones([2]))
    tf.train.get_or_create_global_step()
    with pytest.raises(errors.InvalidOptionError, match=r"scale must be a scalar.*\(2,\)"):
        minimize(weights("v"), scale=lambda step: tf.ones([2]))


class Unknown(tf.train.GradientDescentOptimizer):
    """An optimizer whose step may read the weights, so that they are not decayed before it."""


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", [tf.train.GradientDescentOptimizer, Unknown])
def test_a_vector_fed_as_a_scale_of_unknown_shape_is_refused_and_nothing_decays(order, optimizer, kind, backend):
    first, second, scale = weights("first"), weights("second"), tf.placeholder(tf.float32)
    loss = tf.reduce_sum(first) + tf.reduce_sum(second)
    with tf1_wd.decoupled_weight_decay(rates={"first": 0.5, "second": 0.25}, scale=scale, order=order, backend=backend):
        train_op = optimizer(0.0).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"scale must (be a scalar|have shape)"):
            session.run(train_op, {scale: [1.0, 0.5]})
        np.testing.assert_array_equal(session.run([first, second]), np.ones([2, 3]))


def test_a_scale_of_the_global_step_needs_a_global_step():
    with pytest.raises(errors.InvalidOptionError, match="get_or_create_global_step"):
        minimize(weights(), scale=lambda step: 0.5)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("order", "during", "'after', 'before'"),
        ("convention", "adam", "'snippet', 'adamw', 'contrib', 'paper'"),
        ("backend", "cuda", "'auto', 'native', 'tensorflow'"),
        ("source", "everywhere", "'auto', 'loss', 'collection'"),
    ],
)
def test_an_unknown_word_lists_the_known_ones(option, value, words):
    with pytest.raises(errors.InvalidOptionError, match="%s='%s' is unknown.*%s" % (option, value, words)):
        tf1_wd.decoupled_weight_decay(**{option: value})


def test_the_paper_convention_asks_for_its_multiplier():
    with pytest.raises(errors.InvalidOptionError, match="schedule multiplier eta"):
        tf1_wd.decoupled_weight_decay(convention="paper")


def test_a_broken_regular_expression_is_quoted():
    with pytest.raises(errors.InvalidOptionError, match=r"exclude='\(' is not a regular expression"):
        tf1_wd.decoupled_weight_decay(exclude="(")


def test_an_option_of_another_type_is_refused():
    with pytest.raises(errors.InvalidOptionError, match="include takes regular expressions"):
        tf1_wd.decoupled_weight_decay(include=3)


@pytest.mark.parametrize("backend", ["native", "tensorflow"])
def test_an_uninitialized_variable_is_named_and_no_other_changes(backend, kind):
    first, second = weights("first"), weights("second")
    with tf1_wd.decoupled_weight_decay(backend=backend, order="before"):
        loss = tf.reduce_sum(first) + 0.0
        with tf.control_dependencies(None):
            train_op = tf.train.GradientDescentOptimizer(0.0).minimize(loss + tf.nn.l2_loss(second) * 0.5)
    with tf.Session() as session:
        session.run(first.initializer)
        with pytest.raises(tf.errors.FailedPreconditionError, match="second"):
            session.run(train_op)
        np.testing.assert_array_equal(session.run(first), np.ones(3, np.float32))


def test_two_open_scopes_are_refused_and_the_outer_one_stays_whole():
    w = weights()
    with tf1_wd.decoupled_weight_decay():
        with pytest.raises(errors.NestedScopeError, match="decay twice"), tf1_wd.decoupled_weight_decay():
            pass
        train_op = tf.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(w))
    np.testing.assert_allclose(run(train_op, w), np.full(3, 0.25))


def test_an_optimizer_that_decays_by_itself_is_refused():
    class AdamW(tf.train.AdamOptimizer):
        weight_decay_rate = 0.01

    with pytest.raises(errors.AlreadyDecoupledError, match="AdamW decays weights by itself"):
        with tf1_wd.decoupled_weight_decay():
            AdamW(0.1).minimize(tf.reduce_sum(weights()))


def test_an_optimizer_with_its_own_apply_gradients_is_refused():
    class Own(tf.train.GradientDescentOptimizer):
        def apply_gradients(self, grads_and_vars, global_step=None, name=None):
            return tf.group(*[v.assign_sub(0.1 * g) for g, v in grads_and_vars])

    with pytest.raises(errors.UnsupportedUpdateError, match=r"Own overrides apply_gradients.*tf1_wd\.attach"):
        with tf1_wd.decoupled_weight_decay():
            Own(0.1).minimize(tf.reduce_sum(weights()))


def test_an_optimizer_that_hands_over_is_welcome():
    class Logged(tf.train.GradientDescentOptimizer):
        def apply_gradients(self, grads_and_vars, global_step=None, name=None):
            return super().apply_gradients(grads_and_vars, global_step, name)

    w = weights()
    with tf1_wd.decoupled_weight_decay():
        train_op = Logged(0.5).minimize(tf.reduce_sum(w))
    np.testing.assert_allclose(run(train_op, w), np.full(3, 0.25))


def test_a_loss_of_penalties_alone_is_explained():
    w = weights()
    with pytest.raises(errors.NothingUpdatedError, match="weight decay alone"), tf1_wd.decoupled_weight_decay():
        tf.train.GradientDescentOptimizer(0.5).minimize(0.5 * tf.nn.l2_loss(w))


def test_gradients_from_outside_the_scope_are_refused():
    w = weights()
    optimizer = tf.train.GradientDescentOptimizer(0.5)
    pairs = optimizer.compute_gradients(tf.reduce_sum(w))
    with pytest.raises(errors.UnsupportedUpdateError, match=r"gradient of w was not computed by tf\.gradients inside"):
        with tf1_wd.decoupled_weight_decay():
            optimizer.apply_gradients(pairs)


def test_rates_vouch_for_gradients_from_outside():
    w = weights(rate=None)
    optimizer = tf.train.GradientDescentOptimizer(0.5)
    pairs = optimizer.compute_gradients(tf.reduce_sum(w))
    with tf1_wd.decoupled_weight_decay(rates=0.5):
        train_op = optimizer.apply_gradients(pairs)
    np.testing.assert_allclose(run(train_op, w), np.full(3, 0.25))


def test_penalised_variables_that_nothing_updates_are_warned_of():
    w, lost = weights("w"), weights("lost")
    loss = tf.reduce_sum(w) + tf.reduce_sum(lost) + tf.losses.get_regularization_loss()
    optimizer = tf.train.GradientDescentOptimizer(0.5)
    with pytest.warns(errors.UndecayedWarning, match="lost"), tf1_wd.decoupled_weight_decay():
        pairs = optimizer.compute_gradients(loss)
        optimizer.apply_gradients(pairs[:1])


def test_the_native_backend_without_a_compiler_is_an_error(tmp_path):
    script = (
        "import tensorflow.compat.v1 as tf, tf1_wd\n"
        "tf.disable_v2_behavior()\n"
        "w = tf.get_variable('w', [3])\n"
        "try:\n"
        "    with tf1_wd.decoupled_weight_decay(rates=0.5, backend='native'):\n"
        "        tf.train.AdamOptimizer(0.5).minimize(tf.reduce_sum(w))\n"
        "except tf1_wd.NativeOpError as error:\n"
        "    print(error)\n"
    )

    environment = dict(os.environ, CXX="no-such-compiler", TF1_WD_CACHE=str(tmp_path))
    out = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert "no-such-compiler" in out.stdout


def test_a_name_that_tf1_wd_has_not_lists_those_it_has():
    with pytest.raises(AttributeError, match="decoupled_weight_decay"):
        tf1_wd.decoupled_decay  # noqa: B018


def test_a_rate_of_1_is_said_to_be_the_option():
    for rates, words in (
        (1, "decay rate 1.0 given as rates is not"),
        ({"^w": 1}, r"1.0 given as rates\['\^w'\] is not"),
    ):
        with pytest.raises(errors.InvalidRateError, match=words):
            tf1_wd.decoupled_weight_decay(rates=rates)


def test_a_pattern_of_bytes_is_refused_before_it_is_searched_for():
    with pytest.raises(errors.InvalidOptionError, match=r"exclude=re\.compile\(b'bias'\) is a pattern of bytes"):
        tf1_wd.decoupled_weight_decay(exclude=re.compile(b"bias"))


@pytest.mark.parametrize("wrapper", [property, staticmethod, classmethod])
def test_a_decorator_above_another_of_the_class_is_told_where_it_belongs(wrapper):
    def train_op(self):
        return minimize(weights())

    with pytest.raises(errors.InvalidOptionError, match="put the decorator under @%s" % wrapper.__name__):
        tf1_wd.decoupled_weight_decay(rates=0.5)(wrapper(train_op))
    with pytest.raises(errors.InvalidOptionError, match="put the decorator under @%s" % wrapper.__name__):
        tf1_wd.decoupled_weight_decay(wrapper(train_op))


def test_what_is_no_function_is_not_decorated():
    with pytest.raises(errors.InvalidOptionError, match="put `with` around the code that calls minimize"):
        tf1_wd.coupled_weight_decay(rates=0.5)(tf.train.GradientDescentOptimizer(0.5))
