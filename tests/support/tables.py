"""A table whose gradients are sparse, and what training does to it, row by row in NumPy."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle

ROWS, WIDTH, LR = 12, 3, 0.125
RANDOM = np.random.RandomState(7)
W0 = RANDOM.uniform(0.5, 2.0, [ROWS, WIDTH]) * RANDOM.choice([-1.0, 1.0], [ROWS, WIDTH])
TARGETS = RANDOM.uniform(-1.0, 1.0, [ROWS, WIDTH])
LOOKUPS = {"embedding_lookup": tf.nn.embedding_lookup, "gather": tf.gather}
KEEPS_ROWS = ("sgd", "momentum", "rmsprop", "adagrad", "ftrl")  # optimizers that move no row without gradient


def batches(steps, size=5, seed=1):
    """Row indices of each step: some listed twice, now and then none at all."""
    random = np.random.RandomState(seed)
    return [random.randint(0, ROWS, 0 if step % 7 == 3 else size) for step in range(steps)]


def table(name="table", dtype=np.float64, value=W0, **kwargs):
    return tf.get_variable(name, initializer=np.array(value, dtype), **kwargs)


def loss_of(rows, ids):
    """Pulls each row that is looked up to its target, once for each time that it is listed."""
    targets = tf.gather(tf.constant(TARGETS, rows.dtype), ids)
    return 0.5 * tf.reduce_sum(tf.square(rows - targets))


def numpy_weights(name, ids_of_steps, order, rate, policy, scale=1.0):
    """What training on `loss_of` does, row by row in NumPy, float64."""
    w = W0.copy()
    by_row = [oracle.Optimizer(name, LR) for _ in w]
    whole = oracle.Optimizer(name, LR)
    for t, ids in enumerate(ids_of_steps):
        gradient = np.zeros_like(w)
        np.add.at(gradient, ids, w[ids] - TARGETS[ids])
        touched = np.unique(ids)
        if name in KEEPS_ROWS:
            step = np.zeros_like(w)
            for row in touched:
                step[row] = by_row[row].step(w[row], gradient[row])
        else:
            step = whole.step(w, gradient)
        r = np.zeros([len(w), 1])
        r[touched if policy == "touched_rows" else slice(None)] = rate * (scale(t) if callable(scale) else scale)
        w = (1 - r) * (w - step) if order == "after" else w - step - r * w
    return w


class Program:
    """A table, its loss and its train_op, built in a scope in the default graph."""

    def __init__(self, optimizer, lookup=tf.nn.embedding_lookup, rate=0.25, dtype=np.float64, **options):
        self.ids = tf.placeholder(tf.int32, [None], "ids")
        self.table = table(dtype=dtype)
        self.rows = lookup(self.table, self.ids)
        self.step = tf.train.get_or_create_global_step()
        if isinstance(optimizer, str):
            optimizer = oracle.tf_optimizer(tf, optimizer, LR)
        with tf1_wd.decoupled_weight_decay(rates=rate, **options) as self.decay:
            self.train_op = optimizer.minimize(loss_of(self.rows, self.ids), self.step)
        self.catch_up = self.decay.catch_up()

    def train(self, session, ids_of_steps):
        for ids in ids_of_steps:
            session.run(self.train_op, {self.ids: ids})

    def weights(self, ids_of_steps):
        """The table after these steps, all rows up to date."""
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            self.train(session, ids_of_steps)
            session.run(self.catch_up)
            return session.run(self.table)
