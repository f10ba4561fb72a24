"""Times a training step on a large table of which few rows are touched: the optimizer alone, and each policy sparse=.

Usage: python benchmarks/sparse.py [--rows 1000000] [--width 32] [--touched 1000] [--rounds 50] [--json FILE]

Each way is first checked against NumPy, then all are timed in turn in one run, round by round, each step on rows drawn
anew; what counts is the median of the ratios of a round. The optimizer is Adagrad; the rate is given as rates=, since a
penalty in the loss would read the whole table in each step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf
from decay import ratio, time_in_turn

import tf1_wd
from tf1_wd.plan import text_table

RATE, LEARNING_RATE, ACCUMULATOR = 0.0625, 0.125, 0.1
WAYS = {"Adagrad alone": None, "all_rows": "all_rows", "touched_rows": "touched_rows", "lazy": "lazy"}


class Way:
    """One training program in a session of its own."""

    def __init__(self, policy, resource, rows, width):
        with tf.Graph().as_default(), tf.variable_scope("net", use_resource=resource):
            self._ids = tf.placeholder(tf.int32, [None])
            self._table = tf.get_variable("table", [rows, width], initializer=tf.ones_initializer())
            loss = 0.5 * tf.reduce_sum(tf.square(tf.nn.embedding_lookup(self._table, self._ids) - 2.0))
            optimizer = tf.train.AdagradOptimizer(LEARNING_RATE, ACCUMULATOR)
            if policy is None:
                self._step, self._catch_up = optimizer.minimize(loss), tf.no_op()
            else:
                with tf1_wd.decoupled_weight_decay(rates=RATE, sparse=policy) as decay:
                    self._step = optimizer.minimize(loss)
                self._catch_up = decay.catch_up()
            self._session = tf.Session()
            self._session.run(tf.global_variables_initializer())

    def step(self, ids):
        self._session.run(self._step, {self._ids: ids})

    def catch_up(self):
        self._session.run(self._catch_up)

    def weights(self):
        self.catch_up()
        return self._session.run(self._table)


def expected(policy, batches, rows, width):
    """The table after one step on each batch, in NumPy."""
    w, sums = np.ones([rows, width]), np.full([rows, width], ACCUMULATOR)
    for ids in batches:
        touched, counts = np.unique(ids, return_counts=True)
        gradient = counts[:, None] * (w[touched] - 2.0)
        sums[touched] += gradient**2
        w[touched] -= LEARNING_RATE * gradient / np.sqrt(sums[touched])
        if policy is not None:
            w[touched if policy == "touched_rows" else slice(None)] *= 1 - RATE
    return w


def measure(resource, rows, width, touched, rounds):
    """Rows (way, ms a step, times Adagrad alone, ms on top of it); the last is that of bringing all rows up to date."""
    random = np.random.RandomState(0)
    ways = {name: Way(policy, resource, rows, width) for name, policy in WAYS.items()}
    batches = [random.randint(0, rows, touched) for _ in range(5)]
    batches.append(batches[0])  # rows that come again
    for name, way in ways.items():
        for ids in batches:
            way.step(ids)
        np.testing.assert_allclose(way.weights(), expected(WAYS[name], batches, rows, width), rtol=2e-6, err_msg=name)
    drawn = {name: iter(random.randint(0, rows, [rounds + 2, touched])) for name in ways}
    times = time_in_turn({n: lambda n=n, way=way: way.step(next(drawn[n])) for n, way in ways.items()}, rounds)
    alone = times["Adagrad alone"]
    found = [
        (name, statistics.median(ms), ratio(ms, alone), statistics.median(a - b for a, b in zip(ms, alone)))
        for name, ms in times.items()
    ]
    catch_up = time_in_turn({"catch_up": ways["lazy"].catch_up}, 5)["catch_up"]
    return [*found, ("catch_up of all rows", statistics.median(catch_up), None, None)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--touched", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    tf.disable_v2_behavior()
    header = ("way", "step ms", "x Adagrad alone", "on top of it ms")
    report = {"tensorflow": tf.version.VERSION, "tf1_wd": tf1_wd.__version__, "cores": os.cpu_count(), "tables": {}}
    for resource in (False, True):
        title = "%d x %d, %d rows a step, %s variable" % (
            arguments.rows,
            arguments.width,
            arguments.touched,
            "resource" if resource else "reference",
        )
        rows = measure(resource, arguments.rows, arguments.width, arguments.touched, arguments.rounds)
        report["tables"][title] = [dict(zip(header, row)) for row in rows]
        print("\n%s, TensorFlow %s, %d cores" % (title, tf.version.VERSION, os.cpu_count()))
        print(
            text_table.table(
                [[c if isinstance(c, str) or c is None else round(c, 2) for c in row] for row in rows], header
            )
        )
        sys.stdout.flush()
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
