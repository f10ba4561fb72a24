"""Times weight decay on the CPU: the pasted snippet, assign_sub per variable, the twin, the native op.

Usage: python benchmarks/decay.py [--model resnet50 bert_base] [--rounds 15] [--json FILE]

Each way is first checked against NumPy, then all are timed in turn in one run, round by round; what counts is the
median of the ratios of a round. The limit is what the machine can do: NumPy scales one flat array of the same size in
place, one thread a core.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import json
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf
from model_shapes import MODELS

import tf1_wd
from tf1_wd.native.decay import decay
from tf1_wd.plan import text_table

RATE = 0.0625


def snippet(variables, train_op):
    """The pasted workaround: a second SGD step on the summed penalties."""
    with tf.control_dependencies([train_op] if train_op is not None else []):
        penalties = tf.add_n([RATE * tf.nn.l2_loss(v) for v in variables])
        return tf.train.GradientDescentOptimizer(1.0).minimize(penalties, var_list=variables)


def assign_sub(variables, train_op):
    """One assign_sub a variable, as tf.contrib.opt does."""
    with tf.control_dependencies([train_op] if train_op is not None else []):
        return tf.group(*[v.assign_sub(RATE * v.read_value(), read_value=False) for v in variables])


def with_backend(backend):
    def build(variables, train_op):
        with tf.control_dependencies([train_op] if train_op is not None else []):
            return decay(variables, RATE, 1.0, backend=backend)

    return build


WAYS = {
    "snippet": snippet,
    "assign_sub": assign_sub,
    "twin": with_backend("tensorflow"),
    "native op": with_backend("native"),
}


def check(session, variables, ops, initialize):
    """Every way must take the same fraction of all weights away, once."""
    for name, op in ops.items():
        session.run(initialize)
        session.run(op)
        for value in session.run(variables):
            np.testing.assert_allclose(value, np.float32(1 - RATE), rtol=1e-6, err_msg=name)


@contextlib.contextmanager
def flat_scale(count):
    """A function that scales `count` float32 numbers in place, one thread a core."""
    parts = np.array_split(np.ones(count, np.float32), os.cpu_count())
    factor = np.float32(1 - RATE)
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as threads:
        yield lambda: list(threads.map(lambda part: np.multiply(part, factor, out=part), parts))


def time_in_turn(ways, rounds):
    """{name: milliseconds of every round}, all ways once a round. ways: {name: function}."""
    times = {name: [] for name in ways}
    for round_ in range(rounds + 2):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            if round_ >= 2:  # the first two warm up
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def measure(shapes, resource, rounds):
    """Rows (name, decay in ms, GB/s, share of the limit, ratio to the native op, decay on top of Adam in ms)."""
    count = sum(int(np.prod(shape)) for shape in shapes)
    with tf.Graph().as_default(), tf.variable_scope("net", use_resource=resource):
        variables = [tf.get_variable("v%d" % i, s, initializer=tf.ones_initializer()) for i, s in enumerate(shapes)]
        alone = {name: build(variables, None) for name, build in WAYS.items()}
        pairs = [(tf.fill(v.shape, np.float32(0.5)), v) for v in variables]
        gradients = [tf.get_variable("g%d" % i, initializer=g, trainable=False) for i, (g, _) in enumerate(pairs)]
        pairs = [(g.read_value(), v) for g, v in zip(gradients, variables)]
        adam = tf.train.AdamOptimizer(1e-3).apply_gradients(pairs)
        with_adam = {"Adam": adam}
        for name, build in WAYS.items():
            with_adam[name] = build(variables, tf.train.AdamOptimizer(1e-3, name=name[:4]).apply_gradients(pairs))
        initialize = tf.global_variables_initializer()
        with tf.Session() as session:
            check(session, variables, {name: alone[name] for name in WAYS}, initialize)
            session.run(initialize)
            with flat_scale(count) as scale:
                runs = {name: functools.partial(session.run, op) for name, op in alone.items()}
                single = time_in_turn(dict(runs, limit=scale), rounds)
            both = time_in_turn({n: functools.partial(session.run, op) for n, op in with_adam.items()}, rounds)
    rows = []
    for name in (*WAYS, "limit"):
        ms = statistics.median(single[name])
        row = [
            name,
            ms,
            8e-6 * count / ms,
            ratio(single["limit"], single[name]),
            ratio(single[name], single["native op"]),
        ]
        over = statistics.median(a - b for a, b in zip(both[name], both["Adam"])) if name in both else None
        rows.append((*row, over))
    rows.append(("Adam alone", statistics.median(both["Adam"]), None, None, None, None))
    return rows


def ratio(a, b):
    """Median of the round-by-round ratios."""
    return statistics.median(x / y for x, y in zip(a, b))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    tf.disable_v2_behavior()
    header = ("way", "decay ms", "GB/s", "of limit", "x native", "on top of Adam ms")
    report = {"tensorflow": tf.version.VERSION, "tf1_wd": tf1_wd.__version__, "cores": os.cpu_count(), "tables": {}}
    for model in arguments.model:
        for resource in (False, True):
            title = "%s, %s variables" % (model, "resource" if resource else "reference")
            rows = measure(MODELS[model](), resource, arguments.rounds)
            report["tables"][title] = [dict(zip(header, row)) for row in rows]
            print("\n%s, TensorFlow %s, %d cores" % (title, tf.version.VERSION, os.cpu_count()))
            print(
                text_table.table(
                    [[c if isinstance(c, str) or c is None else round(c, 2) for c in r] for r in rows], header
                )
            )
            sys.stdout.flush()
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
