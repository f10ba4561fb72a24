"""Optimizers of tf.contrib.opt: Nadam, AdaMax and lazy Adam.

Private: Optimizer._get_beta_accumulators, _lr_t and the like of tf.train.AdamOptimizer.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class _Adam(tf.train.AdamOptimizer):
    """Adam in plain ops, which of a sparse gradient moves the rows in it alone, moments included."""

    def _numbers(self, dtype):
        """beta1^t, beta2^t, learning rate, beta1, beta2, epsilon."""
        powers = tf.nest.flatten(self._get_beta_accumulators())
        return [tf.cast(n, dtype) for n in (*powers, self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t)]

    def _moved(self, moments, grad):
        """The new m, the new v and the step, of a variable or of rows."""
        beta1_power, beta2_power, rate, beta1, beta2, epsilon = self._numbers(grad.dtype.base_dtype)
        m, v = moments
        m = beta1 * m + (1 - beta1) * grad
        v = beta2 * v + (1 - beta2) * tf.square(grad)
        rate = rate * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        return m, v, rate * self._direction(m, grad, beta1) / (tf.sqrt(v) + epsilon)

    def _direction(self, m, grad, beta1):
        return m

    def _set_moments(self, var, grad):
        """The step, and the ops that set the moments of a whole variable."""
        slots = [self.get_slot(var, name) for name in ("m", "v")]
        *moments, step = self._moved(slots, grad)
        return step, [tf.assign(s, moment, use_locking=self._use_locking) for s, moment in zip(slots, moments)]

    def _apply_sparse(self, grad, var):
        return self._resource_apply_sparse(grad.values, var, grad.indices)

    def _resource_apply_sparse(self, grad, var, indices):
        slots = [self.get_slot(var, name) for name in ("m", "v")]
        *moments, step = self._moved([tf.gather(s, indices) for s in slots], grad)
        return tf.group(
            tf.scatter_sub(var, indices, step, use_locking=self._use_locking),
            *(tf.scatter_update(s, indices, m, use_locking=self._use_locking) for s, m in zip(slots, moments)),
        )


class LazyAdamOptimizer(_Adam):
    """Adam that, of a sparse gradient, moves the rows in it alone, moments included."""


class _DenseAdam(_Adam):
    """Moves by its formula with a dense gradient too; tf.train.AdamOptimizer has an op for Adam's alone."""

    def _apply_dense(self, grad, var):
        step, moments = self._set_moments(var, grad)
        return tf.group(tf.assign_sub(var, step, use_locking=self._use_locking), *moments)

    _resource_apply_dense = _apply_dense


class NadamOptimizer(_DenseAdam):
    """Adam with Nesterov momentum (Dozat)."""

    def _direction(self, m, grad, beta1):
        return beta1 * m + (1 - beta1) * grad

    def _resource_apply_sparse(self, grad, var, indices):
        # moments fade in all rows, and the variable moves in those of the gradient alone
        shape = tf.shape(self.get_slot(var, "m"), out_type=indices.dtype)
        step, moments = self._set_moments(var, tf.scatter_nd(indices[:, None], grad, shape))
        return tf.group(tf.scatter_sub(var, indices, tf.gather(step, indices), use_locking=self._use_locking), *moments)


class AdaMaxOptimizer(_DenseAdam):
    """Adam with the infinity norm: v <- max(beta2 v, |gradient|)."""

    def _get_beta_accumulators(self):
        graph = None if tf.executing_eagerly() else tf.get_default_graph()
        return self._get_non_slot_variable("beta1_power", graph=graph)

    def _create_slots(self, var_list):
        first = min(var_list, key=lambda v: v.name)
        self._create_non_slot_variable(initial_value=self._beta1, name="beta1_power", colocate_with=first)
        for var in var_list:
            self._zeros_slot(var, "m", self._name)
            self._zeros_slot(var, "v", self._name)

    def _moved(self, moments, grad):
        beta1_power, rate, beta1, beta2, epsilon = self._numbers(grad.dtype.base_dtype)
        m, v = moments
        m = beta1 * m + (1 - beta1) * grad
        v = tf.maximum(beta2 * v, tf.abs(grad))
        return m, v, rate / (1 - beta1_power) * m / (v + epsilon)

    def _finish(self, update_ops, name_scope):
        with tf.control_dependencies(update_ops):
            power = self._get_beta_accumulators()
            with tf.colocate_with(power):
                update = tf.assign(power, power * self._beta1_t, use_locking=self._use_locking)
        return tf.group(*update_ops, update, name=name_scope)
