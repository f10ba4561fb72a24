"""Programs that have a finding of an audit, each beside one that is near it and has it not."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from support.watching import (
    LR,
    RATE,
    adam,
    collected,
    data,
    regularization,
    sgd,
    weights,
)


def coupled():
    w = weights()
    adam(data(w) + collected(w))


def not_coupled():
    w, u = weights(), weights("u", regularizer=collected)
    sgd(data(w) + collected(w), var_list=[w])
    tf.train.MomentumOptimizer(LR, 0.5).minimize(data(u) + collected(u), var_list=[u])


def negative():
    w = weights()
    adam(data(w) - collected(w))


def not_negative():
    w = weights()
    adam(data(w) - (-collected(w)))


def doubled_by_hand():
    w = weights(regularizer=collected)
    sgd(data(w) + regularization() + 0.5 * tf.nn.l2_loss(w))


def doubled_by_the_collection():
    w = weights(regularizer=collected)
    tf.losses.add_loss(data(w))
    sgd(tf.losses.get_total_loss() + tf.losses.get_regularization_loss())


def not_doubled():
    w = weights(regularizer=collected)
    sgd(sum(0.5 * (data(w) + regularization()) for _ in range(2)))


def inert():
    w = weights(regularizer=collected)
    sgd(data(w))


def not_inert():
    w = weights(regularizer=collected)
    sgd(data(w) + regularization())


def empty_filter():
    w, beta = weights(), weights("BatchNorm/beta", [3])
    sgd(data(w, beta) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, beta) if "batch_normalization" not in v.name]))


def full_filter():
    w, beta = weights(), weights("batch_normalization/beta", [3])
    sgd(data(w, beta) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, beta) if "batch_normalization" not in v.name]))


def filter_of_whole_names():
    w, bias = weights(), weights("fc/bias", [3])
    sgd(data(w, bias) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, bias) if v.name not in ["bias", "gamma"]]))


def full_filter_of_whole_names():
    w, bias = weights(), weights("bias", [3])
    sgd(data(w, bias) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, bias) if v.op.name not in ["bias", "gamma"]]))


def norm_decayed():
    gamma = weights("gamma", [3])
    sgd(data(gamma) + collected(gamma))


def norm_not_decayed():
    w, gamma = weights(), weights("gamma", [3])
    sgd(data(w, gamma) + collected(w))


def bias_decayed():
    w, shift = weights(), weights("shift", [3])
    sgd(data(tf.nn.bias_add(tf.matmul(tf.ones([4, 2]), w), shift)) + collected(shift))


def bias_not_decayed():
    w, shift = weights(), weights("shift", [3])
    sgd(data(tf.nn.bias_add(tf.matmul(tf.ones([4, 2]), w), shift)) + collected(w))


def snippet(trained, read):
    """The pasted second step; `read` is how its penalties read the weights."""
    variables = [weights(), weights("frozen")]
    terms = [collected(v) for v in variables] if read == "early" else None
    with tf.control_dependencies([adam(data(*variables), var_list=variables[:trained])]):
        if terms is None:
            terms = [collected(v.read_value()) for v in variables]
        tf.train.GradientDescentOptimizer(1.0).minimize(tf.add_n(terms), var_list=variables)


def frozen_decayed():
    snippet(1, "late")


def nothing_frozen():
    snippet(2, "late")


def own_decay():
    w = weights()
    with tf.control_dependencies([adam(data(w))]):
        w.assign(w * (1 - RATE))


def own_average():
    w = weights()
    with tf.control_dependencies([adam(data(w))]):
        tf.train.ExponentialMovingAverage(0.5).apply([w])


def gated():
    w = weights()
    penalty = tf.cond(tf.placeholder(tf.bool, []), lambda: collected(w), lambda: tf.constant(0.0))
    sgd(data(w) + penalty)


def not_gated():
    w = weights()
    sgd(data(w) + tf.cond(tf.placeholder(tf.bool, []), lambda: data(w), lambda: tf.constant(0.0)) + collected(w))


FINDINGS = [
    ("coupled", coupled, ["w"], not_coupled),
    ("negative", negative, ["w"], not_negative),
    ("double-counted", doubled_by_hand, ["w"], not_doubled),
    ("double-counted", doubled_by_the_collection, ["w"], not_inert),
    ("inert", inert, ["w"], not_inert),
    ("empty-filter", empty_filter, ["w", "BatchNorm/beta"], full_filter),
    ("empty-filter", filter_of_whole_names, ["w", "fc/bias"], full_filter_of_whole_names),
    ("norm-decayed", norm_decayed, ["gamma"], norm_not_decayed),
    ("bias-decayed", bias_decayed, ["shift"], bias_not_decayed),
    ("frozen-decayed", frozen_decayed, ["frozen"], nothing_frozen),
    ("already-decoupled", own_decay, ["w"], own_average),
    ("ambiguous", gated, ["w"], not_gated),
]
