"""A table of which each step looks up some rows, some of them often, and what training does to it in NumPy."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.tables import LR, ROWS, W0, WIDTH, table

RATE = 0.0625
X = np.random.RandomState(3).uniform(0.5, 1.5, [4, WIDTH])
IDS = [[0, 3, 3, 5], [3, 3, 3, 7], [1, 2, 4, 6]]  # of three steps
TIMES = [np.bincount(ids, minlength=ROWS).astype(float)[:, None] for ids in IDS]
ONCE = [np.minimum(times, 1.0) for times in TIMES]


class Feeds:
    """What a step is fed: row indices, and data for each of them."""

    def __init__(self):
        self.ids = tf.placeholder(tf.int32, [None], "ids")
        self.x = tf.placeholder(tf.float64, [None, WIDTH], "x")

    def of(self, step):
        return {self.ids: IDS[step], self.x: X}

    def loss(self, rows):
        return tf.reduce_sum(rows * self.x)


def data_gradient(step):
    """The gradient of Feeds.loss by the table."""
    found = np.zeros_like(W0)
    np.add.at(found, IDS[step], X)
    return found


def numpy_table(optimizer, decay, order="after", extra=lambda step, w: 0.0):
    """The table after the three steps. decay(step, w): what is taken off. extra: what comes to the gradient."""
    w, optimizer = W0, oracle.Optimizer(optimizer, LR)
    for step in range(len(IDS)):
        stepped = w - optimizer.step(w, data_gradient(step) + extra(step, w))
        w = stepped - decay(step, stepped if order == "after" else w)
    return w


def looked_up(step, w):
    return RATE * TIMES[step] * w


def run(feeds, train_op, fetch):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step in range(len(IDS)):
            session.run(train_op, feeds.of(step))
        return session.run(fetch)


def trained(build, optimizer="sgd", **options):
    """(the table after the three steps, the plan) in a scope. build(table, feeds): what is added to the loss."""
    feeds, w = Feeds(), table()
    loss = feeds.loss(tf.nn.embedding_lookup(w, feeds.ids)) + build(w, feeds)
    with tf1_wd.decoupled_weight_decay(**options) as decay:
        train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(loss)
    return run(feeds, train_op, w), decay.plan


def lookup(w, feeds):
    return tf.nn.embedding_lookup(w, feeds.ids)


def penalty(w, feeds):
    return RATE * tf.nn.l2_loss(lookup(w, feeds))
