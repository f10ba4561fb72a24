"""Times session.run of a training step of 500 small variables: the bare optimizer, and the same with weight decay.

Usage: python benchmarks/latency.py [--program net updates] [--variables 500] [--builds 3] [--rounds 15] [--json FILE]

What is timed is the cost of deciding what decays and when, not that of moving bytes: the weights are small. "net" is a
net of 250 dense layers of 8 units, forward and backward; "updates" has constants for gradients, so that the optimizer's
update ops are all there is: the worst case. Every way is first checked against NumPy. Then all are run in turn,
each for some steps on end as a training loop does (the first ones of them find the caches full of another
way's nodes and are not counted); what counts is the median over the rounds of the ratio of a round's medians. All is
built several times over, in a random order, as the same step may be 10 % faster or slower in another place of memory.
"bare again" is a second copy of the bare step: it tells how much two equal steps differ.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd
from tf1_wd.plan import text_table

RATE, LR, UNITS = 0.0625, 0.0078125, 8
UNCOUNTED, COUNTED = 5, 15  # steps of a way in a round
OPTIMIZERS = {"SGD": tf.train.GradientDescentOptimizer, "Adam": tf.train.AdamOptimizer}


def bare(optimizer, loss, variables):
    """No decay."""
    return optimizer.minimize(loss, var_list=variables)


def decayed(**options):
    """With tf1_wd."""

    def build(optimizer, loss, variables):
        with tf1_wd.decoupled_weight_decay(rates=RATE, **options):
            return optimizer.minimize(loss, var_list=variables)

    return build


def snippet(optimizer, loss, variables):
    """The pasted workaround: a second SGD step on the summed penalties."""
    with tf.control_dependencies([optimizer.minimize(loss, var_list=variables)]):
        penalties = tf.add_n([RATE * tf.nn.l2_loss(v.read_value()) for v in variables])
        return tf.train.GradientDescentOptimizer(1.0).minimize(penalties, var_list=variables)


WAYS = {
    "bare": bare,
    "native op, after": decayed(order="after", backend="native"),
    "native op, before": decayed(order="before", backend="native"),
    "snippet": snippet,
    "bare again": bare,
}


def net(variables):
    """The loss of a net of dense layers, a weight and a bias each."""
    hidden = tf.ones([4, UNITS])
    for weight, bias in zip(variables[::2], variables[1::2]):
        hidden += 0.1 * tf.tanh(tf.matmul(hidden, weight) + bias)
    return tf.reduce_mean(tf.square(hidden))


def updates(variables):
    """A loss whose gradients are constants."""
    return tf.add_n([tf.reduce_sum(0.5 * v) for v in variables])


PROGRAMS = {"net": net, "updates": updates}


def first_weights(count):
    """The weights that every way begins from."""
    random = np.random.RandomState(0)
    return [random.normal(0, 0.25, (UNITS, UNITS) if i % 2 == 0 else (UNITS,)).astype(np.float32) for i in range(count)]


def check(after, start):
    """One step of each way against the bare one in NumPy. after: {way: weights after one step}."""
    for name, values in after.items():
        for got, stepped, w in zip(values, after["bare"], start):
            if name.startswith("bare"):
                want = stepped
            else:
                want = stepped - RATE * w if name.endswith("before") else (1 - RATE) * stepped
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6, err_msg=name)


def measure(program, optimizer, resource, count, rounds):
    """{way: milliseconds of a step, of every round}. Every way has a graph and a session of its own."""
    start = first_weights(count)
    with contextlib.ExitStack() as stack:
        steps, after = {}, {}
        for name in random.sample(list(WAYS), len(WAYS)):  # what is built first may lie better in memory
            with tf.Graph().as_default(), tf.variable_scope("model", use_resource=resource):
                variables = [tf.get_variable("v%d" % i, initializer=value) for i, value in enumerate(start)]
                train_op = WAYS[name](OPTIMIZERS[optimizer](LR), PROGRAMS[program](variables), variables)
                session = stack.enter_context(contextlib.closing(tf.Session()))
                session.run(tf.global_variables_initializer())
                steps[name] = session.make_callable(train_op)
                steps[name]()
                after[name] = session.run(variables)
        check(after, start)
        return time_in_turn(steps, rounds)


def time_in_turn(steps, rounds):
    """{name: milliseconds of a step, of every round}; every second round runs them in reverse."""
    times = {name: [] for name in steps}
    for round_ in range(rounds + 1):
        for name in list(steps) if round_ % 2 else reversed(list(steps)):
            block = [milliseconds(steps[name]) for _ in range(UNCOUNTED + COUNTED)]
            if round_ > 0:  # the first one warms up
                times[name].append(statistics.median(block[UNCOUNTED:]))
    return times


def milliseconds(step):
    start = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--variables", type=int, default=500)
    parser.add_argument("--builds", type=int, default=3, help="how often each graph is built anew")
    parser.add_argument("--rounds", type=int, default=15, help="of each build")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    tf.disable_v2_behavior()
    header = ("program", "optimizer", "variables", "bare ms", *("%s, x bare" % name for name in list(WAYS)[1:]))
    rows = []
    for program in arguments.program:
        for optimizer in OPTIMIZERS:
            for resource in (False, True):
                times = collections.defaultdict(list)
                for _ in range(arguments.builds):
                    measured = measure(program, optimizer, resource, arguments.variables, arguments.rounds)
                    for name in WAYS:
                        times[name] += measured[name]
                ratios = [statistics.median(a / b for a, b in zip(times[name], times["bare"])) for name in WAYS]
                kind = "resource" if resource else "reference"
                rows.append((program, optimizer, kind, statistics.median(times["bare"]), *ratios[1:]))
                print(*(c if isinstance(c, str) else "%.2f" % c for c in rows[-1]), file=sys.stderr, flush=True)
    print("\n%d variables, TensorFlow %s, %d cores" % (arguments.variables, tf.version.VERSION, os.cpu_count()))
    print(text_table.table([[c if isinstance(c, str) else round(c, 2) for c in row] for row in rows], header))
    if arguments.json:
        facts = {"tensorflow": tf.version.VERSION, "tf1_wd": tf1_wd.__version__, "cores": os.cpu_count()}
        with open(arguments.json, "w") as file:
            json.dump(dict(facts, rows=[dict(zip(header, row)) for row in rows]), file, indent=1)


if __name__ == "__main__":
    main()
