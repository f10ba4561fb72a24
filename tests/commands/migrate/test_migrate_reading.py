"""What is read off a graph for TensorFlow 2, and which variables belong together there."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.migration_cases import LR
from support.migration_programs import AS_IT_IS, Built, l2, watched
from support.reading import adam, code
from tf1_wd import errors
from tf1_wd.commands.audit.from_graph import structural_facts
from tf1_wd.commands.migrate.program import migrate_file
from tf1_wd.commands.migrate.reading.reader import from_facts
from tf1_wd.commands.migrate.writing import module as migration_code
from tf1_wd.plan.options import make_rules

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
    if name in ("two losses in turn", "two optimizers in one run"):  # a file does not tell
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


def averaged(pairs_of_towers):
    """The mean over towers, as the tutorials have it."""
    return [
        (tf.reduce_mean(tf.concat([tf.expand_dims(g, 0) for g, _ in tower], axis=0), 0), tower[0][1])
        for tower in zip(*pairs_of_towers)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_a_clip_behind_an_average_over_towers_is_in_the_code(count):
    def build(loss, v):
        optimizer = adam()
        gradients, variables = zip(
            *averaged([optimizer.compute_gradients(loss + l2(v), list(v.values())) for _ in range(count)])
        )
        return [optimizer.apply_gradients(zip(tf.clip_by_global_norm(gradients, 1.5)[0], variables))]

    text = code(build)
    assert "clipped, _ = tf.clip_by_global_norm(list(gradients.values()), 1.5)" in text
    assert ("change_gradients" in text) == (count > 1)
    assert '"a/kernel": 0.5' in text
    if count > 1:
        assert text.index("= change_gradients(gradients)") < text.index("clipped, _")
        assert "change_gradients is to be written: the program puts several gradients together: Mean" in text


def test_steps_are_named_by_the_scope_that_their_variables_have_to_themselves():
    def build(loss, v):
        w, u = (tf.get_variable(name, [2], initializer=tf.ones_initializer()) for name in ("g/w", "d/w"))
        losses = [(tf.reduce_sum(tf.sin(w * u)) + 0.1 * tf.nn.l2_loss(x), x) for x in (w, u)]
        return [adam().minimize(value, var_list=[x]) for value, x in losses]

    text = code(build)
    for scope in ("g", "d"):
        assert "def make_train_step_%s(variables, data_loss_%s):" % (scope, scope) in text
        assert "data_loss_%s is yours" % scope in text
    assert text.count("    train_step.optimizers = [optimizer_") == 2


def test_a_long_list_says_how_many_more_there_are():
    def build(loss, v):
        for i in range(7):
            tf.get_variable("frozen_%d" % i, [2])
        return [adam().minimize(loss, var_list=list(v.values()))]

    assert "Nothing trains frozen_0, frozen_1, frozen_2, frozen_3, frozen_4, and 2 more" in " ".join(
        code(build).split()
    )


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


# --- L2 of a graph from a file


def of_file(tmp_path, loss_of, *arguments):
    """What is read of Adam on a loss of w, from a file."""
    with tf.Graph().as_default():
        w = tf.get_variable("w", [2, 3])
        logits = tf.matmul(tf.placeholder(tf.float32, [None, 2]), w)
        gradient = tf.gradients(tf.reduce_mean(tf.nn.softplus(logits)) + loss_of(w), w)[0]
        adam().apply_gradients([(gradient, w)])
        tf.train.export_meta_graph(str(tmp_path / "graph.meta"))
    return migrate_file(str(tmp_path / "graph.meta"), *arguments)


@pytest.mark.parametrize(
    ("loss_of", "rate"),
    [
        (lambda w: 0.25 * tf.norm(w) ** 2, 0.5),
        (lambda w: 0.25 * tf.reduce_sum(w**2), 0.5),
        (lambda w: 0.5 * tf.nn.l2_loss(-w), 0.5),
        (lambda w: 0.5 * tf.norm(w), None),
        (lambda w: tf.log(1.0 + tf.nn.l2_loss(w)), None),
        (lambda w: tf.nn.relu(tf.nn.l2_loss(w) - 1.0), None),
        (lambda w: tf.reduce_sum(w / tf.norm(w)), None),
        (lambda w: tf.reduce_sum(tf.sin(tf.clip_by_norm(w, 1.0))), None),
    ],
)
@pytest.mark.parametrize("rules", [None, make_rules(convention="adamw")])
def test_a_graph_from_a_file_decays_by_the_l2_of_its_loss_alone(loss_of, rate, rules, tmp_path):
    (part,) = of_file(tmp_path, loss_of, rules).steps[0].parts
    assert part.weights[0].rate == (None if rate is None else pytest.approx(rate))


def test_l2_that_a_program_adds_to_its_gradient_is_in_no_rate_of_a_graph_from_a_file(tmp_path):
    with tf.Graph().as_default():
        w = tf.get_variable("w", [2, 3])
        adam().apply_gradients([(g + 0.25 * w, w) for g in tf.gradients(tf.reduce_sum(tf.sin(w)), w)])
        tf.train.export_meta_graph(str(tmp_path / "graph.meta"))
    found = migrate_file(str(tmp_path / "graph.meta"))
    assert found.steps[0].parts[0].weights[0].rate is None
    assert "changes them by the op" in migration_code.write(found).code


def test_a_rate_that_a_graph_from_a_file_does_not_tell_is_asked_for(tmp_path):
    def run_time(w):
        return tf.placeholder_with_default(0.5, []) * tf.norm(w) ** 2

    with pytest.raises(errors.MigrationError, match="--rate 'w=RATE'"):
        of_file(tmp_path, run_time)
    (part,) = of_file(tmp_path, run_time, None, make_rules(rates={"w": 0.25})).steps[0].parts
    assert part.weights[0].rate == 0.25


def test_a_negative_coefficient_is_kept_as_it_is_and_refused_as_a_decay(tmp_path):
    def negative(w):
        return -0.25 * tf.nn.l2_loss(w)

    (part,) = of_file(tmp_path, negative).steps[0].parts
    assert part.weights[0].rate == -0.25
    with pytest.raises(errors.InvalidRateError, match=r"decay rate -0.25 of variable w \(penalty in the loss\)"):
        of_file(tmp_path, negative, make_rules(convention="adamw"))
