"""Moving averages of decayed weights: what they see, and what the plan says where their order is left open."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights
from support.wrappers import HAS_CONTRIB, contrib, contrib_warns, functional_control_flow, mixed_precision
from tf1_wd.decay.scope.moving_averages import UNORDERED

KEEP = 0.75  # of the average, a step


def sgd():
    return tf.train.GradientDescentOptimizer(LR)


def averaged(steps, order, rate=RATE):
    """(the weights, their moving average) in NumPy, the average taken after each step with its decay."""
    w = average = W0
    for _ in range(steps):
        w = oracle.train("sgd", LR, w, gradient, 1, order, rate)
        average = average - (1 - KEEP) * (average - w)
    return w, average


# --- the average sees decayed weights


def ema_apply(w):
    ema = tf.train.ExponentialMovingAverage(KEEP)
    return ema.apply([w]), ema.average(w)


def own_average(w):
    return tf.get_variable("own", initializer=W0, trainable=False)


def by_hand(w):
    average = own_average(w)
    return average.assign(KEEP * average + (1 - KEEP) * w), average


def by_difference(w):
    average = own_average(w)
    return average.assign_sub((1 - KEEP) * (average - w)), average


def interpolated(w):
    """As StyleGAN has it."""
    average = own_average(w)
    return tf.assign(average, w + (average - w) * KEEP), average


WAYS = [ema_apply, by_hand, by_difference, interpolated]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["after", "before"])
def test_an_average_behind_the_train_op_sees_decayed_weights(way, order, kind, backend):
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
        train_op = sgd().minimize(data_loss(w))
    with tf.control_dependencies([train_op]):
        step, average = way(w)
    assert not decay.plan.notes
    for got, want in zip(run(*[step] * 6, [w, average]), averaged(6, order)):
        assert_close(got, want)


@pytest.mark.parametrize("order", ["after", "before"])
def test_in_a_hundred_runs_no_average_of_large_weights_is_torn(order, kind):
    layers = [weights("layer%d" % i, l2(0.25), value=np.full((64, 64), 1.0)) for i in range(12)]
    with tf1_wd.decoupled_weight_decay(order=order) as decay:
        train_op = tf.train.GradientDescentOptimizer(0.5).minimize(tf.add_n([tf.reduce_sum(w) for w in layers]))
    ema = tf.train.ExponentialMovingAverage(0.5)
    with tf.control_dependencies([train_op]):
        step = ema.apply(layers)
    decayed = 0.75 * 0.5 if order == "after" else 1.0 - 0.5 - 0.25
    assert not decay.plan.notes
    ones = [v.assign(tf.ones_like(v)) for v in tf.global_variables()]  # the initializer of an average reads its weight
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(100):
            session.run(ones)
            session.run(step)
            for average in session.run([ema.average(w) for w in layers]):
                np.testing.assert_array_equal(average, np.full((64, 64), 0.5 + 0.5 * decayed))


if HAS_CONTRIB:

    @contrib_warns
    @pytest.mark.parametrize("order", ["after", "before"])
    def test_the_moving_average_optimizer_sees_decayed_weights(order, kind):
        w = weights(regularizer=l2())
        with tf1_wd.decoupled_weight_decay(order=order) as decay:
            optimizer = contrib().opt.MovingAverageOptimizer(sgd(), KEEP)
            train_op = optimizer.minimize(data_loss(w))
        average = next(v for v in tf.global_variables() if "ExponentialMovingAverage" in v.name)
        assert not decay.plan.notes
        for got, want in zip(run(*[train_op] * 6, [w, average]), averaged(6, order)):
            assert_close(got, want)


# --- where the order is left open, the plan says so


def model(order="after", optimizer=sgd, **options):
    """(weight, train_op, scope) of a model that decays."""
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay(order=order, **options) as decay:
        train_op = optimizer().minimize(data_loss(w), name="train")
    return w, train_op, decay


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("optimizer", ["sgd", "ftrl"])
def test_an_average_beside_the_update_is_noted(way, order, optimizer, kind, backend):
    w, train_op, decay = model(order, lambda: oracle.tf_optimizer(tf, optimizer, LR), backend=backend)
    assert not decay.plan.notes
    step, average = way(w)
    with tf.control_dependencies([train_op, step]):  # as cifar10 has it
        tf.no_op(name="both")
    assert decay.plan.notes == (("the moving average %s of w" % average.op.name, UNORDERED),)
    assert "note: the moving average %s of w: ordered neither" % average.op.name in str(decay.plan)
    assert "build it under tf.control_dependencies([train_op])" in str(decay.plan)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["after", "before"])
def test_an_average_ordered_before_the_update_on_purpose_is_not_noted(way, order, kind, backend):
    w = weights(regularizer=l2())
    step, _ = way(w)
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
        optimizer = sgd()
        pairs = optimizer.compute_gradients(data_loss(w))
        with tf.control_dependencies([step.op if isinstance(step, tf.Tensor) else step]):
            optimizer.apply_gradients(pairs)
    assert not decay.plan.notes


def test_an_average_between_the_step_and_the_decay_is_noted(kind):
    w, _, decay = model()
    update = next(op for op in tf.get_default_graph().get_operations() if "ApplyGradientDescent" in op.type)
    with tf.control_dependencies([update]):
        ema_apply(w)
    assert [note for _, note in decay.plan.notes] == [UNORDERED]


def test_a_weight_read_before_the_update_is_not_that_of_its_average(kind):
    w = weights(regularizer=l2())
    early = w.read_value()
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = sgd().minimize(data_loss(w))
    average = own_average(w)
    with tf.control_dependencies([train_op]):
        average.assign(KEEP * average + (1 - KEEP) * early)
    # of a reference variable, what is read is seen by the op that uses it; of a resource variable, by the read
    assert len(decay.plan.notes) == (1 if kind == "resource" else 0)


def test_averages_of_tensors_with_their_bias_taken_out_are_noted_too(kind):
    w, _, decay = model()
    ema = tf.train.ExponentialMovingAverage(KEEP, zero_debias=True)
    read = w.read_value()
    ema.apply([read])
    assert any("biased of w" in what for what, _ in decay.plan.notes)


def test_averages_of_half_precision_weights_are_noted_too(kind):
    w = weights(regularizer=l2(), dtype=np.float16)
    with tf1_wd.decoupled_weight_decay() as decay:
        train_op = sgd().minimize(data_loss(w))
    ema = tf.train.ExponentialMovingAverage(KEEP)
    ema.apply([w])
    assert len(decay.plan.notes) == 1
    with tf.control_dependencies([train_op]):
        tf.train.ExponentialMovingAverage(KEEP, name="behind").apply([w])
    assert len(decay.plan.notes) == 1


def test_only_averages_of_decayed_weights_are_noted(kind):
    w, free, other = weights(regularizer=l2()), weights("free"), weights("other", l2(), trainable=False)
    loss = data_loss(w) + data_loss(free)
    with tf1_wd.decoupled_weight_decay() as decay:
        sgd().minimize(loss)
    tf.train.ExponentialMovingAverage(KEEP).apply([w, free, other, loss])
    assert decay.plan.notes == (("the moving average w/ExponentialMovingAverage of w", UNORDERED),)


def test_a_copy_of_the_weights_and_a_restore_are_no_average(kind):
    w, _, decay = model()
    backup, slot = weights("backup", trainable=False), weights("slot", trainable=False)
    backup.assign(w)
    w.assign(backup)
    slot.assign(0.5 * slot + tf.gradients(data_loss(w), w)[0])
    tf.train.Saver()
    assert not decay.plan.notes


def test_swapping_averages_in_behind_the_step_leaves_the_average_ordered(kind):
    w, train_op, decay = model()
    ema = tf.train.ExponentialMovingAverage(KEEP)
    with tf.control_dependencies([train_op]):
        step = ema.apply([w])
    with tf.control_dependencies([step]):
        w.assign(ema.average(w))
    assert not decay.plan.notes


def test_an_average_behind_one_of_two_optimizers_of_a_weight_is_ordered(kind):
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay() as decay:
        sgd().minimize(data_loss(w))
        second = sgd().minimize(2.0 * data_loss(w))
    with tf.control_dependencies([second]):
        ema_apply(w)
    assert not decay.plan.notes


@pytest.mark.parametrize("functional", [False, True], ids=["switch and merge", "if"])
@pytest.mark.parametrize("behind", [True, False])
def test_an_average_beside_or_behind_an_update_in_a_cond(functional, behind):
    with tf.variable_scope("net", use_resource=True):
        w = weights(dtype=np.float32, regularizer=l2())
    if functional:
        with functional_control_flow(), tf1_wd.decoupled_weight_decay() as decay:
            train_op = mixed_precision(sgd()).minimize(data_loss(w))
    else:
        with tf1_wd.decoupled_weight_decay() as decay:
            train_op = mixed_precision(sgd()).minimize(data_loss(w))
    with tf.control_dependencies([train_op] if behind else []):
        tf.train.ExponentialMovingAverage(KEEP).apply([w])
    assert len(decay.plan.notes) == (0 if behind else 1)


def test_many_notes_print_as_one_line(kind):
    layers = [weights("layer%d" % i, l2()) for i in range(9)]
    with tf1_wd.decoupled_weight_decay() as decay:
        sgd().minimize(tf.add_n([data_loss(w) for w in layers]))
    tf.train.ExponentialMovingAverage(KEEP).apply(layers)
    assert len(decay.plan.notes) == 9
    (line,) = [line for line in str(decay.plan).splitlines() if line.startswith("note: ")]
    assert "of layer0, the moving average layer1/" in line
    assert "of layer4, and 4 more: ordered neither" in line


def test_looking_for_averages_adds_no_op(kind):
    w, _, decay = model()
    ema_apply(w)
    before = tf.get_default_graph().get_operations()
    assert decay.plan.notes
    assert tf.get_default_graph().get_operations() == before
