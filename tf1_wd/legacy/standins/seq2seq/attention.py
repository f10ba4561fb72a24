"""Attention of tf.contrib.seq2seq: Bahdanau's and Luong's."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest


def hardmax(logits, name=None):
    """One-hot vectors of the largest logits."""
    with tf.name_scope(name, "Hardmax", [logits]):
        logits = tf.convert_to_tensor(logits)
        return tf.one_hot(tf.argmax(logits, -1), logits.shape.as_list()[-1] or tf.shape(logits)[-1], dtype=logits.dtype)


class AttentionMechanism:
    """What AttentionWrapper asks for alignments."""

    @property
    def alignments_size(self):
        raise NotImplementedError

    @property
    def state_size(self):
        raise NotImplementedError


class _Attention(AttentionMechanism):
    """Keys and values of a memory, [batch, time, size], masked behind memory_sequence_length, [batch]."""

    query_layer: Any = None
    _query_layer: Any = None

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length,
        probability_fn,
        score_mask_value,
        custom_key_value_fn,
        dtype,
        name,
    ):
        self.dtype = dtype or tf.float32
        self._num_units = num_units
        self.memory_layer = self._dense("memory_layer")
        self._probabilities = probability_fn or tf.nn.softmax
        self._mask_value = -float("inf") if score_mask_value is None else score_mask_value
        with tf.name_scope(name, "BaseAttentionMechanismInit", nest.flatten(memory)):
            memory = tf.convert_to_tensor(memory)
            self._lengths = memory_sequence_length
            if memory_sequence_length is not None:
                mask = tf.sequence_mask(memory_sequence_length, tf.shape(memory)[1], dtype=memory.dtype)
                memory = memory * tf.reshape(mask, tf.concat([tf.shape(mask), [1] * (memory.shape.ndims - 2)], 0))
            self.values = memory
            self.keys = self.memory_layer(memory)
            if custom_key_value_fn is not None:
                self.keys, self.values = custom_key_value_fn(self.keys, self.values)
            self.batch_size = self.keys.shape.as_list()[0] or tf.shape(self.keys)[0]
            self._size = self.keys.shape.as_list()[1] or tf.shape(self.keys)[1]

            # programs subclass these mechanisms, and know contrib's own names
            self._memory_layer, self._keys, self._values = self.memory_layer, self.keys, self.values
            self._batch_size, self._alignments_size = self.batch_size, self._size

    def _dense(self, name):
        return tf.layers.Dense(self._num_units, name=name, use_bias=False, dtype=self.dtype)

    @property
    def alignments_size(self):
        return self._size

    state_size = alignments_size

    def initial_alignments(self, batch_size, dtype):
        return tf.zeros(tf.stack([batch_size, self._size]), dtype)

    def initial_state(self, batch_size, dtype):
        return self.initial_alignments(batch_size, dtype)

    def _probability_fn(self, score, _):
        """Probabilities of scores, [batch, time], with what is behind memory_sequence_length masked."""
        if self._lengths is not None:
            message = "All values in memory_sequence_length must be greater than zero."
            with tf.control_dependencies([tf.assert_positive(self._lengths, message=message)]):
                mask = tf.sequence_mask(self._lengths, tf.shape(score)[1])
            score = tf.where(mask, score, self._mask_value * tf.ones_like(score))
        return self._probabilities(score)

    def _align(self, score, state):
        alignments = self._probability_fn(score, state)
        return alignments, alignments


class LuongAttention(_Attention):
    """score = query . key, times a learned g if scale."""

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        scale=False,
        probability_fn=None,
        score_mask_value=None,
        dtype=None,
        custom_key_value_fn=None,
        name="LuongAttention",
    ):
        options = (probability_fn, score_mask_value, custom_key_value_fn, dtype, name)
        super().__init__(num_units, memory, memory_sequence_length, *options)
        self._scale = scale

    def __call__(self, query, state):
        with tf.variable_scope(None, "luong_attention", [query]):
            if query.shape.as_list()[-1] != self.keys.shape.as_list()[-1]:
                raise ValueError(
                    "Query (%s) and keys (%s) have different sizes: set num_units to the query's"
                    % (query.shape, self.keys.shape)
                )
            score = tf.squeeze(tf.matmul(tf.expand_dims(query, 1), self.keys, transpose_b=True), [1])
            if self._scale:
                one = tf.ones_initializer()
                score = tf.get_variable("attention_g", dtype=query.dtype, initializer=one, shape=()) * score
        return self._align(score, state)


class BahdanauAttention(_Attention):
    """score = v . tanh(W query + key), with v normalized to a learned length if normalize."""

    def __init__(
        self,
        num_units,
        memory,
        memory_sequence_length=None,
        normalize=False,
        probability_fn=None,
        score_mask_value=None,
        dtype=None,
        custom_key_value_fn=None,
        name="BahdanauAttention",
    ):
        options = (probability_fn, score_mask_value, custom_key_value_fn, dtype, name)
        super().__init__(num_units, memory, memory_sequence_length, *options)
        self.query_layer = self._query_layer = self._dense("query_layer")
        self._normalize = normalize

    def __call__(self, query, state):
        with tf.variable_scope(None, "bahdanau_attention", [query]):
            summed = self.keys + tf.expand_dims(self.query_layer(query), 1)
            v = tf.get_variable("attention_v", [self._num_units], dtype=query.dtype)
            if self._normalize:
                start = tf.constant_initializer((1.0 / self._num_units) ** 0.5)
                g = tf.get_variable("attention_g", dtype=query.dtype, initializer=start, shape=())
                zeros = tf.zeros_initializer()
                summed = summed + tf.get_variable(
                    "attention_b", [self._num_units], dtype=query.dtype, initializer=zeros
                )
                v = g * v * tf.rsqrt(tf.reduce_sum(tf.square(v)))
            score = tf.reduce_sum(v * tf.tanh(summed), [2])
        return self._align(score, state)
