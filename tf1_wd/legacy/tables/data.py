"""Where the names of tf.contrib.data, lookup, summary, image, eager and smaller packages are now. No TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import rows

ROWS = rows("""
tensorflow.contrib.data
  v1:data.experimental. AUTOTUNE Counter CsvDataset Optional RandomDataset Reducer SqlDataset TFRecordWriter
    bucket_by_sequence_length choose_from_datasets copy_to_device dense_to_sparse_batch enumerate_dataset
    get_next_as_optional get_single_element group_by_reducer group_by_window ignore_errors
    make_batched_features_dataset make_csv_dataset make_saveable_from_iterator map_and_batch parallel_interleave
    parse_example_dataset prefetch_to_device rejection_resample sample_from_datasets scan shuffle_and_repeat unbatch
    unique
  ours.data.data: assert_element_shape batch_and_drop_remainder padded_batch_and_drop_remainder read_batch_features
    reduce_dataset sliding_window_batch sloppy_interleave
tensorflow.contrib.data since 1.5
  # of releases up to 1.3
  v1:data. Dataset FixedLengthRecordDataset Iterator TFRecordDataset TextLineDataset
tensorflow.contrib.lookup
  tensorflow.python.ops.lookup_ops: FastHashSpec HasherSpec IdTableWithHashBuckets
    InitializableLookupTableBase=InitializableLookupTableBaseV1 KeyValueTensorInitializer LookupInterface
    MutableHashTable MutableDenseHashTable=DenseHashTable StrongHashSpec TableInitializerBase
    TextFileIdTableInitializer TextFileIndex TextFileInitializer TextFileStringTableInitializer index_table_from_file
    index_table_from_tensor index_to_string_table_from_file index_to_string_table_from_tensor
  ours.data.lookup: HashTable index_to_string string_to_index string_to_index_table_from_file
    string_to_index_table_from_tensor
tensorflow.contrib.summary
  tensorflow.python.ops.summary_ops_v2: all_summary_ops=all_v2_summary_ops always_record_summaries audio
    create_file_writer create_summary_file_writer eval_dir flush generic graph histogram image import_event initialize
    never_record_summaries record_summaries_every_n_global_steps scalar should_record_summaries
    summary_writer_initializer_op
tensorflow.contrib.tfprof.model_analyzer
  ours.small.model_analyzer: FLOAT_OPS_OPTIONS PRINT_ALL_TIMING_MEMORY TRAINABLE_VARS_PARAMS_STAT_OPTIONS advise
    print_model_analysis
  tensorflow.python.profiler.model_analyzer: ALL_ADVICE Profiler
tensorflow.contrib.tfprof.tfprof_logger
  ours.small.model_analyzer: write_op_log
tensorflow.contrib.image
  ours.small.image_transform: angles_to_projective_transforms compose_transforms rotate transform translate
    translations_to_projective_transforms
  tensorflow.python.ops.image_ops: flat_transforms_to_matrices matrices_to_flat_transforms
  ours.small.image_warp: dense_image_warp
tensorflow.contrib.distributions
  v1:distributions. Bernoulli Beta Categorical Dirichlet DirichletMultinomial Distribution Exponential
    FULLY_REPARAMETERIZED Gamma Laplace Multinomial NOT_REPARAMETERIZED Normal RegisterKL ReparameterizationType
    StudentT Uniform kl_divergence
  ours.small.distributions: MultivariateNormalDiag
tensorflow.contrib.eager
  v1: GradientTape custom_gradient executing_eagerly make_template py_func=py_function
  v1:train. Checkpoint
  ours.small.eager: Variable num_gpus list_devices
tensorflow.contrib.util
  tensorflow.python.framework.tensor_util: constant_value make_tensor_proto make_ndarray=MakeNdarray
tensorflow.contrib.feature_column
  v1:feature_column. sequence_categorical_column_with_hash_bucket sequence_categorical_column_with_identity
    sequence_categorical_column_with_vocabulary_file sequence_categorical_column_with_vocabulary_list
    sequence_numeric_column
tensorflow.contrib.predictor
  ours.training.predictor: from_saved_model
tensorflow.contrib.staging
  tensorflow.python.ops.data_flow_ops: StagingArea
tensorflow.contrib.stateless
  v1:random. stateless_multinomial stateless_random_normal=stateless_normal stateless_random_uniform=stateless_uniform
    stateless_truncated_normal
tensorflow.contrib.signal
  v1:signal. frame hamming_window hann_window inverse_stft inverse_stft_window_fn linear_to_mel_weight_matrix
    mfccs_from_log_mel_spectrograms overlap_and_add stft
tensorflow.contrib.checkpoint
  v1:train. CheckpointManager
tensorflow.contrib.autograph
  v1:autograph. to_code to_graph
  v1:autograph.experimental. do_not_convert
tensorflow.contrib.compiler.jit
  v1:xla.experimental. experimental_jit_scope=jit_scope
tensorflow.contrib.compiler.xla
  v1:xla.experimental. compile
tensorflow.contrib.proto
  v1:io. decode_proto encode_proto
tensorflow.contrib.factorization
  v1:estimator.experimental. KMeansClustering=KMeans
tensorflow.contrib.tensorboard.plugins.projector
  ours.small.projector: ProjectorConfig EmbeddingInfo visualize_embeddings
  ours.small. projector_config_pb2=projector
tensorflow.contrib.all_reduce.python
  tensorflow.python.distribute.v1. all_reduce
tensorflow.contrib.nccl since 1.13
  tensorflow.python.ops.nccl_ops: all_sum all_prod all_min all_max broadcast reduce_sum
tensorflow.contrib.lite since 1.14
  v1:lite. TFLiteConverter Interpreter TocoConverter=TFLiteConverter
""")
