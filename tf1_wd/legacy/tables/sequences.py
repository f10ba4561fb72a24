"""Where the names of tf.contrib.rnn, seq2seq, legacy_seq2seq and crf are now. Imports no TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import rows

ROWS = rows("""
tensorflow.contrib.rnn
  v1:nn.rnn_cell. BasicLSTMCell BasicRNNCell DeviceWrapper DropoutWrapper GRUCell LSTMCell LSTMStateTuple MultiRNNCell
    RNNCell ResidualWrapper
  ours.rnn.keras_cells: LayerRNNCell
  v1:nn. static_rnn static_bidirectional_rnn static_state_saving_rnn
  tensorflow.python.ops.rnn: transpose_batch_time=_transpose_batch_time
    best_effort_input_batch_size=_best_effort_input_batch_size
  ours.rnn.bidirectional: stack_bidirectional_dynamic_rnn stack_bidirectional_rnn
  ours.rnn.wrappers: AttentionCellWrapper EmbeddingWrapper HighwayWrapper InputProjectionWrapper
    OutputProjectionWrapper
  ours.rnn.cells: LayerNormBasicLSTMCell CoupledInputForgetGateLSTMCell NASCell UGRNNCell SRUCell IndRNNCell
  ours.rnn.conv: ConvLSTMCell Conv1DLSTMCell Conv2DLSTMCell Conv3DLSTMCell
  ours.rnn.fused: LSTMBlockCell LSTMBlockFusedCell GRUBlockCell GRUBlockCellV2 FusedRNNCell FusedRNNCellAdaptor
    TimeReversedFusedRNN
tensorflow.contrib.rnn.python.ops
  ours.rnn. core_rnn_cell=wrappers
tensorflow.contrib.rnn.python.ops since 1.2
  ours.rnn. core_rnn_cell_impl=wrappers
tensorflow.contrib.rnn.ops since 1.14
  tensorflow.python.ops. gen_lstm_ops=gen_rnn_ops gen_gru_ops=gen_rnn_ops
tensorflow.contrib.seq2seq
  ours.seq2seq.decoder: BasicDecoder BasicDecoderOutput Decoder dynamic_decode
  ours.seq2seq.helper: CustomHelper GreedyEmbeddingHelper Helper InferenceHelper SampleEmbeddingHelper TrainingHelper
  ours.seq2seq.scheduled: ScheduledEmbeddingTrainingHelper ScheduledOutputTrainingHelper
  ours.seq2seq.attention: AttentionMechanism BahdanauAttention LuongAttention hardmax
  ours.seq2seq.attention_wrapper: AttentionWrapper AttentionWrapperState
  ours.seq2seq.beam_search: BeamSearchDecoder BeamSearchDecoderOutput BeamSearchDecoderState
    FinalBeamSearchDecoderOutput gather_tree tile_batch
  ours.seq2seq.loss: sequence_loss
tensorflow.contrib.legacy_seq2seq
  ours.seq2seq.legacy: attention_decoder basic_rnn_seq2seq embedding_attention_decoder embedding_attention_seq2seq
    embedding_rnn_decoder embedding_rnn_seq2seq embedding_tied_rnn_seq2seq rnn_decoder tied_rnn_seq2seq
  ours.seq2seq.legacy_loss: model_with_buckets sequence_loss sequence_loss_by_example
tensorflow.contrib.crf
  ours.seq2seq.crf: crf_binary_score crf_decode crf_log_likelihood crf_log_norm crf_multitag_sequence_score
    crf_sequence_score crf_unary_score viterbi_decode
""")
