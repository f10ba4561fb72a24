"""Strategies of tf.contrib.training that spread variables over parameter servers, for replica_device_setter."""

from __future__ import annotations

import numpy as np


class RandomStrategy:
    """A random server for each op, of the same sequence in every process."""

    def __init__(self, num_ps_tasks, seed=0):
        self._num_tasks = num_ps_tasks
        self._random = np.random.RandomState(seed)

    def __call__(self, op):
        return self._random.randint(self._num_tasks)


class GreedyLoadBalancingStrategy:
    """The server with the least load. load_fn: a function of the op."""

    def __init__(self, num_tasks, load_fn):
        self._load_fn = load_fn
        self._loads = np.zeros(num_tasks)

    def __call__(self, op):
        task = np.argmin(self._loads)
        self._loads[task] += self._load_fn(op)
        return task


def byte_size_load_fn(op):
    """The size of an op's only output, in bytes. Raises: ValueError."""
    if len(op.outputs) != 1:
        raise ValueError("Op %s must have a single output" % op)
    shape = op.outputs[0].shape
    shape.assert_is_fully_defined()
    return op.outputs[0].dtype.size * shape.num_elements()
