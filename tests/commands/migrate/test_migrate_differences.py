"""What a migration tells of differences between the program and the code."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.migration_cases import LR
from support.migration_programs import AS_IT_IS, Built, l2, snippet
from support.reading import adam, code, differences, read
from support.watching import clip, regularization
from tf1_wd.commands.audit.from_graph import structural_facts
from tf1_wd.commands.migrate.from_plan import from_plan
from tf1_wd.commands.migrate.reading.reader import from_facts
from tf1_wd.commands.migrate.writing import module


def test_the_second_step_decays_frozen_weights_and_the_code_does_not():
    def build(loss, v):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/bias"]))
        train_op = adam().minimize(loss, var_list=[v["a/kernel"], v["b/kernel"]])
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.25 * tf.nn.l2_loss(v["a/kernel"]))
        with tf.control_dependencies([train_op]):
            return [tf.train.GradientDescentOptimizer(0.5).minimize(regularization())]

    found = read(build, use_resource=False)
    assert '"a/kernel": 0.125,' in module.write(found).code
    (difference,) = found.differences
    assert "also decays a/bias, which no optimizer trains" in difference.what
    assert "(1 - r)^k" in difference.size


def test_a_race_of_the_second_step_is_told_with_its_size():
    (difference,) = differences(snippet)
    assert "old weights or updated ones" in difference
    assert "up to 10 % of a step" in difference
    assert differences(snippet, use_resource=False) == []


def test_an_update_that_may_be_skipped_is_told():
    def build(loss, v):
        optimizer = tf.train.MomentumOptimizer(LR, 0.5)
        pairs = optimizer.compute_gradients(loss)
        return [tf.cond(tf.constant(True) & (loss > 0.0), lambda: optimizer.apply_gradients(pairs), tf.no_op)]

    assert "inside a cond or a loop" in differences(build)[0]


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_rows_that_stand_still_in_tensorflow_1_are_told(optimizer):
    def build(loss, v):
        made = adam() if optimizer == "adam" else tf.train.MomentumOptimizer(LR, 0.5)
        rows = tf.reduce_sum(tf.gather(v["b/kernel"], [1]))
        return [made.minimize(rows + tf.reduce_sum(v["a/kernel"]), var_list=[v["a/kernel"], v["b/kernel"]])]

    said = differences(build)
    if optimizer == "adam":  # all rows move in both
        assert said == []
    else:
        assert "Rows of b/kernel that a batch does not look up stand still" in said[0]


def test_replicas_of_a_strategy_are_told_and_every_variable_stands_once():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    graph = tf.Graph()
    with graph.as_default(), strategy.scope():

        def step():
            w = tf.get_variable("w", initializer=tf.ones([2]))
            return adam().minimize(tf.reduce_sum(tf.square(w - 1.5)), tf.train.get_or_create_global_step())

        run = getattr(strategy, "run", None) or strategy.experimental_run_v2
        run(step)
        found = from_facts("program", structural_facts(graph))
    assert [w.name for step in found.steps for part in step.parts for w in part.weights] == ["w"]
    assert "replicas of a distribution strategy" in str(found.differences[0])


def test_declared_penalties_that_are_in_no_loss_are_noted():
    def build(loss, v):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/kernel"]))
        return [adam().minimize(loss)]

    (note,) = read(build).notes
    assert "declared in the collection" in note
    assert "In the code nothing decays either" in note


def test_declared_penalties_beside_others_that_decay_are_noted():
    def build(loss, v):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/kernel"]))
        return [adam().minimize(loss + 0.2 * tf.nn.l2_loss(v["a/kernel"]))]

    (note,) = read(build).notes
    assert "its rate is that of other L2 in the loss. So it is in the code" in note


def test_averages_and_batch_norm_and_frozen_variables_are_noted():
    def build(loss, v):
        average = tf.train.ExponentialMovingAverage(0.5)
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.no_op())
        train_op = adam().minimize(loss, var_list=[v["a/kernel"]])
        with tf.control_dependencies([train_op]):
            return [average.apply([v["a/kernel"]])]

    notes = " ".join(read(build).notes)
    assert "Nothing trains a/bias, b/kernel" in notes
    assert "moving averages" in notes
    assert "training=True" in notes


def test_rows_that_decay_when_they_are_looked_up_are_told():
    def build(loss, v):
        with tf1_wd.decoupled_weight_decay(rates=0.1, sparse="touched_rows", include="b/") as scope:
            rows = tf.reduce_sum(tf.gather(v["b/kernel"], [1]))
            train_op = tf.train.AdagradOptimizer(LR).minimize(rows + tf.reduce_sum(v["a/kernel"]))
        return [train_op], scope

    built = Built("program")
    with built.graph.as_default():
        _, scope = build(built.loss, built.variables)
        found = from_facts("program", structural_facts(built.graph), scopes=[scope])
    assert "(1 - r)^k of its weights left" in found.differences[0].size
    assert found.differences == from_plan(scope.plan, "adagrad", LR).differences


def test_one_optimizer_for_several_updates_is_told():
    def build(loss, v):
        optimizer = adam()
        first = optimizer.minimize(loss, var_list=[v["a/kernel"], v["a/bias"]])
        return [first, optimizer.minimize(loss, var_list=[v["b/kernel"]])]

    assert "One optimizer makes several updates" in differences(build)[0]


def test_several_optimizers_may_have_their_learning_rate_in_one_variable():
    def build(loss, v):
        rate = tf.get_variable("lr", initializer=LR, trainable=False)
        first = tf.train.AdamOptimizer(rate).minimize(loss, var_list=[v["a/kernel"], v["a/bias"]])
        return [first, tf.train.MomentumOptimizer(rate, 0.5).minimize(loss, var_list=[v["b/kernel"]])]

    assert differences(build) == []
    assert differences(build, use_resource=False) == []


def test_optimizers_that_race_in_one_run_on_reference_variables_are_told():
    def build(loss, v):
        first = adam().minimize(loss, var_list=[v["a/kernel"], v["a/bias"]])
        return [tf.group(first, adam().minimize(loss, var_list=[v["b/kernel"]]))]

    assert "as the run happens to go" in differences(build, use_resource=False)[0]
    assert differences(build) == []


def test_what_else_assigns_trained_variables_is_told():
    def build(loss, v):
        with tf.control_dependencies([adam().minimize(loss)]):
            return [tf.assign(v["a/kernel"], tf.clip_by_value(v["a/kernel"], -1.0, 1.0), name="clipped")]

    (difference,) = differences(build, use_resource=False)
    assert "The program also assigns a/kernel, by clipped" in difference


def test_constraints_are_told():
    def build(loss, v):
        w = tf.get_variable("w", [2], constraint=tf.nn.relu)
        return [adam().minimize(loss + tf.reduce_sum(w))]

    assert "w have constraints" in differences(build)[0]


def test_a_second_step_that_does_not_wait_for_the_update_is_told():
    def build(loss, v):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/kernel"]))
        second = tf.train.GradientDescentOptimizer(1.0).minimize(regularization())
        return [tf.group(adam().minimize(loss), second)]

    assert "does not wait for the update" in differences(build, use_resource=False)[0]


def test_decay_in_runs_of_its_own_is_told():
    def build(loss, v):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/kernel"]))
        train_op = adam().minimize(loss)
        return [train_op, tf.train.GradientDescentOptimizer(1.0).minimize(regularization())]

    assert "in runs of their own" in differences(build, use_resource=False)[0]


def test_contrib_decays_the_rows_that_are_looked_up_and_that_is_told():
    def build(loss, v):
        rows = tf.reduce_sum(tf.gather(v["b/kernel"], [1]))
        return [tf1_wd.AdamWOptimizer(0.1, LR).minimize(rows + tf.reduce_sum(v["a/kernel"]))]

    assert "Of b/kernel the rows decay that a batch looks up" in differences(build)[0]


def test_gradients_that_were_accumulated_are_told():
    def build(loss, v):
        (gradient,) = tf.gradients(loss, v["a/kernel"])
        total = tf.get_variable("total", gradient.shape, initializer=tf.zeros_initializer(), trainable=False)
        with tf.control_dependencies([tf.assign_add(total, gradient)]):
            return [adam().apply_gradients([(total.read_value(), v["a/kernel"])])]

    assert "accumulates gradients in variables" in differences(build)[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda gs: tf.clip_by_global_norm(gs, 0.5, use_norm=tf.global_norm(gs[:1]))[0],
        lambda gs: [*tf.clip_by_global_norm(gs[:1], 0.5)[0], *tf.clip_by_global_norm(gs[1:], 0.5)[0]],
        lambda gs: [tf.clip_by_norm(g, 0.5, axes=[0]) for g in gs],
        lambda gs: [tf.clip_by_norm(gs[0], 0.5), *gs[1:]],
        lambda gs: [tf.clip_by_average_norm(g, 0.5) for g in gs],
    ],
    ids=["another norm", "two lists", "axes", "one of them", "average norm"],
)
def test_a_clip_that_is_not_of_all_gradients_together_is_asked_for(change):
    def build(loss, v):
        gradients, variables = zip(*adam().compute_gradients(loss + l2(v)))
        return [adam().apply_gradients(zip(change(list(gradients)), variables))]

    text = code(build)
    assert "change_gradients(gradients)" in text
    assert "loss += tf.cast(rate * tf.nn.l2_loss" in text  # in front of it, so that what clips the data's clips it too


def test_a_clip_that_takes_in_the_rows_of_a_table_is_recognised():
    def build(loss, v):
        rows = tf.reduce_sum(tf.sin(tf.gather(v["b/kernel"], [1, 1])))
        pairs = adam().compute_gradients(rows + tf.reduce_sum(tf.sin(v["a/kernel"])), [v["a/kernel"], v["b/kernel"]])
        gradients, variables = zip(*pairs)
        return [adam().apply_gradients(zip(clip(gradients), variables))]

    text = code(build)
    assert "tf.clip_by_global_norm(list(gradients.values()), 1.0)" in text
    assert "change_gradients" not in text


def test_a_weighted_loss_asks_what_becomes_of_the_gradients():
    text = code(lambda loss, v: [adam().minimize(loss + l2(v), grad_loss=tf.constant(3.0))])
    assert "weights the loss by grad_loss= or grad_ys=" in " ".join(text.split())


def test_a_loss_that_is_no_scalar_is_added_up_as_tensorflow_1_does():
    assert "loss = tf.reduce_sum(data_loss(*batch))" in code(AS_IT_IS["adam"])
