"""Optimizers around optimizers, of tf.contrib.opt."""

from __future__ import annotations

import functools

import tensorflow.compat.v1 as tf


class AroundOptimizer(tf.train.Optimizer):
    """Hands on to another optimizer what it does not do itself."""

    _optimizer: tf.train.Optimizer

    def compute_gradients(self, *args, **kwargs):
        return self._optimizer.compute_gradients(*args, **kwargs)

    def get_slot(self, *args, **kwargs):
        return self._optimizer.get_slot(*args, **kwargs)

    def get_slot_names(self, *args, **kwargs):
        return self._optimizer.get_slot_names(*args, **kwargs)


class MovingAverageOptimizer(AroundOptimizer):
    """Keeps a moving average of what an optimizer updates; swapping_saver() saves it in the variables' place."""

    def __init__(self, opt, average_decay=0.9999, num_updates=None, sequential_update=True):
        self._optimizer = opt
        self._average = tf.train.ExponentialMovingAverage(average_decay, num_updates=num_updates)
        self._sequential = sequential_update
        self._swapped = None

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        pairs = list(grads_and_vars)
        train_op = self._optimizer.apply_gradients(pairs, global_step=global_step, name=name)
        updated = [v for gradient, v in pairs if gradient is not None]
        with tf.control_dependencies([train_op] if self._sequential else []):
            average_op = self._average.apply(updated)
        self._swapped = {}
        for v in updated:
            average = self._average.average(v)
            self._swapped[v.op.name] = average.op.name
            self._swapped[average.op.name] = v.op.name
        return tf.group(train_op, average_op, name="train_with_avg")

    def swapping_saver(self, var_list=None, name="swapping_saver", **kwargs):
        """A Saver that writes averages under the names of the variables, and the other way round."""
        if self._swapped is None:
            raise RuntimeError("Must call apply_gradients or minimize before creating the swapping_saver")
        if not isinstance(var_list, dict):
            var_list = {v.op.name: v for v in (tf.global_variables() if var_list is None else var_list)}
        swapped = {}
        for name_of in var_list:
            other = self._swapped.get(name_of, name_of)
            if other not in var_list:
                raise ValueError(
                    "Variable to swap %s is not part of variables to save. This breaks MovingAverageOptimizer." % other
                )
            swapped[name_of] = var_list[other]
        return tf.train.Saver(swapped, name=name, **kwargs)


def _unless_all_zero(function, grad, *args):
    """What the function answers, or nothing done where the gradient is all zeros."""
    values = grad.values if isinstance(grad, tf.IndexedSlices) else grad
    return tf.cond(tf.equal(tf.count_nonzero(values), 0), tf.no_op, lambda: tf.group(function(grad, *args)))


class MultitaskOptimizerWrapper:
    """An optimizer that leaves variables, and their momentum, alone in steps where their gradient is all zeros."""

    def __init__(self, opt):
        if not isinstance(opt, tf.train.Optimizer):
            raise TypeError("Supplied optimizer must be an instance of tf.train.Optimizer")
        self._opt = opt
        for name in ("_apply_dense", "_resource_apply_dense", "_apply_sparse", "_resource_apply_sparse"):
            setattr(opt, name, functools.partial(_unless_all_zero, getattr(opt, name)))

    def __getattr__(self, name):
        return getattr(self._opt, name)


def clip_gradients_by_global_norm(gradients_variables, clip_norm=20.0):
    """(gradient, variable) pairs, the gradients clipped together; their norm goes to a summary."""
    gradients, variables = zip(*gradients_variables)
    norm = tf.global_norm([g for g in gradients if g is not None])
    tf.summary.scalar("global_norm", norm)
    clipped, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    return list(zip(clipped, variables))


class VariableClippingOptimizer(AroundOptimizer):
    """Clips the norm of variables after each update: vars_to_clip_dims is {variable: dimensions of one vector}."""

    def __init__(
        self,
        opt,
        vars_to_clip_dims,
        max_norm,
        use_locking=False,
        colocate_clip_ops_with_vars=False,
        name="VariableClipping",
    ):
        super().__init__(use_locking, name)
        self._optimizer = opt
        self._dimensions = {v.op.name: dimensions for v, dimensions in vars_to_clip_dims.items()}
        self._max_norm = max_norm

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        pairs = list(grads_and_vars)
        with tf.name_scope(name, self._name):
            update = self._optimizer.apply_gradients(pairs, global_step=global_step)
            clips = []
            with tf.control_dependencies([update]):
                for _, v in pairs:
                    if v.op.name in self._dimensions:
                        now = v.read_value()
                        clipped = tf.clip_by_norm(now, self._max_norm, self._dimensions[v.op.name])
                        clips.append(tf.assign(v, clipped, use_locking=self._use_locking))
            return tf.group(update, *clips)
