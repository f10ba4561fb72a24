"""Optimizers of tf.contrib.opt: Nadam, AdaMax and lazy Adam.

Private: Optimizer._get_beta_accumulators, _lr_t and the like of tf.train.AdamOptimizer.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class _Adam(tf.train.AdamOptimizer):
    """Adam whose numbers are handed to formulas in plain ops."""

    def _numbers(self, dtype):
        """beta1^t, beta2^t, learning rate, beta1, beta2, epsilon."""
        powers = self._get_beta_accumulators()
        return [tf.cast(n, dtype) for n in (*powers, self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t)]

    def _assign(self, var, value):
        return tf.assign(var, value, use_locking=self._use_locking)


class NadamOptimizer(_Adam):
    """Adam with Nesterov momentum (Dozat)."""

    def _apply_dense(self, grad, var):
        beta1_power, beta2_power, rate, beta1, beta2, epsilon = self._numbers(var.dtype.base_dtype)
        m = self._assign(self.get_slot(var, "m"), beta1 * self.get_slot(var, "m") + (1 - beta1) * grad)
        v = self._assign(self.get_slot(var, "v"), beta2 * self.get_slot(var, "v") + (1 - beta2) * tf.square(grad))
        rate = rate * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        step = rate * (beta1 * m + (1 - beta1) * grad) / (tf.sqrt(v) + epsilon)
        return tf.group(tf.assign_sub(var, step, use_locking=self._use_locking), m, v)

    _resource_apply_dense = _apply_dense

    def _apply_sparse(self, grad, var):
        return self._resource_apply_sparse(grad.values, var, grad.indices)

    def _resource_apply_sparse(self, grad, var, indices):
        beta1_power, beta2_power, rate, beta1, beta2, epsilon = self._numbers(var.dtype.base_dtype)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        with tf.control_dependencies([self._assign(m, beta1 * m)]):
            m = tf.scatter_add(m, indices, (1 - beta1) * grad, use_locking=self._use_locking)
        with tf.control_dependencies([self._assign(v, beta2 * v)]):
            v = tf.scatter_add(v, indices, (1 - beta2) * tf.square(grad), use_locking=self._use_locking)
        rate = rate * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        m_bar = beta1 * tf.gather(m, indices) + (1 - beta1) * grad
        step = rate * m_bar / (tf.sqrt(tf.gather(v, indices)) + epsilon)
        return tf.group(tf.scatter_sub(var, indices, step, use_locking=self._use_locking), m, v)


class AdaMaxOptimizer(_Adam):
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

    def _numbers(self, dtype):
        numbers = (self._get_beta_accumulators(), self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t)
        return [tf.cast(n, dtype) for n in numbers]

    def _apply_dense(self, grad, var):
        beta1_power, rate, beta1, beta2, epsilon = self._numbers(var.dtype.base_dtype)
        m = self._assign(self.get_slot(var, "m"), beta1 * self.get_slot(var, "m") + (1 - beta1) * grad)
        v = self._assign(self.get_slot(var, "v"), tf.maximum(beta2 * self.get_slot(var, "v"), tf.abs(grad)))
        step = rate / (1 - beta1_power) * m / (v + epsilon)
        return tf.group(tf.assign_sub(var, step, use_locking=self._use_locking), m, v)

    _resource_apply_dense = _apply_dense

    def _apply_sparse(self, grad, var):
        return self._resource_apply_sparse(grad.values, var, grad.indices)

    def _resource_apply_sparse(self, grad, var, indices):
        beta1_power, rate, beta1, beta2, epsilon = self._numbers(var.dtype.base_dtype)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m_rows = beta1 * tf.gather(m, indices) + (1 - beta1) * grad
        v_rows = tf.maximum(beta2 * tf.gather(v, indices), tf.abs(grad))
        step = rate / (1 - beta1_power) * m_rows / (v_rows + epsilon)
        lock = self._use_locking
        return tf.group(
            tf.scatter_update(m, indices, m_rows, use_locking=lock),
            tf.scatter_update(v, indices, v_rows, use_locking=lock),
            tf.scatter_sub(var, indices, step, use_locking=lock),
        )

    def _finish(self, update_ops, name_scope):
        with tf.control_dependencies(update_ops):
            power = self._get_beta_accumulators()
            with tf.colocate_with(power):
                update = tf.assign(power, power * self._beta1_t, use_locking=self._use_locking)
        return tf.group(*update_ops, update, name=name_scope)


class LazyAdamOptimizer(_Adam):
    """Adam that, of a sparse gradient, moves the rows in it alone, moments included."""

    def _apply_sparse(self, grad, var):
        return self._resource_apply_sparse(grad.values, var, grad.indices)

    def _resource_apply_sparse(self, grad, var, indices):
        beta1_power, beta2_power, rate, beta1, beta2, epsilon = self._numbers(var.dtype.base_dtype)
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m_rows = beta1 * tf.gather(m, indices) + (1 - beta1) * grad
        v_rows = beta2 * tf.gather(v, indices) + (1 - beta2) * tf.square(grad)
        rate = rate * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        step = rate * m_rows / (tf.sqrt(v_rows) + epsilon)
        lock = self._use_locking
        return tf.group(
            tf.scatter_update(m, indices, m_rows, use_locking=lock),
            tf.scatter_update(v, indices, v_rows, use_locking=lock),
            tf.scatter_sub(var, indices, step, use_locking=lock),
        )
