"""The snippet, as README and docs/guide/conventions.md have it, and what README makes of it, train as they say."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

from support import oracle
from support.pages import runs
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights

STEPS = 5


def trained(code):
    """The weights that the train_op of code leaves, in a program with one penalty in the collection."""
    w = weights(regularizer=l2())
    names = dict(tf=tf, loss=data_loss(w), learning_rate=LR, global_step=tf.train.get_or_create_global_step())
    names["optimizer"] = tf.train.AdamOptimizer(LR)
    exec(code, names)
    got, steps = run(*[names["train_op"]] * STEPS, [w, names["global_step"]])
    assert steps == STEPS
    return got


def decayed(order="after", rate=RATE):
    return oracle.train("adam", LR, W0, gradient, STEPS, order, rate)


def sides(diff):
    """The text before a diff, and the text after it."""
    lines = diff.splitlines(keepends=True)
    return tuple("".join(line[1:] for line in lines if line[0] != other) for other in "+-")


@runs("README.md", diff="+import tf1_wd")
def test_after_the_edit_of_the_readme_the_program_decays_truly(diff, kind):
    _, after = sides(diff.text)
    assert "tf1_wd" in after
    assert_close(trained(after), decayed())


@runs("README.md", diff="+import tf1_wd")
def test_before_the_edit_of_the_readme_reference_variables_decay_by_the_same_rule(diff):
    before, _ = sides(diff.text)
    assert "tf1_wd" not in before
    assert_close(trained(before), decayed())


@runs("docs/guide/conventions.md", block="train_op = optimizer.minimize")
def test_the_second_sgd_step_of_the_page_decays_updated_reference_variables(block):
    assert_close(trained(block.text), decayed())


def test_the_rules_are_told_apart():
    for other in (decayed("before"), decayed(rate=0.0)):
        assert np.abs(decayed() - other).min() > 1e-4
