"""Functions of tf.contrib.nn that are nowhere else."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.python.ops import nn_impl

_ALPHA = -1.7580993408473766


def alpha_dropout(x, keep_prob, noise_shape=None, seed=None, name=None):
    """Dropout for selu: mean and variance stay what they are."""
    with tf.name_scope(name, "alpha_dropout", [x]):
        x = tf.convert_to_tensor(x)
        if isinstance(keep_prob, (int, float)) and not 0 < keep_prob <= 1:
            raise ValueError("keep_prob must be a scalar tensor or a float in the range (0, 1], got %g" % keep_prob)
        keep_prob = tf.convert_to_tensor(keep_prob, dtype=x.dtype)
        if tf.get_static_value(keep_prob) == 1:
            return x
        noise = tf.random_uniform(tf.shape(x) if noise_shape is None else noise_shape, seed=seed, dtype=x.dtype)
        kept = tf.cast(noise >= 1 - keep_prob, x.dtype)
        a = (keep_prob + keep_prob * (1 - keep_prob) * _ALPHA**2) ** -0.5
        return a * (x * kept + _ALPHA * (1 - kept)) - a * _ALPHA * (1 - keep_prob)


def scaled_softplus(x, alpha, clip=None, name=None):
    """alpha log(1 + exp(x / alpha)), at most clip."""
    with tf.name_scope(name, "scaled_softplus"):
        x = tf.convert_to_tensor(x)
        alpha = tf.convert_to_tensor(alpha, dtype=x.dtype)
        y = alpha * tf.nn.softplus(x / alpha)
        return y if clip is None else tf.minimum(y, clip)


def conv1d_transpose(value, filter, output_shape, stride, padding="SAME", data_format="NWC", name=None):
    """The transpose of tf.nn.conv1d."""
    return tf.nn.conv1d_transpose(
        value, filter, output_shape, strides=stride, padding=padding, data_format=data_format, name=name
    )


def sampled_sparse_softmax_loss(
    weights,
    biases,
    labels,
    inputs,
    num_sampled,
    num_classes,
    sampled_values=None,
    remove_accidental_hits=True,
    partition_strategy="mod",
    name="sampled_sparse_softmax_loss",
):
    """[batch], tf.nn.sampled_softmax_loss for one label each, [batch, 1].

    Private: nn_impl._compute_sampled_logits.
    """
    logits, _ = nn_impl._compute_sampled_logits(
        weights=weights,
        biases=biases,
        labels=labels,
        inputs=inputs,
        num_sampled=num_sampled,
        num_classes=num_classes,
        num_true=1,
        sampled_values=sampled_values,
        subtract_log_q=True,
        remove_accidental_hits=remove_accidental_hits,
        partition_strategy=partition_strategy,
        name=name,
    )
    first = tf.zeros([tf.shape(logits)[0]], tf.int64)  # the true class stands first
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=first, logits=logits)
