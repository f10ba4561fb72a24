"""Beam search of tf.contrib.seq2seq."""

from __future__ import annotations

import collections

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest

from tf1_wd.legacy.standins.seq2seq.attention_wrapper import AttentionWrapperState
from tf1_wd.legacy.standins.seq2seq.decoder import Decoder
from tf1_wd.legacy.standins.seq2seq.helper import embedder, starts_and_end

# The state of all beams: log_probs, finished and lengths are [batch, beam].
BeamSearchDecoderState = collections.namedtuple(
    "BeamSearchDecoderState", "cell_state log_probs finished lengths accumulated_attention_probs"
)
# What one step puts out, each [batch, beam].
BeamSearchDecoderOutput = collections.namedtuple("BeamSearchDecoderOutput", "scores predicted_ids parent_ids")
# The sequences, [batch, time, beam], best first, and the outputs of the steps.
FinalBeamSearchDecoderOutput = collections.namedtuple(
    "FinalBeamSearchDecoderOutput", "predicted_ids beam_search_decoder_output"
)


def tile_batch(t, multiplier, name=None):
    """Each entry of the batch `multiplier` times, side by side; t: a tensor or a structure of tensors."""

    def tile(value):
        value = tf.convert_to_tensor(value)
        size = value.shape.as_list()[0]
        tiled = tf.tile(tf.expand_dims(value, 1), [1, multiplier] + [1] * (value.shape.ndims - 1))
        tiled = tf.reshape(tiled, tf.concat([[tf.shape(value)[0] * multiplier], tf.shape(value)[1:]], 0))
        tiled.set_shape(tf.TensorShape([size and size * multiplier]).concatenate(value.shape[1:]))
        return tiled

    with tf.name_scope(name, "tile_batch", [*nest.flatten(t), multiplier]):
        return nest.map_structure(tile, t)


def gather_tree(step_ids, parent_ids, max_sequence_lengths, end_token, name=None):
    """The full sequences of beams, from the ids of each step and the beams they came from; [time, batch, beam].

    max_sequence_lengths: [batch]. What comes after the first end_token, or after the length, is end_token.
    """
    with tf.name_scope(name, "gather_tree"):
        step_ids, parent_ids = tf.convert_to_tensor(step_ids), tf.convert_to_tensor(parent_ids)
        time, beams = tf.shape(step_ids)[0], tf.shape(step_ids)[2]
        here = tf.tile(tf.range(beams)[None], [tf.shape(step_ids)[1], 1])

        def back(carry, now):
            parent, _ = carry
            ids, parents, t = now
            inside = tf.tile((t < max_sequence_lengths)[:, None], [1, beams])
            found = tf.where(inside, tf.batch_gather(ids, parent), tf.fill(tf.shape(parent), end_token))
            return tf.where(inside, tf.batch_gather(parents, parent), parent), found

        _, ids = tf.scan(back, (step_ids, parent_ids, tf.range(time)), initializer=(here, here), reverse=True)
        ended = tf.cumsum(tf.cast(tf.equal(ids, end_token), tf.int32), axis=0) > 0
        result = tf.where(ended, tf.fill(tf.shape(ids), end_token), ids)
        result.set_shape(step_ids.shape)
        return result


class BeamSearchDecoder(Decoder):
    """Keeps the beam_width best sequences of each entry of the batch.

    initial_state: of batch x beam_width entries, by tile_batch. start_tokens: [batch]. end_token: a scalar.
    """

    def __init__(
        self,
        cell,
        embedding,
        start_tokens,
        end_token,
        initial_state,
        beam_width,
        output_layer=None,
        length_penalty_weight=0.0,
        coverage_penalty_weight=0.0,
        reorder_tensor_arrays=True,
    ):
        self._cell = cell
        self._embed = embedder(embedding)
        start, self._end_token = starts_and_end(start_tokens, end_token)
        self._beams = beam_width
        self._output_layer = output_layer
        self._length_penalty = length_penalty_weight
        self._coverage_penalty = coverage_penalty_weight
        self._reorder = reorder_tensor_arrays
        self._batch_size = tf.size(start)
        self._initial_cell_state = nest.map_structure(self._split, initial_state)
        self._start_inputs = self._embed(tf.tile(start[:, None], [1, beam_width]))

    @property
    def batch_size(self):
        return self._batch_size

    @property
    def tracks_own_finished(self):
        return True

    @property
    def output_size(self):
        return BeamSearchDecoderOutput(*[tf.TensorShape([self._beams])] * 3)

    @property
    def output_dtype(self):
        return BeamSearchDecoderOutput(nest.flatten(self._initial_cell_state)[0].dtype, tf.int32, tf.int32)

    def _split(self, value):
        """[batch x beam, ...] as [batch, beam, ...]."""
        if isinstance(value, tf.TensorArray) or value.shape.ndims == 0:
            return value
        split = tf.reshape(value, tf.concat([[self._batch_size, self._beams], tf.shape(value)[1:]], 0))
        split.set_shape(tf.TensorShape([None, self._beams]).concatenate(value.shape[1:]))
        return split

    def _merge(self, value):
        """[batch, beam, ...] as [batch x beam, ...]."""
        if isinstance(value, tf.TensorArray) or value.shape.ndims == 0:
            return value
        merged = tf.reshape(value, tf.concat([[self._batch_size * self._beams], tf.shape(value)[2:]], 0))
        merged.set_shape(tf.TensorShape([None]).concatenate(value.shape[2:]))
        return merged

    def initialize(self, name=None):
        dtype = nest.flatten(self._initial_cell_state)[0].dtype
        first = tf.one_hot(tf.zeros([self._batch_size], tf.int32), self._beams, on_value=True, off_value=False)
        zeros = tf.zeros([self._batch_size, self._beams], dtype)
        seen = self._attention(self._initial_cell_state)
        state = BeamSearchDecoderState(
            cell_state=self._initial_cell_state,
            log_probs=tf.where(first, zeros, zeros - float("inf")),  # all beams start alike: one is enough
            finished=tf.logical_not(first),
            lengths=tf.zeros([self._batch_size, self._beams], tf.int64),
            accumulated_attention_probs=() if seen is None else seen,
        )
        return state.finished, self._start_inputs, state

    def _attention(self, cell_state):
        """The alignments, [batch, beam, time], averaged over mechanisms; None without a coverage penalty."""
        if self._coverage_penalty == 0.0:
            return None
        states = [cell_state] if isinstance(cell_state, AttentionWrapperState) else cell_state
        found = [s.alignments for s in states if isinstance(s, AttentionWrapperState)]
        if not found:
            raise ValueError("coverage_penalty_weight must be 0.0 if no cell is attentional.")
        return tf.add_n(nest.flatten(found)) / len(nest.flatten(found))

    def step(self, time, inputs, state, name=None):
        with tf.name_scope(name, "BeamSearchDecoderStep", (time, inputs, state)):
            merged = nest.map_structure(self._merge, state.cell_state)
            outputs, cell_state = self._cell(nest.map_structure(self._merge, inputs), merged)
            outputs = nest.map_structure(self._split, outputs)
            cell_state = nest.map_structure(self._split, cell_state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            output, state = self._search(outputs, cell_state, state)
            inputs = tf.cond(
                tf.reduce_all(state.finished), lambda: self._start_inputs, lambda: self._embed(output.predicted_ids)
            )
        return output, state, inputs, state.finished

    def _search(self, logits, cell_state, state):
        words = logits.shape.as_list()[-1] or tf.shape(logits)[-1]
        # a finished beam goes on with end tokens, at no cost
        ends = tf.one_hot(self._end_token, words, dtype=logits.dtype, on_value=0.0, off_value=logits.dtype.min)
        finished = tf.tile(state.finished[:, :, None], [1, 1, words])
        step = tf.where(finished, tf.zeros_like(logits) + ends, tf.nn.log_softmax(logits))
        total = state.log_probs[:, :, None] + step
        going = tf.cast(tf.logical_not(state.finished), tf.int64)
        one_more = tf.one_hot(self._end_token, words, on_value=tf.cast(0, tf.int64), off_value=tf.cast(1, tf.int64))
        lengths = state.lengths[:, :, None] + one_more * going[:, :, None]
        scores = total / self._penalty(lengths, total.dtype)
        seen = self._attention(cell_state)
        if seen is not None:
            seen = state.accumulated_attention_probs + seen * tf.cast(going, seen.dtype)[:, :, None]
            covered = tf.where(tf.equal(seen, 0.0), tf.ones_like(seen), tf.minimum(seen, 1.0))
            penalty = tf.reduce_sum(tf.log(covered), 2) * tf.cast(state.finished, seen.dtype)
            scores = scores + self._coverage_penalty * penalty[:, :, None]
        best, places = tf.nn.top_k(tf.reshape(scores, [self._batch_size, -1]), k=self._beams)
        best.set_shape([None, self._beams])
        places.set_shape([None, self._beams])
        ids, parents = tf.mod(places, words), tf.floordiv(places, words)

        def of_parents(value):
            if isinstance(value, tf.TensorArray) or value.shape.ndims < 2:
                return value
            return tf.batch_gather(value, parents)

        was_finished = tf.batch_gather(state.finished, parents)
        new = BeamSearchDecoderState(
            cell_state=nest.map_structure(of_parents, cell_state),
            log_probs=tf.batch_gather(tf.reshape(total, [self._batch_size, -1]), places),
            finished=tf.logical_or(was_finished, tf.equal(ids, self._end_token)),
            lengths=of_parents(state.lengths) + tf.cast(tf.logical_not(was_finished), tf.int64),
            accumulated_attention_probs=() if seen is None else of_parents(seen),
        )
        return BeamSearchDecoderOutput(best, ids, parents), new

    def _penalty(self, lengths, dtype):
        return tf.cast(((5.0 + tf.cast(lengths, tf.float32)) / 6.0) ** self._length_penalty, dtype)

    def finalize(self, outputs, final_state, sequence_lengths):
        longest = tf.cast(tf.reduce_max(final_state.lengths, axis=1), tf.int32)
        ids = gather_tree(outputs.predicted_ids, outputs.parent_ids, longest, self._end_token)
        if self._reorder:
            state = nest.map_structure(lambda v: self._sorted(v, outputs, final_state), final_state.cell_state)
            final_state = final_state._replace(cell_state=state)
        return FinalBeamSearchDecoderOutput(ids, outputs), final_state

    def _sorted(self, array, outputs, state):
        """An array of steps, such as the history of alignments, along the beams that the sequences came through."""
        if not isinstance(array, tf.TensorArray):
            return array
        steps = array.stack()
        shape = tf.shape(outputs.parent_ids)
        beams = tf.zeros(shape, tf.int32) + tf.range(self._beams)
        longest = tf.cast(tf.reduce_max(state.lengths, axis=1), tf.int32)
        came = gather_tree(beams, outputs.parent_ids, longest, self._beams + 1)
        inside = tf.transpose(tf.sequence_mask(state.lengths, maxlen=shape[0]), [2, 0, 1])
        values = tf.reshape(steps, [shape[0], shape[1], self._beams, -1])
        ordered = tf.gather(values, tf.where(inside, came, beams), batch_dims=2)
        return tf.reshape(ordered, tf.shape(steps))
