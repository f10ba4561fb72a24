"""Several optimizers in one scope, and parts of a model that an optimizer leaves alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, run, weights
from tf1_wd import errors
from tf1_wd.plan.reasons import Note

V0 = np.array([[-0.5, 1.25, 2.0], [0.75, -3.0, 1.0]])
COUPLING = 0.25
MOVES = "ddgdggdg"  # in which the two sides of the game are trained


def sgd(rate=LR):
    return tf.train.GradientDescentOptimizer(rate)


def adam(rate=LR):
    return tf.train.AdamOptimizer(rate)


def played(moves, order, rates):
    """The weights of both sides in NumPy; each side decays with its own moves alone, at rates[side]."""
    w, optimizer = {"d": W0, "g": V0}, {side: oracle.Optimizer("adam", LR) for side in "dg"}
    for side in moves:
        other = w["g" if side == "d" else "d"]
        step = optimizer[side].step(w[side], gradient(w[side]) + COUPLING * other)
        decayed = rates[side] * (w[side] - step if order == "after" else w[side])
        w[side] = w[side] - step - decayed
    return w


PENALTIES = {
    "in the own loss": lambda d, g: (RATE * tf.nn.l2_loss(d), 2 * RATE * tf.nn.l2_loss(g)),
    "all in both losses": lambda d, g: (RATE * tf.nn.l2_loss(d) + 2 * RATE * tf.nn.l2_loss(g),) * 2,
    "all of the collection in both losses": lambda d, g: (tf.losses.get_regularization_loss(),) * 2,
    "in the collection alone": lambda d, g: (0.0, 0.0),
}


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_step_of_the_discriminator_never_decays_the_generator(penalties, order, kind, backend):
    collected = "collection" in penalties
    d = weights("d", l2(RATE) if collected else None)
    g = weights("g", l2(2 * RATE) if collected else None, value=V0)
    of_d, of_g = PENALTIES[penalties](d, g)
    game = COUPLING * tf.reduce_sum(d * g)
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
        steps = {
            "d": adam().minimize(data_loss(d) + game + of_d, var_list=[d]),
            "g": adam().minimize(data_loss(g) + game + of_g, var_list=[g]),
        }
    got = run(*[steps[side] for side in MOVES], {"d": d, "g": g})
    want = played(MOVES, order, {"d": RATE, "g": 2 * RATE})
    assert_close(got["d"], want["d"])
    assert_close(got["g"], want["g"])
    np.testing.assert_array_equal(run(*[steps["d"]] * 5, g), V0)
    assert {p.name: p.rate for p in decay.plan.decaying} == {"d": RATE, "g": 2 * RATE}


def test_optimizers_without_var_list_share_the_collection_by_their_gradients(kind):
    d, g = weights("d", l2()), weights("g", l2(), value=V0)
    with tf1_wd.decoupled_weight_decay():
        d_step, g_step = sgd().minimize(data_loss(d)), sgd().minimize(data_loss(g))
    got_d, got_g = run(d_step, g_step, d_step, d_step, [d, g])
    assert_close(got_d, oracle.train("sgd", LR, W0, gradient, 3, "after", RATE))
    assert_close(got_g, oracle.train("sgd", LR, V0, gradient, 1, "after", RATE))


def test_without_var_list_each_step_decays_what_its_own_loss_penalises_as_l2_did(kind):
    d, g = weights("d", l2()), weights("g", l2(), value=V0)
    both = tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay():
        d_step = sgd().minimize(data_loss(d) + both)
        sgd().minimize(data_loss(g) + both)
    got_d, got_g = run(d_step, d_step, [d, g])
    assert_close(got_d, oracle.train("sgd", LR, W0, gradient, 2, "after", RATE))
    assert_close(got_g, (1 - RATE) ** 2 * V0)


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_shared_variable_decays_with_every_update_of_it(order, kind, backend):
    shared, head = weights("shared", l2()), weights("head", l2(2 * RATE), value=V0)
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
        first = sgd().minimize(data_loss(shared), var_list=[shared])
        second = sgd(LR / 2).minimize(data_loss(shared) + data_loss(head), var_list=[shared, head])
    got_shared, got_head = run(first, second, first, first, second, [shared, head])
    want = W0
    for lr in (LR, LR / 2, LR, LR, LR / 2):
        want = oracle.train("sgd", lr, want, gradient, 1, order, RATE)
    assert_close(got_shared, want)
    assert_close(got_head, oracle.train("sgd", LR / 2, V0, gradient, 2, order, 2 * RATE))
    assert "again with another update" in str(decay.plan)


@pytest.mark.parametrize("place", ["collection", "loss"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_fine_tuning_the_last_layer_moves_no_other_layer(place, order, kind, backend):
    layers = [weights("layer%d" % i, l2(), value=V0 + i) for i in range(4)]
    last = weights("last", l2())
    features = tf.add_n(layers) / 16.0
    loss = data_loss(last) + tf.reduce_sum(features * last)
    loss += tf.losses.get_regularization_loss() if place == "loss" else 0.0
    with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
        train_op = adam().minimize(loss, var_list=[last])
    *got_layers, got = run(*[train_op] * 6, [*layers, last])
    for i, layer in enumerate(got_layers):
        np.testing.assert_array_equal(layer, V0 + i)
    fixed = sum(V0 + i for i in range(4)) / 16.0
    assert_close(got, oracle.train("adam", LR, W0, lambda w: gradient(w) + fixed, 6, order, RATE))
    assert [d.name for d in decay.plan.decaying] == ["last"]
    assert all("no update of this scope trains it" in d.why for d in decay.plan.left_alone)


def test_a_variable_that_is_not_trainable_never_decays(kind):
    w, fixed = weights("w", l2()), weights("fixed", l2(), trainable=False)
    loss = data_loss(w) + data_loss(fixed) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay():
        train_op = adam().minimize(loss)
    np.testing.assert_array_equal(run(*[train_op] * 3, fixed), W0)


@pytest.mark.parametrize("place", ["collection", "loss"])
def test_behind_a_stopped_gradient_only_a_penalty_in_the_loss_decays(place, kind):
    w, stopped = weights("w", l2()), weights("stopped", l2(), value=V0)
    loss = data_loss(w) + data_loss(tf.stop_gradient(stopped))
    loss += tf.losses.get_regularization_loss() if place == "loss" else 0.0
    with tf1_wd.decoupled_weight_decay():
        train_op = adam().minimize(loss)
    got = run(*[train_op] * 3, stopped)
    if place == "loss":
        assert_close(got, (1 - RATE) ** 3 * V0)
    else:
        np.testing.assert_array_equal(got, V0)


# --- other learning rates on parts of the model

RATE_OF_RATES = 0.5  # times learning rates of about 0.1: still a decay that shows


def stepped(step, kind):
    """A learning rate that falls after three steps, and its values."""
    return tf.train.piecewise_constant(
        step, [3], [np.float64(0.25), np.float64(0.0625)]
    ), lambda t: 0.25 if t <= 3 else 0.0625


def by_hand(step, kind):
    """A learning rate computed from the step, and its values."""
    return 0.25 / (1.0 + tf.cast(step, tf.float64)), lambda t: 0.25 / (1.0 + t)


def kept(step, kind):
    """A learning rate kept in a variable."""
    return tf.get_variable("learning_rate", initializer=np.float64(0.1875), trainable=False), lambda t: 0.1875


def called(step, kind):
    """A learning rate that is a function."""
    return lambda: 0.1875, lambda t: 0.1875


@pytest.mark.parametrize("rate", [stepped, by_hand, kept, called])
@pytest.mark.parametrize("order", ["after", "before"])
def test_the_scale_learning_rate_is_each_optimizers_own(rate, order, kind, backend):
    body, head = weights("body", l2(RATE_OF_RATES)), weights("head", l2(RATE_OF_RATES), value=V0)
    step = tf.train.get_or_create_global_step()
    loss = data_loss(body) + data_loss(head) + tf.losses.get_regularization_loss()
    schedule, values = rate(step, kind)
    with tf1_wd.decoupled_weight_decay(scale="learning_rate", order=order, backend=backend):
        gradients = tf.gradients(loss, [body, head])
        slow = sgd(0.03125).apply_gradients([(gradients[0], body)])
        with tf.control_dependencies([slow]):
            train_op = sgd(schedule).apply_gradients([(gradients[1], head)], step)
    got_body, got_head = run(*[train_op] * 7, [body, head])
    want_body, want_head = W0, V0
    for t in range(7):
        want_body = oracle.train("sgd", 0.03125, want_body, gradient, 1, order, RATE_OF_RATES * 0.03125)
        want_head = oracle.train("sgd", values(t), want_head, gradient, 1, order, RATE_OF_RATES * values(t))
    assert_close(got_body, want_body)
    assert_close(got_head, want_head)


@pytest.mark.parametrize("order", ["after", "before"])
def test_optimizers_grouped_into_one_step_decay_each_part_once_at_its_own_learning_rate(order, kind, backend):
    rates = {"first": 0.25, "second": 0.125, "third": 0.0625}
    parts = {name: weights(name, l2(RATE_OF_RATES), value=V0) for name in rates}
    loss = tf.add_n([data_loss(w) for w in parts.values()]) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay(scale="learning_rate", order=order, backend=backend) as decay:
        train_op = tf.group(*[adam(rates[name]).minimize(loss, var_list=[w]) for name, w in parts.items()])
    got = run(*[train_op] * 5, parts)
    for name, lr in rates.items():
        assert_close(got[name], oracle.train("adam", lr, V0, gradient, 5, order, RATE_OF_RATES, lr))
    assert {d.name: d.scale for d in decay.plan.decaying} == rates


def test_two_kinds_of_optimizers_keep_apart(kind, backend):
    w, v = weights("w", l2()), weights("v", l2(2 * RATE), value=V0)
    with tf1_wd.decoupled_weight_decay(order="before", backend=backend):
        loss = data_loss(w) + data_loss(v) + tf.losses.get_regularization_loss()
        of_w, of_v = tf.train.FtrlOptimizer(LR).minimize(loss, var_list=[w]), adam().minimize(loss, var_list=[v])
    got_w, got_v = run(of_w, of_v, of_v, of_w, of_v, [w, v])
    assert_close(got_w, oracle.train("ftrl", LR, W0, gradient, 2, "before", RATE))
    assert_close(got_v, oracle.train("adam", LR, V0, gradient, 3, "before", 2 * RATE))


def test_two_scopes_with_other_options_keep_apart(kind):
    w, v = weights("w", l2()), weights("v", l2(), value=V0)
    loss = data_loss(w) + data_loss(v) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay(order="before"):
        of_w = adam().minimize(loss, var_list=[w])
    with tf1_wd.decoupled_weight_decay(rates=0.25):
        of_v = adam().minimize(loss, var_list=[v])
    got_w, got_v = run(of_w, of_v, of_w, of_w, of_v, [w, v])
    assert_close(got_w, oracle.train("adam", LR, W0, gradient, 3, "before", RATE))
    assert_close(got_v, oracle.train("adam", LR, V0, gradient, 2, "after", 0.25))


def test_an_optimizer_with_nothing_but_frozen_penalties_says_that_nothing_decays():
    frozen, bias = weights("frozen", l2()), weights("bias")
    loss = data_loss(bias) + tf.losses.get_regularization_loss() + 0.0 * data_loss(frozen)
    with pytest.raises(errors.NothingToDecayError, match="frozen"):
        with tf1_wd.decoupled_weight_decay():
            adam().minimize(loss, var_list=[bias])


@pytest.mark.parametrize("order", ["after", "before"])
def test_an_optimizer_of_all_variables_takes_no_rate_from_the_loss_of_another(order, kind):
    w, v = weights(), weights("v", value=V0)
    with tf1_wd.decoupled_weight_decay(order=order):
        first = adam().minimize(data_loss(w) + RATE * tf.nn.l2_loss(w))
        second = adam().minimize(data_loss(v) + 2 * RATE * tf.nn.l2_loss(v))
    got = run(first, second, first, second, {"w": w, "v": v})
    assert_close(got["w"], oracle.train("adam", LR, W0, gradient, 2, order, RATE))
    assert_close(got["v"], oracle.train("adam", LR, V0, gradient, 2, order, 2 * RATE))


# --- what is said of several updates


def test_a_variable_of_two_losses_is_shown_with_both_rates(kind):
    w, v = weights(), weights("v", value=V0)
    with tf1_wd.decoupled_weight_decay() as decay:
        for rate, trained in ((RATE, [w, v]), (2 * RATE, [w])):
            sgd().minimize(data_loss(w) + data_loss(v) + rate * tf.nn.l2_loss(w), var_list=trained)
        adam().minimize(data_loss(w), var_list=[w])
    of_w = decay.plan.decays[0]
    assert (of_w.rate, of_w.others) == (RATE, ((2 * RATE, 1.0),))
    assert "with another update at rate 0.125; no decay with another update" in of_w.why
    assert decay.plan.as_dict()["variables"][0]["others"] == [[2 * RATE, 1.0]]


def test_a_term_in_the_loss_of_one_update_is_not_called_unapplied_for_another(kind):
    train_ops = []
    with tf1_wd.decoupled_weight_decay(source="loss") as decay:
        for name in ("actor", "critic"):
            with tf.variable_scope(name):
                w = weights(regularizer=lambda w: 0.25 * tf.reduce_sum(tf.abs(w)))
                b = weights("b", l2(), value=V0)
            terms = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES, scope=name)
            train_ops.append(sgd().minimize(data_loss(w) + data_loss(b) + tf.add_n(terms), var_list=[w, b]))
    l1 = {name: fate for name, fate in decay.plan.terms if "Regularizer" in name}
    assert len(l1) == 2
    assert not any(fate.is_idle for fate in l1.values())
    got_w, got_b = run(*train_ops, tf.trainable_variables()[:2])
    assert_close(got_w, W0 - LR * (gradient(W0) + 0.25 * np.sign(W0)))
    assert_close(got_b, (1 - RATE) * (V0 - LR * gradient(V0)))


# --- gradients of a copy, and gradients that no update takes


def local_copy(**options):
    """A3C: gradients of a worker's copy are applied to the global variable. (the copy's name, the run, the scope)"""
    ours = weights("global/w")
    local = weights("worker/w")
    with tf1_wd.decoupled_weight_decay(**options) as decay:
        loss = data_loss(local) + 2 * RATE * tf.nn.l2_loss(local)
        gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, [local]), 1000.0)
        train_op = sgd().apply_gradients(zip(gradients, [ours]))
    return run(train_op, train_op, ours), decay


def test_gradients_of_a_local_copy_ask_for_the_rate_and_train_with_it(kind):
    with pytest.raises(errors.AmbiguousRateError, match=r"global/w .*worker/w.*rates=\{'global/w': \.\.\.\}"):
        local_copy()
    for rates in ({"global/w": RATE}, RATE):
        with tf.Graph().as_default(), warnings.catch_warnings():
            tf.get_variable_scope().set_use_resource(kind == "resource")
            warnings.simplefilter("error", tf1_wd.Tf1WdWarning)
            got, decay = local_copy(rates=rates)
        step = LR * gradient(W0)  # of the copy, which stays as it is
        assert_close(got, (1 - RATE) * ((1 - RATE) * (W0 - step) - step))
        assert [d.name for d in decay.plan.decaying] == ["global/w"]
        assert not decay.plan.notes


def test_the_l2_of_a_copy_may_be_left_out_and_is_lost_in_no_other_way(kind):
    other, ours, local = weights("other"), weights("global/w"), weights("worker/w")
    loss = data_loss(local) + RATE * tf.nn.l2_loss(local)
    with tf1_wd.decoupled_weight_decay(exclude="^global", rates={"other": RATE}):
        sgd().minimize(data_loss(other), var_list=[other])
        sgd().apply_gradients([(tf.gradients(loss, local)[0], ours)])
    with pytest.raises(errors.NothingUpdatedError, match="penalties of worker/w"):
        with tf1_wd.decoupled_weight_decay(rates={"other": RATE}):
            sgd().minimize(data_loss(other), var_list=[other])
            tf.norm(tf.gradients(loss, local)[0])


def test_a_gradient_that_is_only_logged_is_said_to_lack_the_l2(kind):
    w = weights()
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    with tf1_wd.decoupled_weight_decay() as decay:
        logged = tf.gradients(loss, [w])[0]
        tf.summary.scalar("norm", tf.norm(logged))
        train_op = sgd().minimize(loss)
    assert decay.plan.notes == ((logged.op.name, Note.UNUSED),)
    assert_close(run(logged), gradient(W0))
    assert_close(run(train_op, w), (1 - RATE) * (W0 - LR * gradient(W0)))


@pytest.mark.parametrize("way", ["accumulated", "queued"])
def test_a_gradient_that_is_kept_for_an_update_is_no_logged_one(way, kind):
    w = weights()
    with tf1_wd.decoupled_weight_decay(rates=RATE) as decay:
        raw = tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), [w])[0]
        if way == "accumulated":
            kept = tf.get_variable("kept", initializer=np.zeros_like(W0), trainable=False)
            kept.assign_add(raw)
            taken = tf.identity(kept)
        else:
            queue = tf.FIFOQueue(1, [tf.float64], [W0.shape])
            queue.enqueue(raw)
            taken = queue.dequeue()
        sgd().apply_gradients([(taken, w)])
    assert not decay.plan.notes
