"""Code out of a plan, or of its JSON, alone."""

from __future__ import annotations

import re

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import migration_cases as cases
from support.migration_cases import LR
from support.migration_programs import Built
from support.reading import adam
from tf1_wd import errors


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
