"""CPU time of building a train_op in a scope, in units of the bare optimizer's.

Usage: python benchmarks/building.py [--variables 3000] [--rounds 5]

A chain of variables with an L2 penalty each in the loss, Adam. Both sides are built in turn in every round, in graphs
of their own; printed are the medians, and the median of the ratios of the rounds. The plan is checked first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow.compat.v1 as tf

import tf1_wd

RATE = 1e-3


def loss_of(count, use_resource):
    """A loss that reads `count` variables, with 0.001 of tf.nn.l2_loss of each."""
    with tf.variable_scope("net", use_resource=use_resource):
        variables = [tf.get_variable("w%d" % i, [8, 8], tf.float32) for i in range(count)]
    data = tf.add_n([tf.reduce_sum(tf.tanh(w)) for w in variables])
    return data + RATE * tf.add_n([tf.nn.l2_loss(w) for w in variables])


def seconds(count, use_resource, decoupled):
    """CPU time of minimize alone, in a new graph."""
    with tf.Graph().as_default():
        loss = loss_of(count, use_resource)
        build = tf.train.AdamOptimizer(1e-3).minimize
        if decoupled:
            build = tf1_wd.decoupled_weight_decay(build)
        start = time.process_time()
        build(loss)
        spent = time.process_time() - start
        if decoupled:
            decays = build.decay.plan.decaying
            assert len(decays) == count
            assert all(abs(d.rate - RATE) < 1e-9 for d in decays)
        return spent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variables", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    tf.disable_v2_behavior()
    for use_resource in (False, True):
        seconds(100, use_resource, True)  # compiles and loads the op
        rounds = [
            (seconds(args.variables, use_resource, False), seconds(args.variables, use_resource, True))
            for _ in range(args.rounds)
        ]
        bare, scope = (statistics.median(side) for side in zip(*rounds))
        print(
            "%s variables: bare %.2f s, in a scope %.2f s, ratio %.2f (median of %d rounds)"
            % (
                "resource" if use_resource else "reference",
                bare,
                scope,
                statistics.median(decayed / alone for alone, decayed in rounds),
                args.rounds,
            )
        )


if __name__ == "__main__":
    main()
