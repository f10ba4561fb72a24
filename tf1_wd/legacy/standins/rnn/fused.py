"""Cells of tf.contrib.rnn that are one op a step or a sequence; the ops are in TensorFlow still."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from tf1_wd.legacy.standins.rnn.keras_cells import LayerRNNCell, LSTMStateTuple, Sized, SizedLSTM

_PEEPHOLES = ("w_i_diag", "w_f_diag", "w_o_diag")


def _lstm_options(forget_bias, cell_clip, use_peephole):
    """Attributes of TensorFlow's LSTM ops, for which -1 is no clip."""
    return {
        "forget_bias": forget_bias,
        "cell_clip": -1 if cell_clip is None else cell_clip,
        "use_peephole": use_peephole,
    }


class LSTMBlockCell(SizedLSTM, LayerRNNCell):
    """BasicLSTMCell in one op, with its variables `kernel` and `bias`."""

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        cell_clip=None,
        use_peephole=False,
        dtype=None,
        reuse=None,
        name="lstm_cell",
    ):
        super().__init__(_reuse=reuse, dtype=dtype, name=name)
        self._num_units = num_units
        self._options = _lstm_options(forget_bias, cell_clip, use_peephole)

    def build(self, inputs_shape):
        size, units = tf.TensorShape(inputs_shape).as_list()[-1], self._num_units
        self._kernel = self.add_variable("kernel", [size + units, 4 * units])
        self._bias = self.add_variable("bias", [4 * units], initializer=tf.constant_initializer(0.0))
        peepholes = self._options["use_peephole"]
        self._diagonals = [self.add_variable(n, [units]) for n in _PEEPHOLES] if peepholes else None
        self.built = True

    def _weights(self, dtype):
        wci, wcf, wco = self._diagonals or [tf.zeros([self._num_units], dtype)] * 3
        return {"w": self._kernel, "b": self._bias, "wci": wci, "wcf": wcf, "wco": wco}

    def call(self, inputs, state):
        c, h = state
        step = tf.raw_ops.LSTMBlockCell(x=inputs, cs_prev=c, h_prev=h, **self._weights(inputs.dtype), **self._options)
        return step.h, LSTMStateTuple(step.cs, step.h)


class GRUBlockCell(Sized, LayerRNNCell):
    """GRU in one op, with variables `gates/...` and `candidate/...`."""

    def __init__(self, num_units=None, cell_size=None, reuse=None, name="gru_cell"):
        super().__init__(_reuse=reuse, name=name)
        if (num_units is None) == (cell_size is None):
            raise ValueError("Exactly one of num_units or cell_size must be provided.")
        self._num_units = num_units or cell_size

    _NAMES = ("w_ru", "b_ru", "w_c", "b_c")

    def build(self, input_shape):
        size, units = tf.TensorShape(input_shape).as_list()[1], self._num_units
        w_ru, b_ru, w_c, b_c = self._NAMES
        self._gate_kernel = self.add_variable(w_ru, [size + units, 2 * units])
        self._gate_bias = self.add_variable(b_ru, [2 * units], initializer=tf.constant_initializer(1.0))
        self._candidate_kernel = self.add_variable(w_c, [size + units, units])
        self._candidate_bias = self.add_variable(b_c, [units], initializer=tf.constant_initializer(0.0))
        self.built = True

    def call(self, inputs, h_prev):
        step = tf.raw_ops.GRUBlockCell(
            x=inputs,
            h_prev=h_prev,
            w_ru=self._gate_kernel,
            b_ru=self._gate_bias,
            w_c=self._candidate_kernel,
            b_c=self._candidate_bias,
        )
        return step.h, step.h


class GRUBlockCellV2(GRUBlockCell):
    """GRUBlockCell with the variable names of GRUCell."""

    _NAMES = ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")


class FusedRNNCell:
    """What maps a sequence, [time, batch, size], to (outputs, state) at once."""

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        raise NotImplementedError


class FusedRNNCellAdaptor(FusedRNNCell):
    """A sequence through a cell, step by step."""

    def __init__(self, cell, use_dynamic_rnn=False):
        self._cell = cell
        self._dynamic = use_dynamic_rnn

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        is_list = isinstance(inputs, list)
        options = {"initial_state": initial_state, "dtype": dtype, "sequence_length": sequence_length, "scope": scope}
        if self._dynamic:
            sequence = tf.stack(inputs) if is_list else inputs
            outputs, state = tf.nn.dynamic_rnn(self._cell, sequence, time_major=True, **options)
            return (tf.unstack(outputs) if is_list else outputs), state
        outputs, state = tf.nn.static_rnn(self._cell, inputs if is_list else tf.unstack(inputs), **options)
        return (outputs if is_list else tf.stack(outputs)), state


class TimeReversedFusedRNN(FusedRNNCell):
    """A fused cell that reads the sequence backwards."""

    def __init__(self, cell):
        self._cell = cell

    @staticmethod
    def _reverse(value, lengths):
        if isinstance(value, list):
            return list(reversed(value))
        return tf.reverse(value, [0]) if lengths is None else tf.reverse_sequence(value, lengths, 0, 1)

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        outputs, state = self._cell(
            self._reverse(inputs, sequence_length),
            initial_state=initial_state,
            dtype=dtype,
            sequence_length=sequence_length,
            scope=scope,
        )
        return self._reverse(outputs, sequence_length), state


class LSTMBlockFusedCell(tf.layers.Layer, FusedRNNCell):
    """LSTMBlockCell over a whole sequence in one op; variables `kernel` and `bias`."""

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        cell_clip=None,
        use_peephole=False,
        reuse=None,
        dtype=None,
        name="lstm_fused_cell",
    ):
        super().__init__(_reuse=reuse, name=name, dtype=dtype)
        self._num_units = num_units
        self._options = _lstm_options(forget_bias, cell_clip, use_peephole)

    __call__ = tf.layers.Layer.__call__
    build = LSTMBlockCell.build
    _weights = LSTMBlockCell._weights

    @property
    def num_units(self):
        return self._num_units

    def call(self, inputs, initial_state=None, dtype=None, sequence_length=None):
        is_list = isinstance(inputs, list)
        inputs = tf.stack(inputs) if is_list else inputs
        steps, batch = tf.shape(inputs)[0], tf.shape(inputs)[1]
        if initial_state is None:
            if dtype is None:
                raise ValueError("Either initial_state or dtype needs to be specified")
            initial_state = (tf.zeros([batch, self._num_units], dtype),) * 2
        c, h = initial_state
        longest = steps if sequence_length is None else tf.reduce_max(sequence_length)
        run = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(longest, tf.int64),
            x=inputs,
            cs_prev=c,
            h_prev=h,
            **self._weights(inputs.dtype),
            **self._options,
        )
        if sequence_length is None:
            outputs, state = run.h, LSTMStateTuple(run.cs[-1], run.h[-1])
        else:
            mask = tf.transpose(tf.sequence_mask(sequence_length, steps, dtype=inputs.dtype))
            outputs = run.h * tf.expand_dims(mask, -1)
            # a sequence of length n ends in the state number n, 0 being the initial one
            last = tf.stack([tf.cast(sequence_length, tf.int32), tf.range(batch)], axis=1)
            states = [(c, run.cs), (h, outputs)]
            state = LSTMStateTuple(*(tf.gather_nd(tf.concat([s[None], all_s], 0), last) for s, all_s in states))
        return (tf.unstack(outputs) if is_list else outputs), state
