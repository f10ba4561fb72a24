"""What a migration refuses, with the variable and the op that are to blame."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.migration_cases import LR
from support.migration_programs import AS_IT_IS, IN_A_SCOPE, Built, l2
from support.processes import python
from support.reading import adam, minimized, refused
from support.watching import regularization
from tf1_wd import errors
from tf1_wd.commands.audit.from_graph import structural_facts
from tf1_wd.commands.migrate.reading.reader import from_facts
from tf1_wd.commands.migrate.writing import module
from tf1_wd.commands.migrate.writing.forms import FORMS
from tf1_wd.plan.options import make_rules


class Own(tf.train.GradientDescentOptimizer):
    """With a decay by a rule of its own."""

    weight_decay_rate = 0.1


def fed(loss, v):
    rate = tf.placeholder_with_default(0.5, [], "decay")
    return [adam().minimize(loss + rate * tf.nn.l2_loss(v["a/kernel"]))]


def test_a_rate_known_at_run_time_only_is_refused_and_taken_from_the_option():
    assert "--rate 'a/kernel=RATE'" in refused(fed).replace("\\/", "/")
    built = Built("program")
    with built.graph.as_default():
        fed(built.loss, built.variables)
        facts = structural_facts(built.graph)
        found = from_facts("program", facts, rates=make_rules(rates={"kernel": 0.25}))
        assert '"a/kernel": 0.25,' in module.write(found).code
        with pytest.raises(errors.NoMatchError, match="matches no variable"):
            from_facts("program", facts, rates=make_rules(rates={"weights": 0.25}))


def test_an_optimizer_that_keras_does_not_have_is_refused_by_name():
    text = refused(lambda loss, v: [tf.train.ProximalGradientDescentOptimizer(LR).minimize(loss)])
    assert "a/kernel is updated by ProximalGradientDescent" in text
    assert "tf1_wd.tf2.decay" in text


def test_an_optimizer_with_a_decay_of_its_own_rule_is_refused():
    text = refused(lambda loss, v: [Own(LR).minimize(loss)])
    assert "Own decays weights by itself (weight_decay_rate=0.1), by a rule of its own" in text


def test_a_decay_by_hand_is_refused_by_variable_and_op():
    def build(loss, v):
        train_op = adam().minimize(loss)
        with tf.control_dependencies([train_op]):
            return [tf.assign_sub(v["a/kernel"], 0.1 * v["a/kernel"], name="shrink")]

    assert "decays a/kernel by itself (in shrink" in refused(build, use_resource=False)


def test_a_decay_by_hand_beside_that_of_the_optimizer_is_refused_too():
    def build(loss, v):
        train_op = tf1_wd.AdamWOptimizer(0.1, LR).minimize(loss, decay_var_list=[v["a/kernel"]])
        with tf.control_dependencies([train_op]):
            return [tf.assign_sub(v["a/kernel"], 0.2 * v["a/kernel"], name="shrink")]

    assert "decays a/kernel by itself (in shrink" in refused(build, use_resource=False)


def test_a_graph_that_decays_by_tf1_wd_is_refused_without_its_plan():
    built = Built("program")
    with built.graph.as_default():
        IN_A_SCOPE["the default"](built.loss, built.variables)
        with pytest.raises(errors.MigrationError, match="tf1-wd run --report"):
            from_facts("program", structural_facts(built.graph))


def test_l2_in_the_loss_and_the_second_step_together_are_refused():
    def build(loss, v):
        train_op = adam().minimize(loss + l2(v))
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/kernel"]))
        with tf.control_dependencies([train_op]):
            return [tf.train.GradientDescentOptimizer(1.0).minimize(regularization())]

    assert "a second step on the penalties alone decays a/kernel already" in refused(build, use_resource=False)


def test_a_second_step_of_another_optimizer_is_refused():
    def build(loss, v):
        train_op = adam().minimize(loss)
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/kernel"]))
        with tf.control_dependencies([train_op]):
            return [adam().minimize(regularization())]

    assert "is not gradient descent: that is no decay" in refused(build, use_resource=False)


def test_a_graph_without_an_update_is_refused():
    assert "updates no trainable variable" in refused(lambda loss, v: [tf.identity(loss)])


def test_what_keras_cannot_say_is_refused_in_that_form():
    for name, words in (
        ("contrib, two rates", "Keras has one weight_decay for all variables"),
        ("ftrl, before the step", "Keras decays the weights before ftrl"),
        ("a scale that fades", "multiplies its weight_decay by the learning rate"),
    ):
        built = Built(name)
        with built.graph.as_default():
            _, scope = IN_A_SCOPE[name](built.loss, built.variables)
            found = from_facts("program", structural_facts(built.graph), scopes=[scope])
        with pytest.raises(errors.MigrationError, match=words):
            module.write(found, "keras")
    assert "kernel_regularizer=tf.keras.regularizers.L2(rate / 2)" in refused(AS_IT_IS["adam"], form="keras")


def test_an_unknown_form_is_an_error_that_lists_all():
    assert ", ".join(map(repr, FORMS)) in refused(AS_IT_IS["adam"], errors.InvalidOptionError, form="loop")


def test_an_optimizer_of_ones_own_that_changes_gradients_is_refused_where_it_has_l2():
    class Doubling(tf.train.GradientDescentOptimizer):
        def _resource_apply_dense(self, gradient, variable):
            return super()._resource_apply_dense(2.0 * gradient, variable)

    assert "Doubling changes the gradient of a/kernel" in refused(minimized(lambda: Doubling(LR)))


def test_parts_of_variables_are_refused():
    def build(loss, v):
        w = tf.get_variable("w", [4], partitioner=tf.fixed_size_partitioner(2))
        return [adam().minimize(loss + tf.reduce_sum(tf.convert_to_tensor(w)))]

    assert "run the program without its partitioner" in refused(build)


def test_a_trained_variable_that_is_not_trainable_is_refused():
    def build(loss, v):
        w = tf.get_variable("w", [4], trainable=False)
        return [adam().minimize(loss + tf.reduce_sum(w), var_list=[w, v["a/kernel"]])]

    assert "w is trained and is not among the trainable variables" in refused(build)


def test_an_optimizer_that_updates_rows_in_its_own_way_is_refused():
    class Lazy(tf.train.AdamOptimizer):
        def _apply_sparse(self, gradient, variable):
            return tf.scatter_sub(variable, gradient.indices, gradient.values)

    def build(loss, v):
        rows = tf.reduce_sum(tf.gather(v["b/kernel"], [1]))
        return [Lazy(LR).minimize(rows + tf.reduce_sum(v["a/kernel"]))]

    assert "b/kernel is updated by" in refused(build, use_resource=False)


def test_what_a_keras_optimizer_trains_is_refused_with_the_way_on(tmp_path):
    path = tmp_path / "fit.py"
    path.write_text(KERAS)
    done = python("-m", "tf1_wd", "migrate", str(path))
    assert done.returncode == 1
    assert "tf1_wd.keras.decouple(model, tf1_wd.keras.plan(model))" in done.stderr
    assert "trained" not in done.stdout + done.stderr


KERAS = """
import numpy as np
import tensorflow as tf

l2 = tf.keras.regularizers.l2(0.15)
model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,), kernel_regularizer=l2)])
model.compile("adam", "mse")
model.fit(np.ones([2, 3], np.float32), np.ones([2, 1], np.float32), verbose=0)
print("trained")
"""
