"""Unrolled encoders and decoders over lists of steps, as in tf.contrib.legacy_seq2seq."""

from __future__ import annotations

import copy
import functools

import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest

from tf1_wd.legacy.standins.rnn.linear import _linear
from tf1_wd.legacy.standins.rnn.wrappers import EmbeddingWrapper, OutputProjectionWrapper, attend


def _greedy(embedding, output_projection=None, update_embedding=True):
    """A loop function: the most likely symbol of the step before, embedded."""

    def loop_function(prev, _):
        if output_projection is not None:
            prev = tf.nn.xw_plus_b(prev, *output_projection)
        embedded = tf.nn.embedding_lookup(embedding, tf.argmax(prev, 1))
        return embedded if update_embedding else tf.stop_gradient(embedded)

    return loop_function


def rnn_decoder(decoder_inputs, initial_state, cell, loop_function=None, scope=None):
    """(outputs, state). loop_function(output, i) makes the input of step i, in place of the given one."""
    with tf.variable_scope(scope or "rnn_decoder"):
        state = initial_state
        outputs: list = []
        for i, given in enumerate(decoder_inputs):
            if loop_function is not None and outputs:
                with tf.variable_scope("loop_function", reuse=True):
                    given = loop_function(outputs[-1], i)
            if i > 0:
                tf.get_variable_scope().reuse_variables()
            output, state = cell(given, state)
            outputs.append(output)
    return outputs, state


def basic_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, dtype=tf.float32, scope=None):
    """(outputs, state) of a decoder that starts from the state of an encoder with weights of its own."""
    with tf.variable_scope(scope or "basic_rnn_seq2seq"):
        _, state = tf.nn.static_rnn(copy.deepcopy(cell), encoder_inputs, dtype=dtype)
        return rnn_decoder(decoder_inputs, state, cell)


def tied_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, loop_function=None, dtype=tf.float32, scope=None):
    """(outputs, state) of encoder and decoder with the same weights."""
    with tf.variable_scope("combined_tied_rnn_seq2seq"):
        scope = scope or "tied_rnn_seq2seq"
        _, state = tf.nn.static_rnn(cell, encoder_inputs, dtype=dtype, scope=scope)
        tf.get_variable_scope().reuse_variables()
        return rnn_decoder(decoder_inputs, state, cell, loop_function=loop_function, scope=scope)


def embedding_rnn_decoder(
    decoder_inputs,
    initial_state,
    cell,
    num_symbols,
    embedding_size,
    output_projection=None,
    feed_previous=False,
    update_embedding_for_previous=True,
    scope=None,
):
    """(outputs, state) from symbols; feed_previous: from the first symbol and what the decoder itself says."""
    with tf.variable_scope(scope or "embedding_rnn_decoder"):
        embedding = tf.get_variable("embedding", [num_symbols, embedding_size])
        loop = _greedy(embedding, output_projection, update_embedding_for_previous) if feed_previous else None
        inputs = (tf.nn.embedding_lookup(embedding, i) for i in decoder_inputs)
        return rnn_decoder(inputs, initial_state, cell, loop_function=loop)


def _decode(decoder, feed_previous, like):
    """decoder(feed_previous, update_embedding), by a tf.cond where feed_previous is a tensor.

    like: a state of the structure that the decoder's has.
    """
    if isinstance(feed_previous, bool):
        return decoder(feed_previous, True)

    def branch(feed):
        with tf.variable_scope(tf.get_variable_scope(), reuse=None if feed else True):
            outputs, state = decoder(feed, False)
            return outputs + nest.flatten(state)

    flat = tf.cond(feed_previous, lambda: branch(True), lambda: branch(False))
    count = len(nest.flatten(like))
    return flat[:-count], nest.pack_sequence_as(like, flat[-count:])


def embedding_rnn_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_encoder_symbols,
    num_decoder_symbols,
    embedding_size,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
):
    """(outputs, state), symbols to symbols."""
    with tf.variable_scope(scope or "embedding_rnn_seq2seq", dtype=dtype) as scope:
        encoder = EmbeddingWrapper(copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        _, start = tf.nn.static_rnn(encoder, encoder_inputs, dtype=scope.dtype)
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)

        decoder = functools.partial(
            embedding_rnn_decoder, decoder_inputs, start, cell, num_decoder_symbols, embedding_size, output_projection
        )
        return _decode(decoder, feed_previous, start)


def embedding_tied_rnn_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_symbols,
    embedding_size,
    num_decoder_symbols=None,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
):
    """(outputs, state), symbols to symbols, with one table and the same weights for both."""
    with tf.variable_scope(scope or "embedding_tied_rnn_seq2seq", dtype=dtype) as scope:
        dtype = scope.dtype
        embedding = tf.get_variable("embedding", [num_symbols, embedding_size], dtype=dtype)
        encoded, decoded = (
            [tf.nn.embedding_lookup(embedding, x) for x in inputs] for inputs in (encoder_inputs, decoder_inputs)
        )
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols or num_symbols)

        def decoder(feed, update):
            loop = _greedy(embedding, output_projection, update) if feed else None
            return tied_rnn_seq2seq(encoded, decoded, cell, loop_function=loop, dtype=dtype)

        return _decode(decoder, feed_previous, cell.zero_state(tf.shape(encoder_inputs[0])[0], dtype))


def attention_decoder(
    decoder_inputs,
    initial_state,
    attention_states,
    cell,
    output_size=None,
    num_heads=1,
    loop_function=None,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """(outputs, state) of a decoder that attends to attention_states, [batch, length, size]."""
    if not decoder_inputs:
        raise ValueError("Must provide at least 1 input to attention decoder.")
    if num_heads < 1:
        raise ValueError("With less than 1 heads, use a non-attention decoder.")
    _, length, size = attention_states.shape.as_list()
    if size is None:
        raise ValueError("Shape[2] of attention_states must be known: %s" % attention_states.shape)
    with tf.variable_scope(scope or "attention_decoder", dtype=dtype) as scope:
        dtype = scope.dtype
        length = length or tf.shape(attention_states)[1]
        hidden = tf.reshape(attention_states, [-1, length, 1, size])
        heads = []
        for i in range(num_heads):
            kernel = tf.get_variable("AttnW_%d" % i, [1, 1, size, size], dtype=dtype)
            features = tf.nn.conv2d(hidden, kernel, [1, 1, 1, 1], "SAME")
            heads.append((features, tf.get_variable("AttnV_%d" % i, [size], dtype=dtype)))

        def read(state):
            query, found = tf.concat(nest.flatten(state), 1), []
            for i, (features, vector) in enumerate(heads):
                with tf.variable_scope("Attention_%d" % i):
                    found.append(attend(hidden, features, vector, query))
            return found

        def step(given, state):
            state, last = state
            output, state = cell(_linear([given, *last], given.shape.as_list()[1], True), state)
            with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE if initial_state_attention else None):
                now = read(state)
            with tf.variable_scope("AttnOutputProjection"):
                return _linear([output, *now], output_size or cell.output_size, True), (state, now)

        if initial_state_attention:
            first = read(initial_state)
        else:
            first = [tf.zeros(tf.stack([tf.shape(decoder_inputs[0])[0], size]), dtype)] * num_heads
            for tensor in first:
                tensor.set_shape([None, size])
        outputs, (state, _) = rnn_decoder(decoder_inputs, (initial_state, first), step, loop_function, scope)
    return outputs, state


def embedding_attention_decoder(
    decoder_inputs,
    initial_state,
    attention_states,
    cell,
    num_symbols,
    embedding_size,
    num_heads=1,
    output_size=None,
    output_projection=None,
    feed_previous=False,
    update_embedding_for_previous=True,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """attention_decoder from symbols."""
    with tf.variable_scope(scope or "embedding_attention_decoder", dtype=dtype):
        embedding = tf.get_variable("embedding", [num_symbols, embedding_size])
        return attention_decoder(
            [tf.nn.embedding_lookup(embedding, i) for i in decoder_inputs],
            initial_state,
            attention_states,
            cell,
            output_size=output_size,
            num_heads=num_heads,
            loop_function=_greedy(embedding, output_projection, update_embedding_for_previous)
            if feed_previous
            else None,
            initial_state_attention=initial_state_attention,
        )


def embedding_attention_seq2seq(
    encoder_inputs,
    decoder_inputs,
    cell,
    num_encoder_symbols,
    num_decoder_symbols,
    embedding_size,
    num_heads=1,
    output_projection=None,
    feed_previous=False,
    dtype=None,
    scope=None,
    initial_state_attention=False,
):
    """(outputs, state), symbols to symbols, attending to the encoder's outputs."""
    with tf.variable_scope(scope or "embedding_attention_seq2seq", dtype=dtype) as scope:
        encoder = EmbeddingWrapper(copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        outputs, start = tf.nn.static_rnn(encoder, encoder_inputs, dtype=scope.dtype)
        states = tf.concat([tf.reshape(o, [-1, 1, cell.output_size]) for o in outputs], 1)
        size = None
        if output_projection is None:
            cell, size = OutputProjectionWrapper(cell, num_decoder_symbols), num_decoder_symbols

        given = (decoder_inputs, start, states, cell, num_decoder_symbols, embedding_size, num_heads, size)
        decoder = functools.partial(
            embedding_attention_decoder, *given, output_projection, initial_state_attention=initial_state_attention
        )
        return _decode(decoder, feed_previous, start)
