"""What a refusal advises is done, and leads to the weights that NumPy has: no two refusals send in a circle."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.other_words import fed_loss
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, one_step, run, sgd, weights
from tf1_wd import errors


def with_l2(w):
    return data_loss(w) + RATE * tf.nn.l2_loss(w)


def raw_update(w, loss):
    """A step of gradient descent by an op of the program's own."""
    amounts = dict(alpha=tf.constant(LR, tf.float64), delta=tf.gradients(loss, w)[0])
    if hasattr(w, "handle"):
        return tf.raw_ops.ResourceApplyGradientDescent(var=w.handle, **amounts)
    return tf.raw_ops.ApplyGradientDescent(var=w._ref(), **amounts).op


def own_assignment(w, loss):
    return w.assign(w - LR * tf.gradients(loss, w)[0])


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


# --- one refusal after another, each with its ways out


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
