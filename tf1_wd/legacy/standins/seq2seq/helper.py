"""Helpers of tf.contrib.seq2seq: what a decoder samples, and what it reads next."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest


def not_there(self):
    """What a property answers that a subclass has to give."""
    raise NotImplementedError


class Helper:
    """What BasicDecoder asks for samples and next inputs."""

    batch_size = sample_ids_shape = sample_ids_dtype = property(not_there)

    def initialize(self, name=None):
        """(finished, first inputs)."""
        raise NotImplementedError

    def sample(self, time, outputs, state, name=None):
        """What was sampled from the outputs."""
        raise NotImplementedError

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """(finished, next inputs, next state)."""
        raise NotImplementedError


class _KnownSamples(Helper):
    """A helper that knows its batch size, and shape and type of its samples: ids, one a sequence, if not set."""

    _batch_size = None
    _shape = tf.TensorShape([])
    _dtype = tf.int32

    @property
    def batch_size(self):
        return self._batch_size

    @property
    def sample_ids_shape(self):
        return self._shape

    @property
    def sample_ids_dtype(self):
        return self._dtype


class CustomHelper(_KnownSamples):
    """A helper of three functions."""

    def __init__(self, initialize_fn, sample_fn, next_inputs_fn, sample_ids_shape=None, sample_ids_dtype=None):
        self._initialize_fn = initialize_fn
        self._sample_fn = sample_fn
        self._next_inputs_fn = next_inputs_fn
        self._shape = tf.TensorShape(sample_ids_shape or [])
        self._dtype = sample_ids_dtype or tf.int32

    @property
    def batch_size(self):
        if self._batch_size is None:
            raise ValueError("batch_size accessed before initialize was called")
        return self._batch_size

    def initialize(self, name=None):
        finished, inputs = self._initialize_fn()
        if self._batch_size is None:
            self._batch_size = tf.size(finished)
        return finished, inputs

    def sample(self, time, outputs, state, name=None):
        return self._sample_fn(time=time, outputs=outputs, state=state)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        return self._next_inputs_fn(time=time, outputs=outputs, state=state, sample_ids=sample_ids)


def transposed(value):
    """[time, batch, ...] of [batch, time, ...], and back."""
    return tf.transpose(value, [1, 0, *range(2, value.shape.ndims)])


def steps_of(value):
    shape = value.shape[1:]
    return tf.TensorArray(value.dtype, size=tf.shape(value)[0], element_shape=shape).unstack(value)


def embedder(embedding):
    return embedding if callable(embedding) else lambda ids: tf.nn.embedding_lookup(embedding, ids)


def categorical(logits, seed):
    return tf.squeeze(tf.random.categorical(logits, 1, dtype=tf.int32, seed=seed), -1)


def starts_and_end(start_tokens, end_token):
    """Both as tensors, a vector and a scalar. Raises: ValueError."""
    start, end = (tf.convert_to_tensor(tokens, dtype=tf.int32) for tokens in (start_tokens, end_token))
    if start.shape.ndims != 1:
        raise ValueError("start_tokens must be a vector")
    if end.shape.ndims != 0:
        raise ValueError("end_token must be a scalar")
    return start, end


class TrainingHelper(_KnownSamples):
    """Reads the next inputs from a given sequence.

    inputs: [batch, time, ...], or [time, batch, ...] if time_major. sequence_length: [batch].
    """

    def __init__(self, inputs, sequence_length, time_major=False, name=None):
        with tf.name_scope(name, "TrainingHelper", [inputs, sequence_length]):
            self._inputs = nest.map_structure(tf.convert_to_tensor, inputs)
            steps = self._inputs if time_major else nest.map_structure(transposed, self._inputs)
            self._arrays = nest.map_structure(steps_of, steps)
            self._sequence_length = tf.convert_to_tensor(sequence_length)
            if self._sequence_length.shape.ndims != 1:
                raise ValueError(
                    "Expected sequence_length to be a vector, but received shape: %s" % self._sequence_length.shape
                )
            self._zeros = nest.map_structure(lambda i: tf.zeros_like(i[0]), steps)
            self._batch_size = tf.size(self._sequence_length)

    @property
    def inputs(self):
        return self._inputs

    @property
    def sequence_length(self):
        return self._sequence_length

    def _read(self, time, finished):
        return tf.cond(
            tf.reduce_all(finished),
            lambda: self._zeros,
            lambda: nest.map_structure(lambda array: array.read(time), self._arrays),
        )

    def initialize(self, name=None):
        finished = tf.equal(0, self._sequence_length)
        return finished, self._read(0, finished)

    # signatures differ as they do in tf.contrib, here and in what is derived from this
    def sample(self, time, outputs, name=None, **unused_kwargs):  # type: ignore[override]
        return tf.argmax(outputs, axis=-1, output_type=tf.int32)

    def next_inputs(self, time, outputs, state, name=None, **unused_kwargs):  # type: ignore[override]
        finished = time + 1 >= self._sequence_length
        return finished, self._read(time + 1, finished), state


class GreedyEmbeddingHelper(_KnownSamples):
    """Reads the most likely id of the step before, embedded, until end_token.

    embedding: a table or a function of ids. start_tokens: [batch]. end_token: a scalar.
    """

    def __init__(self, embedding, start_tokens, end_token):
        self._embed = embedder(embedding)
        self._start_tokens, self._end_token = starts_and_end(start_tokens, end_token)
        self._batch_size = tf.size(self._start_tokens)
        self._start_inputs = self._embed(self._start_tokens)

    def initialize(self, name=None):
        return tf.tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        return tf.argmax(outputs, axis=-1, output_type=tf.int32)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        finished = tf.equal(sample_ids, self._end_token)
        inputs = tf.cond(tf.reduce_all(finished), lambda: self._start_inputs, lambda: self._embed(sample_ids))
        return finished, inputs, state


class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """GreedyEmbeddingHelper that samples the id."""

    def __init__(self, embedding, start_tokens, end_token, softmax_temperature=None, seed=None):
        super().__init__(embedding, start_tokens, end_token)
        self._temperature = softmax_temperature
        self._seed = seed

    def sample(self, time, outputs, state, name=None):
        return categorical(outputs if self._temperature is None else outputs / self._temperature, self._seed)


class InferenceHelper(_KnownSamples):
    """Samples by a function, and reads what it sampled."""

    def __init__(self, sample_fn, sample_shape, sample_dtype, start_inputs, end_fn, next_inputs_fn=None):
        self._sample_fn = sample_fn
        self._end_fn = end_fn
        self._shape = tf.TensorShape(sample_shape)
        self._dtype = sample_dtype
        self._next_inputs_fn = next_inputs_fn
        self._start_inputs = tf.convert_to_tensor(start_inputs)
        self._batch_size = tf.shape(self._start_inputs)[0]

    def initialize(self, name=None):
        return tf.tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        return self._sample_fn(outputs)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        inputs = self._next_inputs_fn(sample_ids) if self._next_inputs_fn else sample_ids
        return self._end_fn(sample_ids), inputs, state
