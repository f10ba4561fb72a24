"""What a refusal advises is done, and leads to the weights that NumPy has: no two refusals send in a circle."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
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


def raw_update(w, loss):
    """A step of gradient descent by an op of the program's own."""
    amounts = dict(alpha=tf.constant(LR, tf.float64), delta=tf.gradients(loss, w)[0])
    if hasattr(w, "handle"):
        return tf.raw_ops.ResourceApplyGradientDescent(var=w.handle, **amounts)
    return tf.raw_ops.ApplyGradientDescent(var=w._ref(), **amounts).op


@pytest.mark.parametrize(
    ("update", "kind_of_refusal", "advice"),
    [
        (raw_update, errors.CoupledPenaltyError, "leave the L2 out of the loss, and pass rates="),
        (own_assignment, errors.AlreadyDecoupledError, "Take that out"),
    ],
)
@pytest.mark.parametrize("order", ["after", "before"])
def test_an_update_of_the_programs_own_decays_by_attach_as_the_refusals_say(
    update, kind_of_refusal, advice, order, kind
):
    with tf.Graph().as_default(), tf.variable_scope(tf.get_variable_scope(), use_resource=kind == "resource"):
        w = weights("kernel")
        with pytest.raises(errors.NothingUpdatedError, match="outside of the scope, on a loss without L2") as refused:
            with tf1_wd.decoupled_weight_decay(order=order):
                update(w, with_l2(w))
        with pytest.raises(kind_of_refusal, match=advice):
            tf1_wd.attach(update(w, with_l2(w)), rates=RATE)
    w = weights("kernel")
    train_op = named_call(refused)(update(w, data_loss(w)))
    assert_close(run(train_op, w), one_step(order))


def named_call(refused):
    """A function that does to a train_op what the call does that an error names."""
    call = re.search(r"tf1_wd\.attach\(train_op, .*?\)", str(refused.value)).group()
    return eval("lambda train_op: " + call, {"tf1_wd": tf1_wd})


def test_a_decay_times_the_learning_rate_of_an_op_of_the_programs_own_is_named_with_it(kind):
    w = weights("kernel")
    with pytest.raises(errors.NothingUpdatedError) as refused:
        with tf1_wd.decoupled_weight_decay(convention="adamw"):
            raw_update(w, with_l2(w))
    train_op = named_call(refused)(raw_update(w, data_loss(w)))
    assert_close(run(train_op, w), one_step("before", LR * RATE))


@pytest.mark.parametrize("by_hand", [False, True])
def test_l2_in_an_update_of_the_programs_own_is_left_where_it_is_as_the_refusal_says(by_hand, kind):
    w = weights("kernel")
    with pytest.raises(errors.NothingUpdatedError, match=r"where L2 of the loss acts as it is, .*\.add_decay_to_grad"):
        with tf1_wd.coupled_weight_decay(rates=RATE if by_hand else None):
            raw_update(w, data_loss(w) if by_hand else with_l2(w))
    loss = data_loss(w) if by_hand else with_l2(w)
    gradient_of_w = tf.gradients(loss, w)[0]
    if by_hand:
        ((gradient_of_w, _),) = tf1_wd.add_decay_to_gradients([(gradient_of_w, w)], tf1_wd.plan_decay([w], RATE))
    train_op = w.assign_sub(LR * gradient_of_w)
    assert_close(run(train_op, w), W0 - LR * (gradient(W0) + RATE * W0))


def test_rates_that_are_known_at_run_time_alone_are_not_named(kind):
    w = weights("kernel")
    loss = data_loss(w) + tf.placeholder_with_default(np.float64(RATE), []) * tf.nn.l2_loss(w)
    with pytest.raises(errors.NothingUpdatedError, match=r"attach\(train_op, rates=\.\.\.\)"):
        with tf1_wd.decoupled_weight_decay():
            raw_update(w, loss)


@pytest.mark.parametrize("options", [{}, {"rates": RATE}], ids=["no rates", "rates"])
def test_attach_to_a_loss_with_l2_is_answered_with_the_scope_at_once(options, kind):
    w = weights()
    train_op = tf.train.AdamOptimizer(LR).minimize(with_l2(w))
    with pytest.raises(errors.CoupledPenaltyError, match="decoupled_weight_decay around the code") as refused:
        tf1_wd.attach(train_op, **options)
    assert refused.value.variable == "w"
    with tf1_wd.decoupled_weight_decay(**options):
        train_op = tf.train.AdamOptimizer(LR).minimize(with_l2(w))
    assert_close(run(train_op, w), oracle.train("adam", LR, W0, gradient, 1, "after", RATE))


@pytest.mark.parametrize("remedy", ["out of the loss", "out of the gradient", "left to the scope"])
def test_l2_that_would_be_added_twice_is_added_once_as_the_refusal_says(remedy, kind):
    w, optimizer = weights(), sgd()
    plan = tf1_wd.plan_decay([w], RATE)
    with pytest.raises(errors.CoupledPenaltyError, match="take it out of the loss, or out of the gradient by remove"):
        tf1_wd.add_decay_to_gradients(optimizer.compute_gradients(with_l2(w)), plan)
    if remedy == "left to the scope":
        with tf1_wd.coupled_weight_decay():
            train_op = optimizer.minimize(with_l2(w))
    else:
        pairs = optimizer.compute_gradients(data_loss(w) if remedy == "out of the loss" else with_l2(w))
        if remedy == "out of the gradient":
            pairs = tf1_wd.remove_decay_from_gradients(pairs, plan)
        train_op = optimizer.apply_gradients(tf1_wd.add_decay_to_gradients(pairs, plan))
    assert_close(run(train_op, w), W0 - LR * (gradient(W0) + RATE * W0))


def exported(path, build):
    """Writes the graph of a program; its train_op is in the collection "train"."""
    with tf.Graph().as_default():
        with tf.variable_scope(tf.get_variable_scope(), use_resource=True):
            tf.add_to_collection("train", build(weights("kernel")))
        tf.train.export_meta_graph(path)


def imported(path):
    tf.train.import_meta_graph(path)
    return tf.get_collection("train")[0]


def test_an_imported_graph_with_l2_is_written_anew_as_the_refusals_say(tmp_path):
    path = str(tmp_path / "model.meta")
    exported(path, lambda w: sgd().minimize(with_l2(w)))
    with tf.Graph().as_default():
        with pytest.raises(errors.NothingUpdatedError, match="exported anew, with the scope in the program that build"):
            with tf1_wd.decoupled_weight_decay():
                imported(path)
        with pytest.raises(errors.CoupledPenaltyError, match="of an imported graph that is the program that wrote it"):
            tf1_wd.attach(tf.get_collection("train")[0])
    exported(path, tf1_wd.decoupled_weight_decay(lambda w: sgd().minimize(with_l2(w))))
    with tf.Graph().as_default():
        assert_close(run(imported(path), tf.trainable_variables()[0]), one_step())


def test_an_imported_graph_without_l2_decays_by_attach(tmp_path):
    path = str(tmp_path / "model.meta")
    exported(path, lambda w: sgd().minimize(data_loss(w)))
    with tf.Graph().as_default():
        with pytest.raises(errors.NothingUpdatedError, match="on a loss without L2, and then tf1_wd"):
            with tf1_wd.decoupled_weight_decay(rates=RATE):
                imported(path)
    with tf.Graph().as_default():
        train_op = tf1_wd.attach(imported(path), rates=RATE)
        assert_close(run(train_op, tf.trainable_variables()[0]), one_step())


def in_the_scope(w, rate, **options):
    with tf1_wd.decoupled_weight_decay(**options):
        return sgd().minimize(data_loss(w) + rate * tf.nn.l2_loss(w))


@pytest.mark.parametrize(
    "build",
    [
        in_the_scope,
        lambda w, rate, **options: in_the_scope(w, 0.0, rates=rate, **options),
        lambda w, rate, **options: in_the_scope(w, 0.0, rates={"kernel": rate}, **options),
        lambda w, rate, **options: tf1_wd.attach(sgd().minimize(data_loss(w)), rates=rate, **options),
    ],
    ids=["loss", "rates", "rates by name", "attach"],
)
def test_a_rate_that_the_learning_rate_is_to_multiply_is_told_its_convention(build, kind):
    w, rate = weights("kernel"), 3.0
    with pytest.raises(errors.InvalidRateError, match=r"pass convention='adamw' \(which is scale='learning_rate'\)"):
        build(w, rate)
    want = one_step("before", LR * rate)
    assert_close(run(build(w, rate, convention="adamw"), w), want)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda w: tf1_wd.decoupled_weight_decay(rates=-1.0),
        lambda w: tf1_wd.decoupled_weight_decay(rates=np.inf),
        lambda w: in_the_scope(w, 0.5, scale=2.0),
        lambda w: in_the_scope(w, 16.0, convention="adamw"),
        lambda w: tf1_wd.plan_decay([w], 2.0),
        lambda w: tf1_wd.coupled_weight_decay(rates=2.0),
    ],
    ids=["negative", "infinite", "another scale", "adamw", "plan_decay", "coupled"],
)
def test_where_the_convention_is_no_way_out_it_is_not_named(wrong):
    with pytest.raises(errors.InvalidRateError) as refused:
        wrong(weights())
    assert "convention" not in str(refused.value)


def test_a_turn_of_a_sweep_with_the_coefficient_0_trains_as_it_is_with_a_warning(kind):
    w = weights()
    with pytest.warns(errors.UndecayedWarning, match="every penalty in the loss is the constant 0"):
        train_op = in_the_scope(w, 0.0)
    assert_close(run(train_op, w), one_step(rate=0.0))


def test_a_decay_of_the_programs_own_is_told_instead_of_a_coefficient_of_0(kind):
    w = weights()
    tf.assign(w, 0.5 * w)
    with pytest.raises(errors.AlreadyDecoupledError):
        in_the_scope(w, 0.0)
