"""Where the names of tf.contrib.data, lookup, summary, image, eager and smaller packages are now. No TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import area, modules

_V1 = "tensorflow.compat.v1"
_V2 = "tensorflow.compat.v2"
_OURS = "tf1_wd.legacy.standins."

DATA = area(
    "tensorflow.contrib.data",
    (
        _V1 + ":data.experimental",
        "AUTOTUNE Counter CsvDataset Optional RandomDataset Reducer SqlDataset "
        "TFRecordWriter bucket_by_sequence_length choose_from_datasets copy_to_device dense_to_sparse_batch "
        "enumerate_dataset get_next_as_optional get_single_element group_by_reducer group_by_window ignore_errors "
        "make_batched_features_dataset make_csv_dataset make_saveable_from_iterator map_and_batch "
        "parallel_interleave parse_example_dataset prefetch_to_device rejection_resample sample_from_datasets scan "
        "shuffle_and_repeat unbatch unique",
    ),
    (
        _OURS + "data.data",
        "assert_element_shape batch_and_drop_remainder padded_batch_and_drop_remainder read_batch_features "
        "reduce_dataset sliding_window_batch sloppy_interleave",
    ),
) + area(
    "tensorflow.contrib.data",
    (
        _OURS + "data.data",
        "Dataset FixedLengthRecordDataset Iterator TFRecordDataset TextLineDataset",
        "of releases up to 1.3",
    ),
    since="1.5",
)

LOOKUP = area(
    "tensorflow.contrib.lookup",
    (
        "tensorflow.python.ops.lookup_ops",
        "FastHashSpec HasherSpec IdTableWithHashBuckets "
        "InitializableLookupTableBase=InitializableLookupTableBaseV1 KeyValueTensorInitializer LookupInterface "
        "MutableHashTable MutableDenseHashTable=DenseHashTable StrongHashSpec TableInitializerBase "
        "TextFileIdTableInitializer TextFileIndex TextFileInitializer TextFileStringTableInitializer "
        "index_table_from_file index_table_from_tensor index_to_string_table_from_file "
        "index_to_string_table_from_tensor",
    ),
    (
        _OURS + "data.lookup",
        "HashTable index_to_string string_to_index string_to_index_table_from_file string_to_index_table_from_tensor",
    ),
)

SUMMARY = area(
    "tensorflow.contrib.summary",
    (
        "tensorflow.python.ops.summary_ops_v2",
        "all_summary_ops=all_v2_summary_ops always_record_summaries audio create_file_writer "
        "create_summary_file_writer eval_dir flush generic graph histogram image import_event initialize "
        "never_record_summaries record_summaries_every_n_global_steps scalar should_record_summaries "
        "summary_writer_initializer_op",
    ),
)

IMAGE = area(
    "tensorflow.contrib.image",
    (
        _OURS + "small.image_transform",
        "angles_to_projective_transforms compose_transforms flat_transforms_to_matrices matrices_to_flat_transforms "
        "rotate transform translate translations_to_projective_transforms",
    ),
    (_OURS + "small.image_warp", "dense_image_warp"),
)

DISTRIBUTIONS = area(
    "tensorflow.contrib.distributions",
    (
        _V1 + ":distributions",
        "Bernoulli Beta Categorical Dirichlet DirichletMultinomial Distribution Exponential FULLY_REPARAMETERIZED "
        "Gamma Laplace Multinomial NOT_REPARAMETERIZED Normal RegisterKL ReparameterizationType StudentT Uniform "
        "kl_divergence",
    ),
    (_OURS + "small.distributions", "MultivariateNormalDiag"),
)

EAGER = area(
    "tensorflow.contrib.eager",
    (_V1, "GradientTape custom_gradient executing_eagerly make_template py_func=py_function"),
    (_V1 + ":train", "Checkpoint"),
    (_OURS + "small.eager", "Variable num_gpus list_devices"),
)

SMALLER = (
    area("tensorflow.contrib.util", ("tensorflow.python.framework.tensor_util", "constant_value make_tensor_proto"))
    + area("tensorflow.contrib.util", ("tensorflow.python.framework.tensor_util", "make_ndarray=MakeNdarray"))
    + area(
        "tensorflow.contrib.feature_column",
        (
            _V1 + ":feature_column",
            "sequence_categorical_column_with_hash_bucket sequence_categorical_column_with_identity "
            "sequence_categorical_column_with_vocabulary_file sequence_categorical_column_with_vocabulary_list "
            "sequence_numeric_column",
        ),
    )
    + area("tensorflow.contrib.predictor", (_OURS + "training.predictor", "from_saved_model"))
    + area("tensorflow.contrib.staging", ("tensorflow.python.ops.data_flow_ops", "StagingArea"))
    + area(
        "tensorflow.contrib.stateless",
        (
            _V1 + ":random",
            "stateless_multinomial stateless_random_normal=stateless_normal stateless_random_uniform=stateless_uniform "
            "stateless_truncated_normal",
        ),
    )
    + area(
        "tensorflow.contrib.signal",
        (
            _V1 + ":signal",
            "frame hamming_window hann_window inverse_stft inverse_stft_window_fn linear_to_mel_weight_matrix "
            "mfccs_from_log_mel_spectrograms overlap_and_add stft",
        ),
    )
    + area("tensorflow.contrib.checkpoint", (_V1 + ":train", "CheckpointManager"))
    + area("tensorflow.contrib.autograph", (_V1 + ":autograph", "to_code to_graph"))
    + area("tensorflow.contrib.autograph", (_V1 + ":autograph.experimental", "do_not_convert"))
    + area("tensorflow.contrib.compiler.jit", (_V1 + ":xla.experimental", "experimental_jit_scope=jit_scope"))
    + area("tensorflow.contrib.compiler.xla", (_V1 + ":xla.experimental", "compile"))
    + area("tensorflow.contrib.proto", (_V1 + ":io", "decode_proto encode_proto"))
    + area("tensorflow.contrib.factorization", (_V1 + ":estimator.experimental", "KMeansClustering=KMeans"))
    + area(
        "tensorflow.contrib.tensorboard.plugins.projector", (_OURS + "small.projector", "ProjectorConfig EmbeddingInfo")
    )
    + area("tensorflow.contrib.tensorboard.plugins.projector", (_OURS + "small.projector", "visualize_embeddings"))
    + modules(
        ("tensorflow.contrib.tensorboard.plugins.projector.projector_config_pb2", _OURS + "small.projector"),
    )
    + modules(("tensorflow.contrib.all_reduce.python.all_reduce", "tensorflow.python.distribute.v1.all_reduce"))
)

OLDER = (
    area(
        "tensorflow.contrib.nccl", ("tensorflow.python.ops.nccl_ops", "all_sum all_prod all_min all_max"), since="1.13"
    )
    + area("tensorflow.contrib.nccl", ("tensorflow.python.ops.nccl_ops", "broadcast reduce_sum"), since="1.13")
    + area(
        "tensorflow.contrib.lite",
        (_V1 + ":lite", "TFLiteConverter Interpreter TocoConverter=TFLiteConverter"),
        since="1.14",
    )
)

ROWS = DATA + LOOKUP + SUMMARY + IMAGE + DISTRIBUTIONS + EAGER + SMALLER + OLDER
