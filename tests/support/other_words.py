"""L2 in other words, what is no L2, and Adam with a decay: how programs write it, and the same in NumPy."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import CURVATURE, LR, TARGET, W0, gradient, weights

RATE = 0.125
MASK = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
CURVES = np.array([[0.5, 1.0, 0.25], [2.0, 0.0, 1.0]])
MATRIX = np.array([[1.0, 0.5], [-0.5, 0.25], [2.0, 1.0]])
ANCHOR = 2.0 * W0[::-1]


def fed_loss(w):
    """The usual loss of support.programs, with its targets fed."""
    target = tf.placeholder_with_default(TARGET, [2, 3])
    return 0.5 * tf.reduce_sum(CURVATURE * tf.square(w - target))


def with_itself(t):
    return tf.reduce_sum(t * t)


def rows_0(w):
    """The gradient of l2 of the rows 0, 0 and 1."""
    return w * np.array([[2.0], [1.0]])


# what a program writes -> what it is in multiples of w
MULTIPLES = {
    "of minus w": (lambda w: tf.nn.l2_loss(-w), 1.0),
    "of 2 w": (lambda w: tf.nn.l2_loss(2.0 * w), 4.0),
    "a reshape times itself": (lambda w: with_itself(tf.reshape(w, [-1])), 2.0),
    "a reshape of minus w times itself": (lambda w: with_itself(tf.reshape(-w, [-1])), 2.0),
    "tf.norm of a concat, squared": (lambda w: tf.norm(tf.concat([w, w], 0)) ** 2, 4.0),
    "tf.global_norm squared": (lambda w: tf.global_norm([w]) ** 2, 2.0),
    "tensordot": (lambda w: tf.tensordot(w, w, 2), 2.0),
    "einsum": (lambda w: tf.einsum("ij,ij->", w, w), 2.0),
    "the trace of w w^T": (lambda w: tf.linalg.trace(tf.matmul(w, w, transpose_b=True)), 2.0),
    "the sum of squared norms of rows": (lambda w: tf.reduce_sum(tf.norm(w, axis=1) ** 2), 2.0),
    "a Gaussian prior": (lambda w: 0.5 * tf.reduce_sum((w / 2.0) ** 2) + 6 * np.log(8 * np.pi), 0.25),
    "the mean of squared differences": (lambda w: tf.reduce_mean(tf.squared_difference(w, 0.0)), 1 / 3),
    "rows that are all looked up once": (lambda w: tf.nn.l2_loss(tf.gather(w, [1, 0])), 1.0),
    "a cast of minus w": (lambda w: tf.cast(tf.nn.l2_loss(tf.cast(-w, tf.float32)), w.dtype), 1.0),
}
# what a program writes -> its gradient
OTHERS = {
    "a mask": (lambda w: tf.nn.l2_loss(MASK * w), lambda w: MASK * w),
    "a slice": (lambda w: tf.nn.l2_loss(w[1:]), lambda w: w * np.array([[0.0], [1.0]])),
    "slices one by one": (lambda w: tf.nn.l2_loss(w[0]) + tf.nn.l2_loss(w[1]), lambda w: w),
    "rows that are looked up": (lambda w: tf.nn.l2_loss(tf.gather(w, [0, 0, 1])), rows_0),
    "w^T diag(c) w": (lambda w: tf.reduce_sum(w * CURVES * w), lambda w: 2 * CURVES * w),
    "of A w": (lambda w: tf.nn.l2_loss(tf.matmul(MATRIX, w)), lambda w: MATRIX.T.dot(MATRIX).dot(w)),
    "the variance": (lambda w: tf.reduce_sum(tf.nn.moments(w, [0])[1]), lambda w: w - w.mean(axis=0)),
    "a distance": (lambda w: tf.nn.l2_loss(w - ANCHOR), lambda w: w - ANCHOR),
    "a distance from a variable": (
        lambda w: tf.nn.l2_loss(w - weights("anchor", value=ANCHOR, trainable=False)),
        lambda w: w - ANCHOR,
    ),
}
COUPLED = {
    "L1": (lambda w: tf.reduce_sum(tf.abs(w)), np.sign),
    "elastic net": (lambda w: tf.reduce_sum(tf.abs(w) + tf.square(w)), lambda w: np.sign(w) + 2 * w),
    "tf.norm": (tf.norm, lambda w: w / np.linalg.norm(w)),
    "a logarithm": (lambda w: tf.log(1.0 + tf.nn.l2_loss(w)), lambda w: w / (1.0 + np.sum(w**2) / 2)),
    "a square": (lambda w: tf.nn.l2_loss(w) ** 2, lambda w: np.sum(w**2) * w),
    "orthogonality": (
        lambda w: tf.nn.l2_loss(tf.matmul(w, w, transpose_b=True) - np.eye(2)),
        lambda w: 2 * (w.dot(w.T) - np.eye(2)).dot(w),
    ),
    "map_fn": (lambda w: tf.reduce_sum(tf.map_fn(lambda row: tf.reduce_sum(row * row), w)), lambda w: 2 * w),
    "indefinite": (lambda w: 0.25 * tf.reduce_sum(w[0] * w[1]), lambda w: 0.25 * w[::-1]),
}
COEFFICIENTS = {
    "a number": lambda: RATE,
    "fed": lambda: tf.placeholder_with_default(np.float64(RATE), []),
    "a variable": lambda: tf.get_variable("c", initializer=np.float64(RATE), trainable=False),
}


def run(train_op, fetch, steps=2):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(steps):
            session.run(train_op)
        return session.run(fetch)


def adam(build, **options):
    """The weights after two steps of Adam in a scope on what `build` makes of a weight, and the plan."""
    w = weights()
    with tf1_wd.decoupled_weight_decay(**options) as decay:
        train_op = tf.train.AdamOptimizer(LR).minimize(build(w))
    return run(train_op, w), decay.plan


def numpy_adam(decay, order="after", extra=lambda w: 0.0, steps=2):
    """The same in NumPy. decay(w): what is taken off beside the step. extra(w): what comes to the gradient."""
    w, optimizer = W0, oracle.Optimizer("adam", LR)
    for _ in range(steps):
        stepped = w - optimizer.step(w, gradient(w) + extra(w))
        w = stepped - decay(stepped if order == "after" else w)
    return w
