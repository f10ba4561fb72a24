"""Decoders of tf.contrib.seq2seq, and the loop that runs them."""

from __future__ import annotations

import collections
import contextlib

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest

from tf1_wd.legacy.standins.seq2seq.helper import Helper, not_there, transposed


class Decoder:
    """What dynamic_decode runs: initialize() and step(); finalize() may be left out."""

    batch_size = output_size = output_dtype = property(not_there)

    def initialize(self, name=None):
        """(finished, inputs, state) of the first step."""
        raise NotImplementedError

    def step(self, time, inputs, state, name=None):
        """(outputs, state, inputs, finished) of the next step."""
        raise NotImplementedError

    def finalize(self, outputs, final_state, sequence_lengths):
        """(outputs, state) at the end."""
        raise NotImplementedError

    @property
    def tracks_own_finished(self):
        """True if `finished` of a step is not to be added to that of the steps before."""
        return False


# What BasicDecoder puts out in each step.
BasicDecoderOutput = collections.namedtuple("BasicDecoderOutput", "rnn_output sample_id")


class BasicDecoder(Decoder):
    """A cell, an output layer if there is one, and a helper that samples and chooses the next inputs."""

    def __init__(self, cell, helper, initial_state, output_layer=None):
        if not isinstance(helper, Helper):
            raise TypeError("helper must be a Helper, received: %s" % type(helper))
        self._cell = cell
        self._helper = helper
        self._initial_state = initial_state
        self._output_layer = output_layer

    @property
    def batch_size(self):
        return self._helper.batch_size

    def _rnn_output_size(self):
        size = self._cell.output_size
        if self._output_layer is None:
            return size

        def of_layer(size):
            shape = self._output_layer.compute_output_shape(tf.TensorShape([None]).concatenate(size))
            return tf.TensorShape(shape)[1:]

        return nest.map_structure(of_layer, size)

    @property
    def output_size(self):
        return BasicDecoderOutput(self._rnn_output_size(), self._helper.sample_ids_shape)

    @property
    def output_dtype(self):
        dtype = nest.flatten(self._initial_state)[0].dtype
        return BasicDecoderOutput(
            nest.map_structure(lambda _: dtype, self._rnn_output_size()), self._helper.sample_ids_dtype
        )

    def initialize(self, name=None):
        return (*self._helper.initialize(), self._initial_state)

    def step(self, time, inputs, state, name=None):
        with tf.name_scope(name, "BasicDecoderStep", (time, inputs, state)):
            outputs, state = self._cell(inputs, state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            ids = self._helper.sample(time=time, outputs=outputs, state=state)
            finished, inputs, state = self._helper.next_inputs(time=time, outputs=outputs, state=state, sample_ids=ids)
        return BasicDecoderOutput(outputs, ids), state, inputs, finished


def dynamic_decode(
    decoder,
    output_time_major=False,
    impute_finished=False,
    maximum_iterations=None,
    parallel_iterations=32,
    swap_memory=False,
    scope=None,
    **kwargs,
):
    """(outputs, final state, sequence lengths [batch]) of a decoder, run until all sequences are finished.

    impute_finished: outputs of finished sequences are 0, and their state stays. Raises: TypeError, ValueError.
    """
    if not isinstance(decoder, Decoder):
        raise TypeError("Expected decoder to be type Decoder, but saw: %s" % type(decoder))
    with tf.variable_scope(scope, "decoder") as variables:
        in_a_loop = tf.get_default_graph()._get_control_flow_context() is not None
        if variables.caching_device is None and not in_a_loop:
            variables.set_caching_device(lambda op: op.device)
        finished, inputs, state = decoder.initialize()
        batch_size = decoder.batch_size
        sizes = _as_shapes(decoder.output_size)
        zeros = nest.map_structure(
            lambda size, dtype: tf.zeros(tf.stack([batch_size, *size.as_list()]), dtype), sizes, decoder.output_dtype
        )
        if maximum_iterations is not None:
            maximum_iterations = tf.convert_to_tensor(maximum_iterations, dtype=tf.int32)
            if maximum_iterations.shape.ndims != 0:
                raise ValueError("maximum_iterations must be a scalar")
            finished = tf.logical_or(finished, maximum_iterations <= 0)

        def array(size, dtype):
            static = tf.TensorShape([tf.get_static_value(tf.convert_to_tensor(batch_size))]).concatenate(size)
            shape = static if size.ndims else None
            return tf.TensorArray(dtype, size=0, dynamic_size=True, element_shape=shape)

        arrays = nest.map_structure(array, sizes, decoder.output_dtype)

        def body(time, arrays, state, inputs, finished, lengths):
            outputs, next_state, next_inputs, now = decoder.step(time, inputs, state)
            next_finished = now if decoder.tracks_own_finished else tf.logical_or(now, finished)
            lengths = tf.where(finished, lengths, tf.fill(tf.shape(lengths), time + 1))
            if impute_finished:
                outputs = nest.map_structure(lambda o, z: tf.where(finished, z, o), outputs, zeros)
                next_state = nest.map_structure(lambda n, o: _kept(finished, n, o), next_state, state)
            arrays = nest.map_structure(lambda a, o: a.write(time, o), arrays, outputs)
            return time + 1, arrays, next_state, next_inputs, next_finished, lengths

        _, arrays, state, _, _, lengths = tf.while_loop(
            lambda time, arrays, state, inputs, finished, lengths: tf.logical_not(tf.reduce_all(finished)),
            body,
            (tf.constant(0), arrays, state, inputs, finished, tf.zeros_like(finished, dtype=tf.int32)),
            parallel_iterations=parallel_iterations,
            maximum_iterations=maximum_iterations,
            swap_memory=swap_memory,
        )
        outputs = nest.map_structure(lambda a: a.stack(), arrays)
        with contextlib.suppress(NotImplementedError):  # as Decoder says, it may be left out
            outputs, state = decoder.finalize(outputs, state, lengths)
        if not output_time_major:
            outputs = nest.map_structure(lambda o: o if o.shape.ndims < 2 else transposed(o), outputs)
    return outputs, state, lengths


def _kept(finished, new, old):
    """The old state of what is finished, the new state of the rest."""
    if isinstance(old, tf.TensorArray):
        return new
    new.set_shape(old.shape)
    return new if new.shape.ndims == 0 else tf.where(finished, old, new)


def _as_shapes(sizes):
    """Sizes as lists of the kind that nest takes for one thing."""
    if isinstance(sizes, tuple) and hasattr(sizes, "_fields"):
        return type(sizes)(*(_as_shapes(size) for size in sizes))
    return tf.TensorShape(sizes)
