"""The normal distribution of independent components, as in tf.contrib.distributions."""

from __future__ import annotations

import math

import tensorflow.compat.v1 as tf


class MultivariateNormalDiag(tf.distributions.Distribution):
    """Normal in each component of the last dimension: loc + scale_diag * noise.

    loc, scale_diag: [..., size]. scale_identity_multiplier: a factor, [...], added to the scale of all components.
    """

    def __init__(
        self,
        loc=None,
        scale_diag=None,
        scale_identity_multiplier=None,
        validate_args=False,
        allow_nan_stats=True,
        name="MultivariateNormalDiag",
    ):
        parameters = dict(locals())
        with tf.name_scope(name) as scope:
            scale = None if scale_diag is None else tf.convert_to_tensor(scale_diag)
            mean = None if loc is None else tf.convert_to_tensor(loc)
            like = mean if mean is not None else scale
            if like is None:
                raise ValueError("MultivariateNormalDiag needs loc or scale_diag")
            if scale is None:
                scale = tf.zeros_like(like) if scale_identity_multiplier is not None else tf.ones_like(like)
            if scale_identity_multiplier is not None:
                scale = scale + tf.convert_to_tensor(scale_identity_multiplier, like.dtype)[..., None]
            self._scale_diag = scale + tf.zeros_like(like)
            self._loc = tf.zeros_like(self._scale_diag) if mean is None else mean + tf.zeros_like(self._scale_diag)
        super().__init__(
            dtype=like.dtype,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            reparameterization_type=tf.distributions.FULLY_REPARAMETERIZED,
            parameters=parameters,
            graph_parents=[self._loc, self._scale_diag],
            name=scope,
        )

    loc = property(lambda self: self._loc)

    def _batch_shape_tensor(self):
        return tf.shape(self._loc)[:-1]

    def _batch_shape(self):
        return self._loc.shape[:-1]

    def _event_shape_tensor(self):
        return tf.shape(self._loc)[-1:]

    def _event_shape(self):
        return self._loc.shape[-1:]

    def _sample_n(self, n, seed=None):
        noise = tf.random_normal(tf.concat([[n], tf.shape(self._loc)], 0), dtype=self.dtype, seed=seed)
        return self._loc + self._scale_diag * noise

    def _log_prob(self, value):
        z = (value - self._loc) / self._scale_diag
        return tf.reduce_sum(-0.5 * tf.square(z) - tf.log(tf.abs(self._scale_diag)) - 0.5 * math.log(2 * math.pi), -1)

    def _prob(self, value):
        return tf.exp(self._log_prob(value))

    def _entropy(self):
        return tf.reduce_sum(tf.log(tf.abs(self._scale_diag)) + 0.5 * math.log(2 * math.pi * math.e), -1)

    def _mean(self):
        return tf.identity(self._loc)

    _mode = _mean

    def _stddev(self):
        return tf.abs(self._scale_diag)

    def _variance(self):
        return tf.square(self._scale_diag)

    def _covariance(self):
        return tf.matrix_diag(tf.square(self._scale_diag))


@tf.distributions.RegisterKL(MultivariateNormalDiag, MultivariateNormalDiag)
def _kl(a, b, name=None):
    with tf.name_scope(name, "kl_mvn_diag"):
        ratio = tf.square(a.stddev() / b.stddev())
        distance = tf.square((a.mean() - b.mean()) / b.stddev())
        return 0.5 * tf.reduce_sum(ratio + distance - 1 - tf.log(ratio), -1)
