"""Refusals that may follow one another, each with its ways out: what they advise leads to the right weights."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.other_words import fed_loss
from support.programs import (
    LR,
    RATE,
    W0,
    assert_close,
    data_loss,
    gradient,
    one_step,
    own_assignment,
    run,
    sgd,
    weights,
    with_l2,
)
from tf1_wd import errors


def scoped(build, **options):
    with tf1_wd.decoupled_weight_decay(**options):
        return build()


def refused(kind_of_error, text):
    return pytest.raises(kind_of_error, match=re.escape(text))


def test_a_gradient_for_another_loss_is_computed_before_the_scope(kind):
    w = weights()

    def outer(inner):
        return sgd().minimize(data_loss(w - 0.25 * tf.stop_gradient(inner)) + RATE * tf.nn.l2_loss(w))

    with refused(errors.UnsupportedUpdateError, "compute that gradient before the scope"):
        scoped(lambda: outer(tf.gradients(with_l2(w), w)[0]))
    inner = tf.gradients(with_l2(w), w)[0]
    moved = W0 - 0.25 * (gradient(W0) + RATE * W0)
    assert_close(run(scoped(lambda: outer(inner)), w), (1 - RATE) * (W0 - LR * gradient(moved)))


@pytest.mark.parametrize("remedy", ["outside", "excluded"])
def test_l2_inside_of_a_cond_is_moved_outside_or_its_variable_excluded(remedy, kind):
    w, v, flag = weights("w"), weights("v"), tf.placeholder_with_default(True, [])
    penalty, beside = RATE * tf.nn.l2_loss(w), fed_loss(v) + RATE * tf.nn.l2_loss(v)

    def inside():
        branches = [lambda: fed_loss(w) + RATE * tf.nn.l2_loss(w), lambda: fed_loss(w)]
        return sgd().minimize(tf.cond(flag, *branches) + beside)

    def outside():
        return sgd().minimize(tf.cond(flag, lambda: fed_loss(w), lambda: fed_loss(w)) + penalty + beside)

    with refused(errors.UnsupportedUpdateError, "move the penalty outside, or exclude the variable"):
        scoped(inside)
    if remedy == "outside":
        assert_close(run(scoped(outside), [w, v]), [one_step()] * 2)
    else:
        coupled = W0 - LR * (gradient(W0) + RATE * W0)
        assert_close(run(scoped(inside, exclude="^w$"), [w, v]), [coupled, one_step()])


def test_updates_that_wait_for_one_another_are_decayed_after_all_of_them(kind):
    w, v = weights("w"), weights("v")
    with tf.control_dependencies([sgd().minimize(data_loss(w), var_list=[w])]):
        train_op = sgd().minimize(data_loss(v + tf.identity(0.0 * W0)), var_list=[v])
    if not any("Apply" in op.type for t in train_op.control_inputs for op in t.control_inputs):
        train_op = tf.group(train_op)
    with refused(errors.UnsupportedUpdateError, "use order='after'"):
        tf1_wd.attach(train_op, rates=RATE, order="before")
    assert_close(run(tf1_wd.attach(train_op, rates=RATE, order="after"), [w, v]), [one_step()] * 2)


def test_an_update_without_a_learning_rate_takes_it_as_its_scale(kind):
    w = weights()
    train_op = own_assignment(w, data_loss(w))
    with refused(errors.InvalidOptionError, "pass scale= the float or Tensor"):
        tf1_wd.attach(train_op, rates=RATE, scale="learning_rate")
    for scale in (LR, tf.constant(LR)):
        with tf.Graph().as_default():
            w = weights()
            scale = scale if isinstance(scale, float) else tf.constant(LR)
            train_op = tf1_wd.attach(own_assignment(w, data_loss(w)), rates=RATE, scale=scale)
            assert_close(run(train_op, w), one_step(rate=LR * RATE))


@pytest.mark.parametrize("wrong", ["of another graph", "a truth value"])
def test_a_scale_is_made_in_the_graph_or_cast_as_the_refusal_says(wrong, kind):
    w = weights()
    with tf.Graph().as_default():
        elsewhere = tf.constant(0.5)
    truth = tf.placeholder_with_default(True, [])
    scale, text = (elsewhere, "make it in the same graph") if wrong == "of another graph" else (truth, "tf.cast it to")
    with refused(errors.InvalidOptionError, text):
        scoped(lambda: sgd().minimize(with_l2(w)), scale=scale)
    right = tf.constant(1.0) if wrong == "of another graph" else tf.cast(truth, tf.float32)
    assert_close(run(scoped(lambda: sgd().minimize(with_l2(w)), scale=right), w), one_step())


@pytest.mark.parametrize("remedy", ["outside", "0"])
def test_an_optimizer_with_a_decay_of_its_own_is_used_outside_or_without_it(remedy, kind):
    w = weights()

    def ftrl(own):
        return tf.train.FtrlOptimizer(LR, l2_regularization_strength=own)

    with refused(errors.AlreadyDecoupledError, "use it outside of the scope, or set its decay to 0"):
        scoped(lambda: ftrl(0.5).minimize(data_loss(w)), rates=RATE)
    plain = run(ftrl(0.5 if remedy == "outside" else 0.0).minimize(data_loss(w)), w)
    if remedy == "0":
        train_op = scoped(lambda: ftrl(0.0).minimize(data_loss(w)), rates=RATE)
        assert_close(run(train_op, w), (1 - RATE) * plain)
    else:
        assert np.abs(plain).max() < np.abs(W0).max()


@pytest.mark.parametrize("remedy", ["taken out", "excluded", "built afterwards"])
def test_a_decay_of_the_programs_own_is_taken_out_or_its_variable_excluded(remedy, kind):
    w, v = weights("w"), weights("v")
    losses = with_l2(w) + with_l2(v)

    def build(own):
        if own:
            w.assign(w * 0.5)
        return sgd().minimize(losses)

    if remedy == "taken out":
        assert_close(run(scoped(lambda: build(False)), [w, v]), [one_step()] * 2)
    elif remedy == "built afterwards":
        train_op = scoped(lambda: build(False))
        w.assign(w * 0.5)
        assert_close(run(train_op, [w, v]), [one_step()] * 2)
    with refused(errors.AlreadyDecoupledError, "Take that out, or exclude the variables"):
        scoped(lambda: build(True))
    if remedy == "excluded":  # and so without its L2
        train_op = scoped(lambda: build(True), exclude="^w$")
        assert_close(run(train_op, [w, v]), [one_step(rate=0.0), one_step()])


@pytest.mark.parametrize("remedy", ["one of the two", "excluded"])
def test_l2_by_hand_in_a_scope_is_left_to_one_of_the_two(remedy, kind):
    w, v = weights("w"), weights("v")
    plan = tf1_wd.plan_decay([w], RATE)

    def build(by_hand):
        pairs = sgd().compute_gradients(data_loss(w) + with_l2(v))
        pairs = tf1_wd.add_decay_to_gradients(pairs[:1], plan) + pairs[1:] if by_hand else pairs
        return sgd().apply_gradients(pairs)

    with refused(errors.CoupledPenaltyError, "use one of the two, or exclude the variable in one of them"):
        scoped(lambda: build(True), rates={"w": RATE})
    if remedy == "one of the two":
        assert_close(run(scoped(lambda: build(False), rates={"w": RATE}), [w, v]), [one_step()] * 2)
    else:
        coupled = W0 - LR * (gradient(W0) + RATE * W0)
        assert_close(run(scoped(lambda: build(True), exclude="^w$"), [w, v]), [coupled, one_step()])


def test_l2_that_is_in_no_gradient_is_left_out_of_the_plan_that_takes_it_out(kind):
    w, v = weights("w"), weights("v")

    def build(*planned):
        pairs = sgd().compute_gradients(with_l2(w) + tf.reduce_sum(v))
        plan = tf1_wd.plan_decay(list(planned), {v.op.name: RATE for v in planned})
        pairs = {v.op.name: (g, v) for g, v in pairs}
        out = tf1_wd.remove_decay_from_gradients([pairs[v.op.name] for v in planned], plan)
        rest = [pair for name, pair in pairs.items() if name not in [p.op.name for p in planned]]
        return sgd().apply_gradients(out + rest)

    with refused(errors.InvalidOptionError, "leave it out of the plan"):
        build(w, v)
    assert_close(run(build(w), [w, v]), [W0 - LR * gradient(W0), W0 - LR])


def test_a_word_for_rows_is_left_out_where_no_gradient_is_of_rows(kind):
    w = weights()
    with refused(errors.NoMatchError, "Leave sparse= out"):
        scoped(lambda: sgd().minimize(with_l2(w)), sparse="touched_rows")
    assert_close(run(scoped(lambda: sgd().minimize(with_l2(w))), w), one_step())


def test_a_rate_that_another_graph_knows_is_passed_as_a_number(kind):
    with tf.Graph().as_default():
        w = weights()
        with tf1_wd.decoupled_weight_decay() as decay:
            sgd().minimize(data_loss(w) + tf.placeholder_with_default(np.float64(RATE), []) * tf.nn.l2_loss(w))
    w = weights()
    pairs = sgd().compute_gradients(data_loss(w))
    with refused(errors.InvalidRateError, "pass rates="):
        tf1_wd.add_decay_to_gradients(pairs, decay.plan)
    pairs = tf1_wd.add_decay_to_gradients(pairs, tf1_wd.plan_decay([w], RATE))
    assert_close(run(sgd().apply_gradients(pairs), w), W0 - LR * (gradient(W0) + RATE * W0))


@pytest.mark.parametrize("remedy", ["inside", "rates"])
def test_gradients_from_outside_are_moved_inside_or_vouched_for_by_rates(remedy, kind):
    w = weights(regularizer=lambda v: RATE * tf.nn.l2_loss(v))
    outside = sgd().compute_gradients(data_loss(w))
    with refused(errors.UnsupportedUpdateError, "or tf.gradients inside, or pass rates= if it holds none"):
        scoped(lambda: sgd().apply_gradients(outside))
    if remedy == "inside":
        train_op = scoped(lambda: sgd().apply_gradients(sgd().compute_gradients(data_loss(w))))
    else:
        train_op = scoped(lambda: sgd().apply_gradients(outside), rates=RATE)
    assert_close(run(train_op, w), one_step())


def test_a_gradient_from_outside_that_holds_l2_is_computed_inside(kind):
    w = weights()
    outside = sgd().compute_gradients(with_l2(w))
    with refused(errors.CoupledPenaltyError, "move compute_gradients or tf.gradients inside"):
        scoped(lambda: sgd().apply_gradients(outside), rates=RATE)
    train_op = scoped(lambda: sgd().apply_gradients(sgd().compute_gradients(with_l2(w))), rates=RATE)
    assert_close(run(train_op, w), one_step())
