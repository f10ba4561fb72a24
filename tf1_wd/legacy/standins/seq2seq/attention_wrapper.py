"""The cell of tf.contrib.seq2seq that attends."""

from __future__ import annotations

import collections

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest

from tf1_wd.legacy.standins.rnn.keras_cells import RNNCell
from tf1_wd.legacy.standins.seq2seq.attention import AttentionMechanism
from tf1_wd.legacy.standins.small.framework import with_same_shape


class AttentionWrapperState(
    collections.namedtuple(
        "AttentionWrapperState",
        ("cell_state", "attention", "time", "alignments", "alignment_history", "attention_state"),
    )
):
    """The state of AttentionWrapper."""

    def clone(self, **kwargs):
        """This state with other values of the same shapes: state.clone(cell_state=encoder_state)."""

        def checked(old, new):
            return with_same_shape(old, new) if tf.is_tensor(old) and tf.is_tensor(new) else new

        return nest.map_structure(checked, self, self._replace(**kwargs))


def _attend(mechanism, cell_output, attention_state, attention_layer):
    alignments, state = mechanism(cell_output, state=attention_state)
    context = tf.squeeze(tf.matmul(tf.expand_dims(alignments, 1), mechanism.values), [1])
    if attention_layer is not None:
        context = attention_layer(tf.concat([cell_output, context], 1))
    return context, alignments, state


class AttentionWrapper(RNNCell):
    """A cell that reads its input beside what it attended to, and puts out what it attends to."""

    def __init__(
        self,
        cell,
        attention_mechanism,
        attention_layer_size=None,
        alignment_history=False,
        cell_input_fn=None,
        output_attention=True,
        initial_cell_state=None,
        name=None,
        attention_layer=None,
        attention_fn=None,
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self._is_multi = isinstance(attention_mechanism, (list, tuple))
        self._mechanisms = tuple(attention_mechanism) if self._is_multi else (attention_mechanism,)
        for mechanism in self._mechanisms:
            if not isinstance(mechanism, AttentionMechanism):
                raise TypeError(
                    "attention_mechanism must be an AttentionMechanism or a list of them, saw type: %s"
                    % type(mechanism).__name__
                )
        self._cell = cell
        self._cell_input_fn = cell_input_fn or (lambda inputs, attention: tf.concat([inputs, attention], -1))
        self._attention_fn = attention_fn or _attend
        self._output_attention = output_attention
        self._history = alignment_history
        self._set_layers(attention_layer_size, attention_layer)
        self._initial_cell_state = initial_cell_state

    def _set_layers(self, sizes, layers):
        if sizes is not None and layers is not None:
            raise ValueError("Only one of attention_layer_size and attention_layer should be set")
        values = [m.values.shape.as_list()[-1] for m in self._mechanisms]
        if sizes is not None:
            sizes = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
            layers = tuple(
                tf.layers.Dense(size, name="attention_layer", use_bias=False, dtype=m.dtype)
                for size, m in zip(sizes, self._mechanisms)
            )
        elif layers is not None:
            layers = tuple(layers) if isinstance(layers, (list, tuple)) else (layers,)
            shapes = [[None, self._cell.output_size + value] for value in values]
            sizes = [tf.TensorShape(layer.compute_output_shape(s)).as_list()[-1] for layer, s in zip(layers, shapes)]
        else:
            sizes, layers = values, None
        if len(sizes) != len(self._mechanisms):
            raise ValueError(
                "There must be one attention layer per attention_mechanism, saw: %d vs %d"
                % (len(sizes), len(self._mechanisms))
            )
        self._attention_layers = layers
        self._attention_size = sum(sizes)

    def _one_or_all(self, values):
        values = tuple(values)
        return values if self._is_multi else values[0]

    def _same_batch(self, tensor, batch_size, what):
        """The tensor, checked for the batch size of the memory."""
        message = (
            "AttentionWrapper %s: the memory (encoder output) and %s have different batch sizes. With a "
            "BeamSearchDecoder, tile both by tf.contrib.seq2seq.tile_batch(..., multiplier=beam_width)"
            % (self.name, what)
        )
        checks = [tf.assert_equal(batch_size, m.batch_size, message=message) for m in self._mechanisms]
        with tf.control_dependencies([check for check in checks if check is not None]):
            return nest.map_structure(tf.identity, tensor)

    @property
    def output_size(self):
        return self._attention_size if self._output_attention else self._cell.output_size

    @property
    def state_size(self):
        return AttentionWrapperState(
            cell_state=self._cell.state_size,
            time=tf.TensorShape([]),
            attention=self._attention_size,
            alignments=self._one_or_all(m.alignments_size for m in self._mechanisms),
            attention_state=self._one_or_all(m.state_size for m in self._mechanisms),
            alignment_history=self._one_or_all(m.alignments_size if self._history else () for m in self._mechanisms),
        )

    def zero_state(self, batch_size, dtype):
        with tf.name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            state = self._initial_cell_state
            state = self._cell.zero_state(batch_size, dtype) if state is None else state
            alignments = [m.initial_alignments(batch_size, dtype) for m in self._mechanisms]
            return AttentionWrapperState(
                cell_state=self._same_batch(state, batch_size, "the batch_size of zero_state"),
                time=tf.zeros([], tf.int32),
                attention=tf.zeros(tf.stack([batch_size, self._attention_size]), dtype),
                alignments=self._one_or_all(alignments),
                attention_state=self._one_or_all(m.initial_state(batch_size, dtype) for m in self._mechanisms),
                alignment_history=self._one_or_all(
                    tf.TensorArray(dtype, size=0, dynamic_size=True, element_shape=a.shape) if self._history else ()
                    for a in alignments
                ),
            )

    def call(self, inputs, state):
        output, cell_state = self._cell(self._cell_input_fn(inputs, state.attention), state.cell_state)
        output = self._same_batch(output, tf.shape(output)[0], "the query (decoder output)")
        many = self._is_multi
        states = state.attention_state if many else [state.attention_state]
        histories = state.alignment_history if many else [state.alignment_history]
        layers = self._attention_layers or [None] * len(self._mechanisms)
        attended = [self._attention_fn(m, output, s, layer) for m, s, layer in zip(self._mechanisms, states, layers)]
        attentions, alignments, states = zip(*attended)
        if self._history:
            histories = [history.write(state.time, a) for history, a in zip(histories, alignments)]
        attention = tf.concat(attentions, 1)
        next_state = AttentionWrapperState(
            time=state.time + 1,
            cell_state=cell_state,
            attention=attention,
            attention_state=self._one_or_all(states),
            alignments=self._one_or_all(alignments),
            alignment_history=self._one_or_all(histories),
        )
        return attention if self._output_attention else output, next_state
