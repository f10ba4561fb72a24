"""Changes to estimators, as in tf.contrib.estimator."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from tf1_wd.legacy.standins.training.optimizer_wrappers import AroundOptimizer


def clip_gradients_by_norm(optimizer, clip_norm):
    """An optimizer that clips each gradient to a norm."""
    return _ClippedOptimizer(optimizer, clip_norm)


class _ClippedOptimizer(AroundOptimizer):
    """Clips in apply_gradients, and hands on to the optimizer it was made of."""

    def __init__(self, optimizer, clip_norm):
        super().__init__(optimizer._use_locking, "ClipByNorm" + optimizer.get_name())
        self._optimizer = optimizer
        self._clip_norm = clip_norm

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        pairs = [(g if g is None else tf.clip_by_norm(g, self._clip_norm), v) for g, v in grads_and_vars]
        return self._optimizer.apply_gradients(pairs, global_step=global_step, name=name)


def forward_features(estimator, keys=None, sparse_default_values=None):
    """An estimator whose predictions hold features too: those in keys, a name or a list, all if None."""

    def model_fn(features, labels, mode, config):
        spec = estimator.model_fn(features, labels, mode, config)
        if not isinstance(spec.predictions, dict):
            return spec
        names = [keys] if isinstance(keys, str) else list(features) if keys is None else list(keys)
        more = {}
        for name in names:
            value = features[name]
            if isinstance(value, tf.SparseTensor):
                value = tf.sparse.to_dense(value, default_value=(sparse_default_values or {}).get(name))
            more[name] = value
        return spec._replace(predictions={**spec.predictions, **more})

    return tf.estimator.Estimator(model_fn=model_fn, model_dir=estimator.model_dir, config=estimator.config)
