"""Helpers of tf.contrib.seq2seq that sometimes read what the decoder itself said."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from tf1_wd.legacy.standins.seq2seq.helper import TrainingHelper, categorical, embedder, steps_of, transposed


def _bernoulli(probability, batch_size, seed):
    return tf.random_uniform([batch_size], seed=seed) < tf.cast(probability, tf.float32)


class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """TrainingHelper that reads, with a probability, what was sampled instead, embedded."""

    def __init__(
        self,
        inputs,
        sequence_length,
        embedding,
        sampling_probability,
        time_major=False,
        seed=None,
        scheduling_seed=None,
        name=None,
    ):
        super().__init__(inputs, sequence_length, time_major=time_major, name=name)
        self._embed = embedder(embedding)
        self._probability = sampling_probability
        self._seed = seed
        self._scheduling_seed = scheduling_seed

    def sample(self, time, outputs, state, name=None):  # type: ignore[override]
        chosen = _bernoulli(self._probability, self._batch_size, self._scheduling_seed)
        return tf.where(chosen, categorical(outputs, self._seed), tf.fill([self._batch_size], -1))

    def next_inputs(self, time, outputs, state, sample_ids, name=None):  # type: ignore[override]
        finished, given, state = super().next_inputs(time=time, outputs=outputs, state=state)
        # ids of -1 stand for no sample; what they embed to is not read
        embedded = self._embed(tf.maximum(sample_ids, 0))
        return finished, tf.where(sample_ids > -1, embedded, given), state


class ScheduledOutputTrainingHelper(TrainingHelper):
    """TrainingHelper that reads, with a probability, the output itself instead."""

    def __init__(
        self,
        inputs,
        sequence_length,
        sampling_probability,
        time_major=False,
        seed=None,
        next_inputs_fn=None,
        auxiliary_inputs=None,
        name=None,
    ):
        self._auxiliary = None
        if auxiliary_inputs is not None:
            auxiliary_inputs = tf.convert_to_tensor(auxiliary_inputs)
            inputs = tf.concat([tf.convert_to_tensor(inputs), auxiliary_inputs], -1)
            self._auxiliary = steps_of(auxiliary_inputs if time_major else transposed(auxiliary_inputs))
        super().__init__(inputs, sequence_length, time_major=time_major, name=name)
        self._probability = sampling_probability
        self._seed = seed
        self._next_inputs_fn = next_inputs_fn

    def sample(self, time, outputs, state, name=None):  # type: ignore[override]
        return tf.cast(_bernoulli(self._probability, self._batch_size, self._seed), tf.int32)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):  # type: ignore[override]
        finished, given, state = super().next_inputs(time=time, outputs=outputs, state=state)

        def mixed():
            own = self._next_inputs_fn(outputs) if self._next_inputs_fn else outputs
            if self._auxiliary is not None:
                own = tf.concat([own, self._auxiliary.read(time + 1)], -1)
            return tf.where(tf.cast(sample_ids, tf.bool), own, given)

        return finished, tf.cond(tf.reduce_all(finished), lambda: given, mixed), state
