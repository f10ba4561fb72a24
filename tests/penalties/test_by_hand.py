"""L2 in gradients by hand: once, and not beside another decay; and plans of what is no list of variables."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, W0, assert_close, data_loss, gradient, run, weights
from tf1_wd import errors

RATE = 0.25


def sgd():
    return tf.train.GradientDescentOptimizer(LR)


def linear(w):
    return 3.0 * tf.reduce_sum(w)


def changed(gradients):
    return gradients[0][0]


WITHOUT_L2 = {
    "factorization machine": lambda w: tf.reduce_sum(tf.square(tf.matmul(X, w)) - tf.matmul(X**2, tf.square(w))),
    "length scales": lambda w: tf.reduce_sum(tf.exp(-tf.square(X[:, :1]) * tf.square(tf.reshape(w, [1, -1])))),
    "demodulation": lambda w: tf.reduce_sum(tf.rsqrt(tf.matmul(tf.square(X), tf.square(w)) + 1e-3)),
    "normalized": lambda w: tf.reduce_sum(tf.matmul(X, tf.nn.l2_normalize(w, 0))),
    "normalized as a whole": lambda w: tf.reduce_sum(tf.matmul(X, w / tf.norm(w))),
    "linear regression": lambda w: tf.reduce_sum(tf.square(tf.matmul(X, w) - 1.0)),
}
WORDS_OF_L2 = {
    "l2_loss": lambda w: RATE * tf.nn.l2_loss(w),
    "square": lambda w: RATE / 2 * tf.reduce_sum(tf.square(w)),
    "power": lambda w: RATE / 2 * tf.reduce_sum(w**2),
    "factor inside": lambda w: tf.reduce_sum(RATE / 2 * tf.square(w)),
    "mean": lambda w: 3 * RATE * tf.reduce_mean(tf.square(w)),
    "concat": lambda w: RATE / 2 * tf.nn.l2_loss(tf.concat([tf.reshape(w, [-1]), tf.reshape(w, [-1])], 0)),
    "placeholder": lambda w: tf.placeholder_with_default(np.float64(RATE), []) * tf.nn.l2_loss(w),
}
X = np.random.RandomState(0).normal(size=(5, 4))
TABLE = np.arange(1.0, 9.0).reshape(4, 2)


# --- twice


def clipped(pairs):
    gradients, _ = tf.clip_by_global_norm([g for g, _ in pairs], 1e6)
    return list(zip(gradients, [v for _, v in pairs]))


@pytest.mark.parametrize("between", [list, clipped])
def test_l2_that_is_added_twice_is_refused_with_its_variable(between, kind):
    w, other = weights("w"), weights("other")
    plan = tf1_wd.plan_decay([w, other], {"w": RATE})
    pairs = between(tf1_wd.add_decay_to_gradients(sgd().compute_gradients(data_loss(w) + data_loss(other)), plan))
    with pytest.raises(errors.CoupledPenaltyError, match=r"has put L2 of w into its gradient already.*call it once"):
        tf1_wd.add_decay_to_gradients(pairs, plan)
    rest = tf1_wd.add_decay_to_gradients(pairs, tf1_wd.plan_decay([w, other], {"other": 2 * RATE}))
    got, got_other = run([g for g, _ in rest])
    assert_close(got, gradient(W0) + RATE * W0)
    assert_close(got_other, gradient(W0) + 2 * RATE * W0)


def test_l2_of_the_rows_of_a_table_that_is_added_twice_is_refused(kind):
    table = weights("table", value=TABLE)
    loss = tf.reduce_sum(tf.nn.embedding_lookup(table, [1, 3]))
    with tf1_wd.coupled_weight_decay(rates=RATE, sparse="touched_rows") as decay:
        sgd().minimize(loss)
    pairs = tf1_wd.add_decay_to_gradients([(tf.gradients(loss, table)[0], table)], decay.plan)
    with pytest.raises(errors.CoupledPenaltyError, match="L2 of table"):
        tf1_wd.add_decay_to_gradients(pairs, decay.plan)


def test_l2_that_the_loss_holds_already_is_not_added_to(kind):
    w = weights()
    pairs = sgd().compute_gradients(data_loss(w) + 0.125 * tf.nn.l2_loss(w))
    with pytest.raises(errors.CoupledPenaltyError, match=r"gradient of w holds L2 already, of the loss.*remove_decay"):
        tf1_wd.add_decay_to_gradients(pairs, tf1_wd.plan_decay(w, RATE))


def test_l2_of_the_loss_may_be_taken_out_and_put_back_behind_a_clip(kind):
    w = weights()
    pairs = sgd().compute_gradients(data_loss(w) + RATE * tf.nn.l2_loss(w))
    plan = tf1_wd.plan_decay(w, RATE)
    pairs = [(tf.clip_by_norm(g, 0.5), v) for g, v in tf1_wd.remove_decay_from_gradients(pairs, plan)]
    pairs = tf1_wd.add_decay_to_gradients(pairs, plan)
    assert_close(run(changed(pairs)), gradient(W0) * 0.5 / np.linalg.norm(gradient(W0)) + RATE * W0)
    with pytest.raises(errors.CoupledPenaltyError, match="gradient of w"):
        tf1_wd.add_decay_to_gradients(pairs, plan)


def test_a_loss_that_is_a_number_times_a_single_weight_is_no_l2(kind):
    w = tf.get_variable("w", initializer=np.float64(2.0))
    pairs = sgd().compute_gradients(tf.square(0.5 * w - 3.0))
    assert_close(run(changed(tf1_wd.add_decay_to_gradients(pairs, tf1_wd.plan_decay(w, RATE)))), -2.0 + RATE * 2.0)


def test_the_gradient_of_a_normalized_weight_is_no_l2(kind):
    w = weights()
    raw = sgd().compute_gradients(data_loss(tf.nn.l2_normalize(w)))
    pairs = tf1_wd.add_decay_to_gradients(raw, tf1_wd.plan_decay(w, RATE))
    got, without = run([changed(pairs), changed(raw)])
    assert_close(got, without + RATE * W0)


@pytest.mark.parametrize("wrap", WORDS_OF_L2)
def test_l2_of_the_loss_is_seen_in_all_its_words(wrap, kind):
    w = weights()
    pairs, plan = sgd().compute_gradients(data_loss(w) + WORDS_OF_L2[wrap](w)), tf1_wd.plan_decay(w, RATE)
    with pytest.raises(errors.CoupledPenaltyError, match="gradient of w holds L2 already"):
        tf1_wd.add_decay_to_gradients(pairs, plan)
    assert_close(run(changed(tf1_wd.remove_decay_from_gradients(pairs, plan))), gradient(W0))


@pytest.mark.parametrize("name", WITHOUT_L2)
def test_squares_and_norms_of_weights_in_a_model_are_no_l2(name, kind):
    """Neither for L2 by hand nor for a decay from outside."""
    w = tf.get_variable("w", initializer=TABLE)
    plan = tf1_wd.plan_decay(w, RATE)
    loss = WITHOUT_L2[name](w)
    ((raw, _),) = pairs = sgd().compute_gradients(loss)
    plain, added = run([raw, changed(tf1_wd.add_decay_to_gradients(pairs, plan))])
    assert_close(added, plain + RATE * TABLE)
    tf1_wd.attach(sgd().minimize(loss), rates=RATE)


@pytest.mark.parametrize("scope", [tf1_wd.decoupled_weight_decay, tf1_wd.coupled_weight_decay])
def test_l2_by_hand_in_a_scope_is_refused_where_both_decay(scope, kind):
    w, other = weights("w"), weights("other")
    loss = data_loss(w) + data_loss(other)
    plan = tf1_wd.plan_decay([w, other], {"w": RATE})
    with pytest.raises(errors.CoupledPenaltyError, match="put L2 of w into its gradient, and this scope sees"):
        with scope(rates=RATE):
            sgd().apply_gradients(tf1_wd.add_decay_to_gradients(sgd().compute_gradients(loss), plan))
    with scope(rates=RATE, exclude="^w$") as decay:
        train_op = sgd().apply_gradients(tf1_wd.add_decay_to_gradients(sgd().compute_gradients(loss), plan))
    assert [d.name for d in decay.plan.decaying] == ["other"]
    assert_close(run(train_op, w), W0 - LR * (gradient(W0) + RATE * W0))


# --- what is not there


def test_l2_that_is_not_in_the_gradient_is_not_taken_out(kind):
    w = weights()
    pairs, plan = sgd().compute_gradients(linear(w)), tf1_wd.plan_decay(w, RATE)
    with pytest.raises(errors.InvalidOptionError, match=r"no L2 of w in its gradient.*let the weights grow"):
        tf1_wd.remove_decay_from_gradients(pairs, plan)
    back = tf1_wd.remove_decay_from_gradients(tf1_wd.add_decay_to_gradients(pairs, plan), plan)
    assert_close(run(changed(back)), np.full_like(W0, 3.0))
    with pytest.raises(errors.InvalidOptionError, match="no L2 of w in its gradient"):
        tf1_wd.remove_decay_from_gradients(back, plan)


def test_l2_in_words_that_are_not_known_is_taken_out_with_a_warning(kind):
    w = weights()
    pairs = sgd().compute_gradients(data_loss(w) + RATE * tf.nn.l2_loss(-w))
    with pytest.warns(errors.Tf1WdWarning, match="no L2 of w is seen in its gradient"):
        pairs = tf1_wd.remove_decay_from_gradients(pairs, tf1_wd.plan_decay(w, RATE))
    assert_close(run(changed(pairs)), gradient(W0))


def test_l2_that_a_scope_has_taken_out_is_not_taken_out_again(kind):
    w = weights()
    with pytest.raises(errors.CoupledPenaltyError, match="takes L2 of w out of a gradient that this scope has freed"):
        with tf1_wd.decoupled_weight_decay():
            pairs = sgd().compute_gradients(data_loss(w) + RATE * tf.nn.l2_loss(w))
            with pytest.warns(errors.Tf1WdWarning, match="no L2 of w is seen"):
                pairs = tf1_wd.remove_decay_from_gradients(pairs, tf1_wd.plan_decay(w, RATE))
            sgd().apply_gradients(pairs)


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
