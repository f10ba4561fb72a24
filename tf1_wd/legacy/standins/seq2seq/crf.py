"""Linear-chain conditional random fields, as in tf.contrib.crf."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf


def crf_unary_score(tag_indices, sequence_lengths, inputs):
    """[batch], the summed inputs of the tags. tag_indices: [batch, time]. inputs: [batch, time, tags]."""
    tags = tf.cast(tag_indices, tf.int32)
    one_hot = tf.one_hot(tags, tf.shape(inputs)[2], dtype=inputs.dtype)
    scores = tf.reduce_sum(inputs * one_hot, 2)
    return tf.reduce_sum(scores * tf.sequence_mask(sequence_lengths, tf.shape(tags)[1], inputs.dtype), 1)


def crf_binary_score(tag_indices, sequence_lengths, transition_params):
    """[batch], the summed scores of the transitions between tags. transition_params: [tags, tags]."""
    tags = tf.cast(tag_indices, tf.int32)
    pairs = tf.stack([tags[:, :-1], tags[:, 1:]], 2)
    scores = tf.gather_nd(transition_params, pairs)
    lengths = tf.maximum(tf.cast(sequence_lengths, tf.int32) - 1, 0)
    return tf.reduce_sum(scores * tf.sequence_mask(lengths, tf.shape(tags)[1] - 1, scores.dtype), 1)


def crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params):
    """[batch], the unnormalized score of each sequence of tags; 0 for an empty one."""
    unary = crf_unary_score(tag_indices, sequence_lengths, inputs)
    return unary + crf_binary_score(tag_indices, sequence_lengths, transition_params)


def crf_multitag_sequence_score(inputs, tag_bitmap, sequence_lengths, transition_params):
    """[batch], crf_log_norm of the sequences that tag_bitmap, [batch, time, tags], tf.bool, allows."""
    allowed = tf.where(tag_bitmap, inputs, tf.fill(tf.shape(inputs), -float("inf")))
    return crf_log_norm(allowed, sequence_lengths, transition_params)


def crf_log_norm(inputs, sequence_lengths, transition_params):
    """[batch], the log of the summed exponential scores of all sequences of tags; 0 for an empty one."""
    steps = tf.transpose(inputs, [1, 0, 2])
    lengths = tf.cast(sequence_lengths, tf.int32)

    def step(alphas, now):
        scores, t = now
        new = scores + tf.reduce_logsumexp(alphas[:, :, None] + transition_params[None], 1)
        going = tf.tile((t < lengths)[:, None], [1, tf.shape(new)[1]])
        return tf.where(going, new, alphas)

    alphas = tf.scan(step, (steps[1:], tf.range(1, tf.shape(steps)[0])), initializer=steps[0])
    # of one step alone, the scan is empty
    last = tf.concat([steps[:1], alphas], 0)[-1]
    norm = tf.reduce_logsumexp(last, [1])
    return tf.where(lengths <= 0, tf.zeros_like(norm), norm)


def crf_log_likelihood(inputs, tag_indices, sequence_lengths, transition_params=None):
    """(log likelihood [batch], transition_params), a new variable `transitions` if none are given."""
    if transition_params is None:
        tags = inputs.shape.as_list()[2]
        transition_params = tf.get_variable("transitions", [tags, tags])
    scores = crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params)
    return scores - crf_log_norm(inputs, sequence_lengths, transition_params), transition_params


def viterbi_decode(score, transition_params):
    """(tags, score) of the best sequence, in NumPy. score: [time, tags]."""
    trellis = np.zeros_like(score)
    back = np.zeros_like(score, dtype=np.int32)
    trellis[0] = score[0]
    for t in range(1, score.shape[0]):
        v = np.expand_dims(trellis[t - 1], 1) + transition_params
        trellis[t] = score[t] + np.max(v, 0)
        back[t] = np.argmax(v, 0)
    best = [np.argmax(trellis[-1])]
    for pointers in reversed(back[1:]):
        best.append(pointers[best[-1]])
    return best[::-1], np.max(trellis[-1])


def crf_decode(potentials, transition_params, sequence_length):
    """(tags [batch, time], score [batch]) of the best sequences; tags behind the end are 0."""
    steps = tf.transpose(potentials, [1, 0, 2])
    count = tf.shape(steps)[0]
    lengths = tf.maximum(tf.cast(sequence_length, tf.int32), 1)
    here = tf.zeros(tf.shape(potentials)[::2], tf.int32) + tf.range(tf.shape(potentials)[2])

    def forward(carry, now):
        scores, _ = carry
        unary, t = now
        paths = scores[:, :, None] + transition_params[None]
        going = tf.tile((t < lengths)[:, None], [1, tf.shape(unary)[1]])
        new = unary + tf.reduce_max(paths, 1)
        return tf.where(going, new, scores), tf.where(going, tf.argmax(paths, 1, output_type=tf.int32), here)

    scores, back = tf.scan(forward, (steps[1:], tf.range(1, count)), initializer=(steps[0], here))
    last = tf.concat([steps[:1], scores], 0)[-1]
    end = tf.argmax(last, 1, output_type=tf.int32)

    def backward(tag, pointers):
        return tf.squeeze(tf.batch_gather(pointers, tag[:, None]), [1])

    before = tf.scan(backward, back, initializer=end, reverse=True)
    tags = tf.transpose(tf.concat([before, end[None]], 0))
    tags = tags * tf.sequence_mask(lengths, count, dtype=tf.int32)
    return tags, tf.reduce_max(last, 1)
