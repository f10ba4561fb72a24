"""L2 in gradients by hand, and plans: what is no list of variables, no pair, no plan."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf
from test_scope import W0, weights

import tf1_wd
from tf1_wd import errors

RATE = 0.25


def linear(w):
    return 3.0 * tf.reduce_sum(w)


# --- plans


def test_a_plan_may_be_of_one_variable_and_counts_each_once(kind):
    w = weights()
    for variables in (w, [w, w], (w,)):
        plan = tf1_wd.plan_decay(variables, RATE)
        assert [d.name for d in plan.decays] == ["w"]
        assert "1 of 1 variables decay, 6 of 6 weights:" in str(plan)


def test_a_plan_of_a_partitioned_variable_is_one_of_its_parts(kind):
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2)):
        w = tf.get_variable("w", [4, 2])
    for variables in (w, [w]):
        assert [d.name for d in tf1_wd.plan_decay(variables, RATE).decays] == ["net/w/part_0", "net/w/part_1"]


@pytest.mark.parametrize("variables", [None, ["a"], "a", 3, [0.5], [None]])
def test_a_plan_of_what_is_no_variable_is_refused(variables):
    with pytest.raises(errors.InvalidOptionError, match=r"variables must be a list of tf\.Variable; got"):
        tf1_wd.plan_decay(variables, RATE)


def test_a_plan_says_how_many_shapes_it_does_not_know():
    fed = tf.placeholder_with_default(W0, None)
    shapeless = tf.get_variable("shapeless", initializer=fed, validate_shape=False, use_resource=False)
    assert "2 of 2 variables decay, 6 of 6 weights (not counting 1 of unknown shape)" in str(
        tf1_wd.plan_decay([shapeless, weights()], RATE)
    )


@pytest.mark.parametrize("change", [tf1_wd.add_decay_to_gradients, tf1_wd.remove_decay_from_gradients])
def test_arguments_of_another_kind_are_refused_with_what_belongs_there(change):
    w = weights()
    pairs, plan = [(tf.ones_like(w), w)], tf1_wd.plan_decay(w, RATE)
    for arguments, words in (
        ((pairs, None), "plan=None is no DecayPlan"),
        ((pairs, 0.1), r"plan=0\.1 is no DecayPlan"),
        ((plan, pairs), "the gradients come first, and then the plan"),
        ((tf.gradients(linear(w), [w]), plan), r"zip\(tf\.gradients\(loss, variables\), variables\)"),
        ((tf.ones_like(w), plan), "grads_and_vars takes pairs"),
        (([(w, tf.ones_like(w))], plan), "grads_and_vars takes pairs"),
        ((None, plan), "grads_and_vars takes pairs"),
    ):
        with pytest.raises(errors.InvalidOptionError, match=words):
            change(*arguments)
