"""What is read off a graph for TensorFlow 2, what is refused, and what is said to differ."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import migration_cases as cases
from support.migration_cases import LR
from support.migration_programs import AS_IT_IS, IN_A_SCOPE, Built, l2, snippet, watched
from support.watching import clip, regularization
from tf1_wd import errors, migration, migration_code
from tf1_wd.migrate import from_facts
from tf1_wd.migrate_program import migrate_file
from tf1_wd.migration_forms import FORMS
from tf1_wd.rules import make_rules
from tf1_wd.structure import structural_facts

RATE = 0.5


def read(build, rules=None, use_resource=True, name="program"):
    return watched(build, Built(name, use_resource), rules)[1]


def code(build, form="auto", **options):
    return migration_code.write(read(build, **options), form).code


def differences(build, **options):
    return [str(d) for d in read(build, **options).differences]


def minimized(optimizer, **options):
    return lambda loss, v: [optimizer().minimize(loss + l2(v), **options)]


def adam():
    return tf.train.AdamOptimizer(LR)


# --- what is read


@pytest.mark.parametrize("name", sorted(set(AS_IT_IS) - {"the pasted snippet", "two optimizers in one run"}))
def test_reference_and_resource_variables_give_the_same_code(name):
    codes = {code(AS_IT_IS[name], use_resource=r, name=name) for r in (True, False)}
    assert len(codes) == 1


@pytest.mark.parametrize("name", sorted(name for name in AS_IT_IS if not name.startswith("contrib")))
def test_a_graph_from_a_file_gives_the_same_code(name, tmp_path):
    built = Built(name)
    _, found = watched(AS_IT_IS[name], built)
    path = str(tmp_path / "program.meta")
    with built.graph.as_default():
        tf.train.export_meta_graph(path)
    of_file = migration_code.write(migrate_file(path)).code.replace("program.meta", "program")
    program = migration_code.write(found).code
    if name == "a gradient times two":  # a file tells the rate in the gradient alone
        assert '"a/kernel": 1.0,' in of_file
        assert '"a/kernel": 0.5,' in program
    elif name in ("two losses in turn", "two optimizers in one run"):  # a file does not tell
        assert "is not in the graph" in of_file
    else:
        assert of_file == program


def test_a_graph_from_a_file_is_decoupled_by_rules_as_the_program_is(tmp_path):
    built, rules = Built("program"), make_rules(convention="adamw", exclude="b/")
    watched(AS_IT_IS["adam"], built)
    path = str(tmp_path / "program.meta")
    with built.graph.as_default():
        tf.train.export_meta_graph(path)
    of_file = migration_code.write(migrate_file(path, rules)).code.replace("program.meta", "program")
    assert of_file == code(AS_IT_IS["adam"], rules=rules)
    assert "weight_decay=0.5" in of_file


def test_variables_stand_in_the_order_in_which_the_program_makes_them():
    def build(loss, v):
        return [adam().minimize(loss, var_list=[v["b/kernel"], v["a/bias"], v["a/kernel"]])]

    names = re.findall(r'^    "(.*)": \(', code(build), re.M)
    assert names == ["a/kernel", "a/bias", "b/kernel"]


def falling(counter):
    """A program whose learning rate falls with the global step, which `counter` counts up, or nothing."""

    def build(loss, v):
        step = tf.train.get_or_create_global_step()
        rate = tf.train.exponential_decay(0.1, step, 10, 0.5, staircase=True, name="falling")
        return [tf.train.AdamOptimizer(rate).minimize(loss, step if counter else None)]

    return build


def test_a_learning_rate_that_is_a_function_of_the_updates_is_a_default():
    text = code(falling(counter=True))
    assert "    return 0.1 * (0.5 ** tf.floor(step / 10.0))\n\n\ndef make_optimizer(" in text
    assert "def make_optimizer(variables, learning_rate=learning_rate):" in text
    assert "def make_train_step(variables, data_loss, learning_rate=learning_rate):" in text
    assert "  train_step = make_train_step(variables, data_loss)\n" in text
    assert "To go on from step n of the program: learning_rate=lambda step: learning_rate(step + n)." in text


def test_a_learning_rate_that_is_known_at_run_time_only_is_asked_for_by_its_name_in_the_program():
    text = code(falling(counter=False))
    assert "learning_rate: a function of the number of updates so far, falling in the program" in text
    assert "def make_train_step(variables, data_loss, learning_rate):" in text
    assert "  train_step = make_train_step(variables, data_loss, learning_rate)\n" in text


def test_what_has_to_be_given_stands_in_front_of_what_has_a_default():
    def build(loss, v):
        step = tf.train.get_or_create_global_step()
        optimizer = tf.train.AdamOptimizer(tf.train.exponential_decay(0.1, step, 10, 0.5))
        pairs = [(2.0 * gradient, w) for gradient, w in optimizer.compute_gradients(loss)]
        return [optimizer.apply_gradients(pairs, step)]

    signature = "def make_train_step(variables, data_loss, change_gradients, learning_rate=learning_rate):"
    assert signature in code(build)


def test_a_scale_that_is_the_tensor_of_the_learning_rate_is_the_learning_rate():
    codes = set()
    for by_name in (True, False):
        built = Built("program")
        with built.graph.as_default():
            step = tf.train.get_or_create_global_step()
            rate = tf.train.exponential_decay(0.1, step, 10, 0.5)
            scale = "learning_rate" if by_name else rate
            with tf1_wd.decoupled_weight_decay(rates=0.5, order="before", scale=scale) as scope:
                tf.train.AdamOptimizer(rate).minimize(built.loss, step)
            found = from_facts("program", structural_facts(built.graph), scopes=[scope])
        codes.add(migration_code.write(found).code)
    (text,) = codes
    assert "tf.keras.optimizers.AdamW(" in text


def test_settings_have_the_decimals_that_the_program_has():
    text = code(lambda loss, v: [tf.train.AdamOptimizer(1e-3, 0.8, 0.95, 1e-4).minimize(loss + 0.1 * l2(v, 0.7))])
    for setting in ("learning_rate=0.001", "beta_1=0.8", "beta_2=0.95", "epsilon=0.0001"):
        assert "        %s,\n" % setting in text
    assert '"a/kernel": 0.07,' in text


def test_a_variable_that_only_penalties_reach_has_a_gradient_of_zeros():
    def build(loss, v):
        lonely = tf.get_variable("lonely", [2], initializer=tf.ones_initializer())
        return [adam().minimize(loss + tf.nn.l2_loss(lonely))]

    rules = make_rules(convention="contrib", multipliers={"lonely": 0.5})
    assert "unconnected_gradients=tf.UnconnectedGradients.ZERO" in code(build, rules=rules)
    assert "unconnected_gradients" not in code(AS_IT_IS["adam"])


def test_towers_ask_what_becomes_of_the_gradients():
    def build(loss, v):
        optimizer, variables = adam(), list(v.values())
        calls = [optimizer.compute_gradients(loss + l2(v), variables) for _ in range(2)]
        pairs = [(tf.reduce_mean(tf.stack([g for g, _ in both]), 0), both[0][1]) for both in zip(*calls)]
        return [optimizer.apply_gradients(pairs)]

    text = code(build)
    assert "change_gradients(gradients)" in text
    assert "puts several gradients together: Mean" in " ".join(text.split())
    assert '"a/kernel": 0.5' in text


# --- pairing variables


def paired(shapes):
    module = {}
    text = code(AS_IT_IS["adam"]).replace("@tf.function", "")
    exec(text, module)
    names = [np.zeros(shape).view(_Named) for shape in shapes]
    return module["pair"](names)


class _Named(np.ndarray):
    name = "of the new model"


def test_variables_are_paired_in_their_order():
    assert list(paired([(2, 3), (3,), (3, 2)])) == ["a/kernel", "a/bias", "b/kernel"]


def test_a_wrong_number_of_variables_or_a_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match="2 variables for the 3 of VARIABLES"):
        paired([(2, 3), (3,)])
    with pytest.raises(ValueError, match=r"a/bias has the shape \(3,\), and of the new model \(4,\)"):
        paired([(2, 3), (4,), (3, 2)])


def test_gamma_and_beta_are_not_mixed_up():
    built = Built("program")
    with built.graph.as_default(), tf1_wd.decoupled_weight_decay(rates=0.1) as scope:
        beta, gamma = (tf.get_variable("norm/" + name, [3]) for name in ("beta", "gamma"))
        adam().minimize(tf.reduce_sum(beta * gamma))
    module, weights = {}, [np.zeros(3).view(_Named) for _ in range(2)]
    exec(tf1_wd.migrate_plan(scope.plan, "adam", LR).code.replace("@tf.function", ""), module)
    weights[0].name, weights[1].name = "norm/gamma:0", "norm/beta:0"
    with pytest.raises(ValueError, match="norm/beta would go with gamma: give the variables in the order of VARIABLES"):
        module["pair"](weights)
    assert list(module["pair"](weights[::-1])) == ["norm/beta", "norm/gamma"]


# --- what differs


def test_the_second_step_decays_frozen_weights_and_the_code_does_not():
    def build(loss, v):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(v["a/bias"]))
        train_op = adam().minimize(loss, var_list=[v["a/kernel"], v["b/kernel"]])
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.25 * tf.nn.l2_loss(v["a/kernel"]))
        with tf.control_dependencies([train_op]):
            return [tf.train.GradientDescentOptimizer(0.5).minimize(regularization())]

    found = read(build, use_resource=False)
    assert '"a/kernel": 0.125,' in migration_code.write(found).code
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
    assert found.differences == migration.from_plan(scope.plan, "adagrad", LR).differences


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


# --- what is refused


class Own(tf.train.GradientDescentOptimizer):
    """With a decay by a rule of its own."""

    weight_decay_rate = 0.1


def refused(build, error=errors.MigrationError, form="auto", **options):
    with pytest.raises(error) as raised:
        code(build, form, **options)
    return str(raised.value)


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
        assert '"a/kernel": 0.25,' in migration_code.write(found).code
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
            migration_code.write(found, "keras")
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


# --- plans


def test_terms_of_a_plan_are_told_and_what_a_plan_does_not_know_is_noted():
    plan = dict(plan_of(rates=0.1).as_dict(), terms={"l1": "not L2 and not in the loss: its own SGD step, times scale"})
    written = tf1_wd.migrate_plan(plan, "adam", LR)
    assert "l1: not L2" in str(written.differences[0])
    assert "A plan says nothing of clips" in written.notes[0]


@pytest.mark.parametrize("variables", [[], "w", [{"name": "w"}]])
def test_a_plan_without_variables_is_refused(variables):
    with pytest.raises(errors.InvalidOptionError, match="the plan"):
        tf1_wd.migrate_plan({"order": "after", "variables": variables}, "adam", LR)


def test_names_of_programs_do_no_harm_to_the_code():
    plan = plan_of(rates=0.1)
    compile(tf1_wd.migrate_plan(plan, "adam", LR, program='a\\N{x} """b.py').code, "new.py", "exec")


def plan_of(**options):
    built = Built("program")
    with built.graph.as_default(), tf1_wd.decoupled_weight_decay(**options) as scope:
        adam().minimize(built.loss)
    return scope.plan


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("adamw", LR), "optimizer='adamw' is unknown; choose one of: 'sgd'"),
        (("momentum", LR), "momentum= is missing"),
        (("adam", "fast"), "learning_rate='fast' is not a number"),
        (("adam", 0.0), "learning_rate=0.0 must be finite and greater than 0"),
        (("adam", LR, 0.5), "scale=0.5: pass 'learning_rate'"),
    ],
)
def test_what_is_wrong_with_the_arguments_of_a_plan_is_said(arguments, words):
    with pytest.raises(errors.InvalidOptionError, match=re.escape(words)):
        tf1_wd.migrate_plan(plan_of(rates=0.1), *arguments)


def test_an_unknown_setting_is_an_error_that_lists_those_there_are():
    with pytest.raises(errors.InvalidOptionError, match="adam has no setting beta1; it has: beta_1, beta_2, epsilon"):
        tf1_wd.migrate_plan(plan_of(rates=0.1), "adam", LR, beta1=0.5)


def test_what_is_no_plan_is_refused():
    with pytest.raises(errors.InvalidOptionError, match="the plan has no order or no variables"):
        tf1_wd.migrate_plan({"graphs": []}, "adam", LR)


def test_a_plan_with_a_rate_known_at_run_time_only_is_refused():
    plan = plan_of(rates=0.1).as_dict()
    plan["variables"][0]["rate"] = "run time"
    with pytest.raises(errors.MigrationError, match="the rate of a/kernel is known at run time only"):
        tf1_wd.migrate_plan(plan, "adam", LR)


def test_variables_that_the_scope_does_not_train_are_not_in_the_code():
    built = Built("program")
    with built.graph.as_default(), tf1_wd.decoupled_weight_decay(rates=0.1, exclude="bias") as scope:
        loss = cases.data_loss(tf, {"a/kernel": built.variables["a/kernel"]}, built.x)
        adam().minimize(loss + tf.nn.l2_loss(built.variables["b/kernel"]) * 0.0, var_list=[built.variables["a/kernel"]])
    text = tf1_wd.migrate_plan(scope.plan, "adam", LR).code
    assert re.findall(r'^    "(.*)": \(', text, re.M) == ["a/kernel"]


def test_a_plan_and_its_json_give_the_same_code():
    plan = plan_of(rates={"a/": 0.1, "b/": 0.2}, convention="contrib")
    assert tf1_wd.migrate_plan(plan, "adam", LR).code == tf1_wd.migrate_plan(plan.as_dict(), "adam", LR).code


def test_a_scale_of_a_plan_that_changes_is_asked_for_or_is_the_learning_rate():
    built = Built("program")
    with built.graph.as_default():
        step = tf.train.get_or_create_global_step()
        with tf1_wd.decoupled_weight_decay(rates=0.1, convention="adamw") as scope:
            tf.train.AdamOptimizer(tf.train.exponential_decay(0.1, step, 10, 0.5)).minimize(built.loss, step)
    plan = scope.plan
    assert "decay_scale: a function of the number of updates so far" in tf1_wd.migrate_plan(plan, "adam").code
    by_rate = tf1_wd.migrate_plan(plan, "adam", scale="learning_rate").code
    assert "decay_scale" not in by_rate
    assert "weight_decay=0.1" in by_rate
