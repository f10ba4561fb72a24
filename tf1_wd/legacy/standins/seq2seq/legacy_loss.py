"""Losses of tf.contrib.legacy_seq2seq, and its buckets of sequences."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def sequence_loss_by_example(
    logits, targets, weights, average_across_timesteps=True, softmax_loss_function=None, name=None
):
    """[batch], the weighted cross entropy of each sequence.

    logits: list over time of [batch, symbols]. targets, weights: lists of [batch].
    """
    if not len(logits) == len(targets) == len(weights):
        raise ValueError(
            "Lengths of logits, weights, and targets must be the same %d, %d, %d."
            % (len(logits), len(weights), len(targets))
        )
    with tf.name_scope(name, "sequence_loss_by_example", [*logits, *targets, *weights]):
        losses = []
        for logit, target, weight in zip(logits, targets, weights):
            if softmax_loss_function is None:
                target = tf.reshape(target, [-1])
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logit)
            else:
                loss = softmax_loss_function(labels=target, logits=logit)
            losses.append(loss * weight)
        total = tf.add_n(losses)
        # weights of 0 give 0, not 0 / 0
        return total / (tf.add_n(weights) + 1e-12) if average_across_timesteps else total


def sequence_loss(
    logits,
    targets,
    weights,
    average_across_timesteps=True,
    average_across_batch=True,
    softmax_loss_function=None,
    name=None,
):
    """sequence_loss_by_example, summed, and divided by the batch if average_across_batch."""
    with tf.name_scope(name, "sequence_loss", [*logits, *targets, *weights]):
        losses = sequence_loss_by_example(logits, targets, weights, average_across_timesteps, softmax_loss_function)
        total = tf.reduce_sum(losses)
        return total / tf.cast(tf.shape(targets[0])[0], total.dtype) if average_across_batch else total


def model_with_buckets(
    encoder_inputs,
    decoder_inputs,
    targets,
    weights,
    buckets,
    seq2seq,
    softmax_loss_function=None,
    per_example_loss=False,
    name=None,
):
    """(outputs, losses), one model with shared weights for each (length of source, length of target) in buckets."""
    sources, ends = buckets[-1]
    for values, least in ((encoder_inputs, sources), (targets, ends), (weights, ends)):
        if len(values) < least:
            raise ValueError(
                "Length of inputs (%d) must be at least that of the last bucket (%d)." % (len(values), least)
            )
    loss = sequence_loss_by_example if per_example_loss else sequence_loss
    outputs, losses = [], []
    with tf.name_scope(name, "model_with_buckets", [*encoder_inputs, *decoder_inputs, *targets, *weights]):
        for i, (source, end) in enumerate(buckets):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True if i else None):
                bucket_outputs, _ = seq2seq(encoder_inputs[:source], decoder_inputs[:end])
                outputs.append(bucket_outputs)
                losses.append(
                    loss(outputs[-1], targets[:end], weights[:end], softmax_loss_function=softmax_loss_function)
                )
    return outputs, losses
