"""Stacks of bidirectional layers, as in tf.contrib.rnn."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def _layers(cells_fw, cells_bw, states_fw, states_bw):
    for cells in (cells_fw, cells_bw):
        if not isinstance(cells, list) or not cells:
            raise ValueError("cells_fw and cells_bw must be lists of RNNCells (one per layer), not %r" % (cells,))
    if len(cells_fw) != len(cells_bw):
        raise ValueError("Forward and Backward cells must have the same depth.")
    for states in (states_fw, states_bw):
        if states is not None and (not isinstance(states, list) or len(states) != len(cells_fw)):
            raise ValueError("Initial states must be a list of state tensors (one per layer).")
    nothing = [None] * len(cells_fw)
    return zip(cells_fw, cells_bw, states_fw or nothing, states_bw or nothing)


def _stacked(run, layers, inputs, scope):
    """run(forward cell, backward cell, inputs, state, state, scope) answers as the functions below do, a layer."""
    states = []
    with tf.variable_scope(scope or "stack_bidirectional_rnn"):
        for i, (cell_fw, cell_bw, state_fw, state_bw) in enumerate(layers):
            with tf.variable_scope("cell_%d" % i) as cell_scope:
                inputs, *ends = run(cell_fw, cell_bw, inputs, state_fw, state_bw, cell_scope)
            states.append(ends)
    return (inputs, *zip(*states))


def stack_bidirectional_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
    scope=None,
):
    """(outputs, states forwards, states backwards): each layer reads both directions of the one below.

    inputs: list over time of [batch, size]. cells_fw, cells_bw: lists, one cell a layer.
    """

    def run(cell_fw, cell_bw, inputs, state_fw, state_bw, layer_scope):
        return tf.nn.static_bidirectional_rnn(
            cell_fw, cell_bw, inputs, state_fw, state_bw, dtype, sequence_length, layer_scope
        )

    return _stacked(run, _layers(cells_fw, cells_bw, initial_states_fw, initial_states_bw), inputs, scope)


def stack_bidirectional_dynamic_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
    parallel_iterations=None,
    time_major=False,
    scope=None,
    swap_memory=False,
):
    """(outputs, states forwards, states backwards) of tf.nn.bidirectional_dynamic_rnn, layer upon layer.

    inputs: [batch, time, size], or [time, batch, size] if time_major. cells_fw, cells_bw: lists, one cell a layer.
    """

    def run(cell_fw, cell_bw, inputs, state_fw, state_bw, _):
        outputs, states = tf.nn.bidirectional_dynamic_rnn(
            cell_fw,
            cell_bw,
            inputs,
            sequence_length,
            state_fw,
            state_bw,
            dtype,
            parallel_iterations,
            swap_memory,
            time_major,
        )
        return (tf.concat(outputs, 2), *states)

    return _stacked(run, _layers(cells_fw, cells_bw, initial_states_fw, initial_states_bw), inputs, scope)
