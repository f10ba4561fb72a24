"""Two replicas of MirroredStrategy in graph mode, on two virtual CPUs."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from support.programs import assert_close

REPLICAS = 2


def in_replicas(strategy, function):
    """What `function` returns on the replicas, as one op."""
    run = getattr(strategy, "run", None) or strategy.experimental_run_v2
    return tf.group(*strategy.experimental_local_results(run(function)))


def copies(variable):
    return list(tf.distribute.get_strategy().experimental_local_results(variable))


def run(train_op, steps, *variables):
    """The copies of the variables after `steps` runs, as one list for each."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(steps):
            session.run(train_op)
        return [session.run(copies(variable)) for variable in variables]


def assert_all(values, want):
    assert len(values) == REPLICAS
    for value in values:
        assert_close(value, want)
