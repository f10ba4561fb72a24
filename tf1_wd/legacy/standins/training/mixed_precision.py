"""Loss scaling of tf.contrib.mixed_precision."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class LossScaleManager:
    """Says by what a loss is scaled."""

    def get_loss_scale(self):
        """The scale, a scalar."""
        raise NotImplementedError

    def update_loss_scale(self, finite_grads):
        """The op that learns from a step. finite_grads: a scalar, tf.bool."""
        raise NotImplementedError


class FixedLossScaleManager(LossScaleManager):
    """The same scale in all steps."""

    def __init__(self, loss_scale):
        if loss_scale < 1:
            raise ValueError("loss scale must be at least 1.")
        self._loss_scale = tf.convert_to_tensor(loss_scale, dtype=tf.float32)

    def get_loss_scale(self):
        return self._loss_scale

    def update_loss_scale(self, finite_grads):
        return tf.no_op()


class ExponentialUpdateLossScaleManager(LossScaleManager):
    """A scale that grows after finite steps, and shrinks after others."""

    def __init__(self, init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf=2, incr_ratio=2, decr_ratio=0.8):
        self._good_wanted = incr_every_n_steps
        self._bad_wanted = decr_every_n_nan_or_inf
        self._incr_ratio = incr_ratio
        self._decr_ratio = decr_ratio
        start = tf.convert_to_tensor(init_loss_scale, tf.float32)
        self._loss_scale = tf.Variable(start, name="loss_scale", dtype=tf.float32, trainable=False)
        self._good = tf.Variable(0, name="good_steps", dtype=tf.int32, trainable=False)
        self._bad = tf.Variable(0, name="bad_steps", dtype=tf.int32, trainable=False)

    def get_loss_scale(self):
        return self._loss_scale

    def update_loss_scale(self, finite_grads):
        scale = self._loss_scale
        good = tf.where(finite_grads, self._good + 1, 0)
        bad = tf.where(finite_grads, self._bad, self._bad + 1)
        grows = finite_grads & (good >= self._good_wanted)
        shrinks = tf.logical_not(finite_grads) & (bad >= self._bad_wanted)
        larger = scale * self._incr_ratio
        larger = tf.where(tf.is_finite(larger), larger, scale)
        new = tf.where(grows, larger, tf.where(shrinks, tf.maximum(1.0, scale * self._decr_ratio), scale))
        changed = grows | shrinks
        values = [new, tf.where(changed, 0, good), tf.where(changed, 0, bad)]
        with tf.control_dependencies(values):
            return tf.group(*[tf.assign(v, value) for v, value in zip((scale, self._good, self._bad), values)])


class LossScaleOptimizer(tf.train.Optimizer):
    """Scales the loss, and the gradients back; a step with gradients that are not finite is left out."""

    def __init__(self, opt, loss_scale_manager):
        self._opt = opt
        self._loss_scale_manager = loss_scale_manager

    def compute_gradients(self, loss, *args, **kwargs):
        scale = self._loss_scale_manager.get_loss_scale()
        loss = loss() if callable(loss) else loss
        pairs = self._opt.compute_gradients(loss * tf.cast(scale, loss.dtype.base_dtype), *args, **kwargs)
        return [(g if g is None else _times(g, 1.0 / scale), v) for g, v in pairs]

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        pairs = list(grads_and_vars)
        gradients = [g.values if isinstance(g, tf.IndexedSlices) else g for g, _ in pairs if g is not None]
        finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g in gradients])
        update = tf.cond(finite, lambda: tf.group(self._opt.apply_gradients(pairs, global_step, name)), tf.no_op)
        return tf.group(update, self._loss_scale_manager.update_loss_scale(finite))


def _times(gradient, factor):
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_times(gradient.values, factor), gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(factor, gradient.dtype.base_dtype)
