"""A small stand-in for horovod.tensorflow: two processes, and the optimizers' structure as Horovod 0.28.1 has it.

The processes talk over a socket that they inherit, whose number is in STAND_IN_FD; the rank is in STAND_IN_RANK.
"""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

import numpy as np
import tensorflow.compat.v1 as tf

Average, Sum, Adasum = 0, 1, 2
_link = None


def init():
    global _link
    _link = Connection(int(os.environ["STAND_IN_FD"]))


def rank():
    return int(os.environ["STAND_IN_RANK"])


def _exchange(combine, arrays):
    _link.send(arrays)
    ours_and_theirs = (arrays, _link.recv())
    # in the order of the ranks, so that both compute the same bits
    first, second = ours_and_theirs if rank() == 0 else reversed(ours_and_theirs)
    return [np.asarray(combine(a, b), a.dtype) for a, b in zip(first, second)]


def _adasum(a, b):
    """Parallel vectors are averaged, orthogonal ones are added."""
    dot = np.sum(a * b)
    return (1 - dot / (2 * np.sum(a * a))) * a + (1 - dot / (2 * np.sum(b * b))) * b


_COMBINE = {Average: lambda a, b: (a + b) / 2, Sum: lambda a, b: a + b, Adasum: _adasum}


def allreduce(tensors, op=Average):
    """Each tensor combined with that of the other process; all of them at once, so that no two exchanges can cross."""
    types = [t.dtype for t in tensors]
    reduced = tf.py_func(lambda *arrays: _exchange(_COMBINE[op], arrays), tensors, types)
    for before, after in zip(tensors, reduced):
        after.set_shape(before.shape)
    return reduced


def DistributedOptimizer(optimizer, op=Average, backward_passes_per_step=1):
    if op == Adasum:
        return AdasumOptimizer(optimizer)
    return AveragingOptimizer(optimizer, op, backward_passes_per_step)


class AveragingOptimizer(tf.train.Optimizer):
    """Combines gradients in compute_gradients, hands them to the inner optimizer in apply_gradients.

    With passes > 1, gradients are summed in variables, and exchanged and applied in each passes-th run only.
    """

    def __init__(self, optimizer, op, passes):
        super().__init__(name="Distributed", use_locking=False)
        self._optimizer, self._op, self._passes = optimizer, op, passes

    def compute_gradients(self, *args, **kwargs):
        gradients, variables = zip(*self._optimizer.compute_gradients(*args, **kwargs))
        combine = self._accumulate if self._passes > 1 else lambda tensors: allreduce(tensors, self._op)
        return list(zip(combine(gradients), variables))

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        def apply():
            return self._optimizer.apply_gradients(grads_and_vars, global_step=global_step, name=name)

        def only_count():
            return tf.no_op() if global_step is None else global_step.assign_add(1, read_value=False)

        if self._passes == 1:
            return apply()
        with tf.control_dependencies([gradient for gradient, _ in grads_and_vars]):
            update = tf.cond(tf.equal(self._counter.read_value(), 0), apply, tf.no_op)
        with tf.control_dependencies([update]):
            return tf.cond(tf.equal(self._counter.read_value(), 0), tf.no_op, only_count)

    def _accumulate(self, gradients):
        local = {"trainable": False, "collections": [tf.GraphKeys.LOCAL_VARIABLES]}
        with tf.variable_scope("aggregation"):
            self._counter = tf.get_variable("counter", initializer=0, **local)
            sums = [
                tf.get_variable(str(i), initializer=tf.zeros(g.shape, g.dtype), **local)
                for i, g in enumerate(gradients)
            ]
        is_first = tf.equal(self._counter.read_value(), 0)
        clear = tf.cond(is_first, lambda: tf.group(*[s.assign(tf.zeros_like(s)) for s in sums]), tf.no_op)
        with tf.control_dependencies([clear]):
            added = tf.group(*[s.assign_add(g) for s, g in zip(sums, gradients)])
        with tf.control_dependencies([added]):
            counted = self._counter.assign_add(1)
        with tf.control_dependencies([counted]):
            is_last = tf.equal(self._counter.read_value(), self._passes)

        def exchange():
            reduced = allreduce([s.read_value() for s in sums], self._op)
            with tf.control_dependencies(reduced):
                reset = self._counter.assign(0)
            with tf.control_dependencies([reset]):
                return [tf.identity(r) for r in reduced]

        reduced = tf.cond(is_last, exchange, lambda: [tf.identity(g) for g in gradients])
        return reduced if isinstance(reduced, (list, tuple)) else [reduced]


class DeltaCombiningOptimizer(tf.train.Optimizer):
    """What Horovod's Adasum is meant to be: each process takes its own step, then the steps are combined.

    A slot keeps the weights from which the step began.
    """

    def __init__(self, optimizer):
        super().__init__(name="Combining", use_locking=False)
        self._optimizer = optimizer

    def compute_gradients(self, *args, **kwargs):
        return self._optimizer.compute_gradients(*args, **kwargs)

    def _create_slots(self, variables):
        self._optimizer._create_slots(variables)

    def _prepare(self):
        self._optimizer._prepare()

    def _combine(self, variable, apply):
        start = self._get_or_make_slot(variable, variable.initial_value, "start", self._name)
        with tf.control_dependencies([apply()]):
            delta = variable.read_value() - start.read_value()
        combined = allreduce([delta], Adasum)[0]
        with tf.control_dependencies([start.assign_add(combined)]):
            return variable.assign(start.read_value(), read_value=False)

    def _apply_dense(self, gradient, variable):
        return self._combine(variable, lambda: self._optimizer._apply_dense(gradient, variable))

    def _resource_apply_dense(self, gradient, variable):
        return self._combine(variable, lambda: self._optimizer._resource_apply_dense(gradient, variable))


class AdasumOptimizer(DeltaCombiningOptimizer):
    """The same, under the name that tells what it is."""


class DeltasAroundOptimizer(tf.train.Optimizer):
    """The same from outside: remembers the weights, lets the inner optimizer apply, combines what they moved by."""

    def __init__(self, optimizer):
        super().__init__(name="Around", use_locking=False)
        self._optimizer = optimizer

    def compute_gradients(self, *args, **kwargs):
        return self._optimizer.compute_gradients(*args, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        variables = [v for _, v in grads_and_vars]
        starts = [v.read_value() + 0.0 for v in variables]  # a copy: reads of reference variables are none
        with tf.control_dependencies(starts):
            update = self._optimizer.apply_gradients(grads_and_vars, global_step=global_step, name=name)
        with tf.control_dependencies([update]):
            deltas = allreduce([v.read_value() - start for v, start in zip(variables, starts)], Adasum)
        return tf.group(*[v.assign(start + d) for v, start, d in zip(variables, starts, deltas)])
