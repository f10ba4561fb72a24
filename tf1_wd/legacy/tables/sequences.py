"""Where the names of tf.contrib.rnn, seq2seq, legacy_seq2seq and crf are now. Imports no TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import area, modules

_V1 = "tensorflow.compat.v1"
_OURS = "tf1_wd.legacy.standins."

RNN = area(
    "tensorflow.contrib.rnn",
    (
        _V1 + ":nn.rnn_cell",
        "BasicLSTMCell BasicRNNCell DeviceWrapper DropoutWrapper GRUCell LSTMCell LSTMStateTuple MultiRNNCell RNNCell "
        "ResidualWrapper",
    ),
    (_OURS + "rnn.keras_cells", "LayerRNNCell"),
    (_V1 + ":nn", "static_rnn static_bidirectional_rnn static_state_saving_rnn"),
    (
        "tensorflow.python.ops.rnn",
        "transpose_batch_time=_transpose_batch_time best_effort_input_batch_size=_best_effort_input_batch_size",
    ),
    (_OURS + "rnn.bidirectional", "stack_bidirectional_dynamic_rnn stack_bidirectional_rnn"),
    (
        _OURS + "rnn.wrappers",
        "AttentionCellWrapper EmbeddingWrapper HighwayWrapper InputProjectionWrapper OutputProjectionWrapper",
    ),
    (
        _OURS + "rnn.cells",
        "LayerNormBasicLSTMCell CoupledInputForgetGateLSTMCell NASCell UGRNNCell SRUCell IndRNNCell",
    ),
    (_OURS + "rnn.conv", "ConvLSTMCell Conv1DLSTMCell Conv2DLSTMCell Conv3DLSTMCell"),
    (
        _OURS + "rnn.fused",
        "LSTMBlockCell LSTMBlockFusedCell GRUBlockCell GRUBlockCellV2 FusedRNNCell FusedRNNCellAdaptor "
        "TimeReversedFusedRNN",
    ),
)
RNN_MODULES = (
    modules(("tensorflow.contrib.rnn.python.ops.core_rnn_cell", _OURS + "rnn.wrappers"))
    + modules(("tensorflow.contrib.rnn.python.ops.core_rnn_cell_impl", _OURS + "rnn.wrappers"), since="1.2")
    + modules(
        ("tensorflow.contrib.rnn.ops.gen_lstm_ops", "tensorflow.python.ops.gen_rnn_ops"),
        ("tensorflow.contrib.rnn.ops.gen_gru_ops", "tensorflow.python.ops.gen_rnn_ops"),
        since="1.14",
    )
)

SEQ2SEQ = area(
    "tensorflow.contrib.seq2seq",
    (_OURS + "seq2seq.decoder", "BasicDecoder BasicDecoderOutput Decoder dynamic_decode"),
    (
        _OURS + "seq2seq.helper",
        "CustomHelper GreedyEmbeddingHelper Helper InferenceHelper SampleEmbeddingHelper TrainingHelper",
    ),
    (_OURS + "seq2seq.scheduled", "ScheduledEmbeddingTrainingHelper ScheduledOutputTrainingHelper"),
    (_OURS + "seq2seq.attention", "AttentionMechanism BahdanauAttention LuongAttention hardmax"),
    (_OURS + "seq2seq.attention_wrapper", "AttentionWrapper AttentionWrapperState"),
    (
        _OURS + "seq2seq.beam_search",
        "BeamSearchDecoder BeamSearchDecoderOutput BeamSearchDecoderState FinalBeamSearchDecoderOutput gather_tree "
        "tile_batch",
    ),
    (_OURS + "seq2seq.loss", "sequence_loss"),
)

LEGACY_SEQ2SEQ = area(
    "tensorflow.contrib.legacy_seq2seq",
    (
        _OURS + "seq2seq.legacy",
        "attention_decoder basic_rnn_seq2seq embedding_attention_decoder embedding_attention_seq2seq "
        "embedding_rnn_decoder embedding_rnn_seq2seq embedding_tied_rnn_seq2seq rnn_decoder tied_rnn_seq2seq",
    ),
    (_OURS + "seq2seq.legacy_loss", "model_with_buckets sequence_loss sequence_loss_by_example"),
)

CRF = area(
    "tensorflow.contrib.crf",
    (
        _OURS + "seq2seq.crf",
        "crf_binary_score crf_decode crf_log_likelihood crf_log_norm crf_multitag_sequence_score crf_sequence_score "
        "crf_unary_score viterbi_decode",
    ),
)


ROWS = RNN + RNN_MODULES + SEQ2SEQ + LEGACY_SEQ2SEQ + CRF
