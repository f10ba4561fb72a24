"""Where the names of tf.contrib.layers, slim, framework, losses, metrics, nn and keras are now. No TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import Move, rows

ROWS = rows("""
tensorflow.contrib.layers
  tf_slim.layers.layers: avg_pool2d avg_pool3d batch_norm bias_add conv1d conv2d conv3d conv2d_in_plane
    conv2d_transpose conv3d_transpose convolution convolution1d convolution2d convolution2d_in_plane
    convolution2d_transpose convolution3d convolution3d_transpose dense_to_sparse dropout elu flatten fully_connected
    GDN gdn images_to_sequence layer_norm linear max_pool2d max_pool3d maxout one_hot_encoding relu relu6 repeat
    scale_gradient separable_conv2d separable_convolution2d sequence_to_images softmax spatial_softmax stack unit_norm
    legacy_fully_connected legacy_linear legacy_relu
  tf_slim.layers.normalization: group_norm instance_norm
  tf_slim.layers.initializers: xavier_initializer xavier_initializer_conv2d variance_scaling_initializer
  tf_slim.layers.regularizers: l1_regularizer l2_regularizer l1_l2_regularizer sum_regularizer apply_regularization
  tf_slim.layers.optimizers: optimize_loss OPTIMIZER_CLS_NAMES OPTIMIZER_SUMMARIES
  tf_slim.layers.rev_block_lib: RevBlock rev_block recompute_grad
  tf_slim.layers.summaries: summarize_activation summarize_activations summarize_collection summarize_tensor
    summarize_tensors
  v1:nn. safe_embedding_lookup_sparse
  ours.data.embeddings: bow_encoder embed_sequence embedding_lookup_unique
  # a column for tf.estimator's models
  ours.data.columns: real_valued_column sparse_column_with_hash_bucket sparse_column_with_integerized_feature
    sparse_column_with_keys sparse_column_with_vocabulary_file crossed_column embedding_column one_hot_column
    input_from_feature_columns
  v1:feature_column. bucketized_column create_feature_spec_for_parsing=make_parse_example_spec
tensorflow.contrib.layers.python.layers
  tf_slim.layers. utils layers initializers normalization optimizers regularizers summaries
tensorflow.contrib.layers.python.ops
  tf_slim.layers. bucketization_op sparse_ops
tensorflow.contrib.slim
  tf_slim. nets
tensorflow.contrib.slim.nets
  tf_slim.nets. alexnet inception overfeat resnet_utils resnet_v1 resnet_v2 vgg
tensorflow.contrib.slim.python.slim.nets
  tf_slim.nets. alexnet inception overfeat resnet_utils resnet_v1 resnet_v2 vgg inception_v1 inception_v2 inception_v3
tensorflow.contrib.slim.python.slim.data
  tf_slim.data. data_decoder data_provider dataset dataset_data_provider parallel_reader prefetch_queue
    tfexample_decoder
tensorflow.contrib.slim.python.slim
  tf_slim. evaluation learning model_analyzer queues summaries
tensorflow.contrib.framework
  tf_slim.ops.arg_scope: arg_scope add_arg_scope current_arg_scope has_arg_scope arg_scoped_arguments
  tf_slim.ops.variables: add_model_variable assert_global_step assert_or_get_global_step assign_from_checkpoint
    assign_from_checkpoint_fn assign_from_values assign_from_values_fn create_global_step filter_variables
    get_global_step get_or_create_global_step get_local_variables get_model_variables get_trainable_variables
    get_unique_variable get_variables_by_name get_variables_by_suffix get_variable_full_name get_variables_to_restore
    get_variables global_variable local_variable model_variable variable VariableDeviceChooser
  tf_slim.ops.framework_ops: get_graph_from_inputs get_name_scope
  v1:train. init_from_checkpoint list_variables load_checkpoint load_variable
  v1: is_tensor py_func argsort sort TensorSpec
  v1:debugging. assert_same_float_dtype assert_scalar
  tensorflow.python.framework.smart_cond: smart_cond smart_constant_value smart_case
  tensorflow.python.framework.sparse_tensor: convert_to_tensor_or_sparse_tensor
  tensorflow.python.framework.tensor_spec: BoundedTensorSpec
  tensorflow.python.framework.ops: prepend_name_scope strip_name_scope
  tensorflow.python.ops.data_flow_ops: RecordInput
  tensorflow.python.ops.init_ops: convolutional_delta_orthogonal convolutional_orthogonal_1d
    convolutional_orthogonal_2d convolutional_orthogonal_3d
  tensorflow.python.util.deprecation: deprecated deprecated_args deprecated_arg_values
  ours.small.framework: assert_scalar_int get_placeholders reduce_sum_n remove_squeezable_dimensions with_same_shape
    with_shape
  tensorflow.python.util. nest
tensorflow.contrib.framework.python.framework
  tensorflow.python.training. checkpoint_utils
  tensorflow.python.framework. graph_util
tensorflow.contrib.framework.python.ops
  tf_slim.ops. variables
  tf_slim.ops.arg_scope: arg_scope
  tensorflow.python.ops. audio_ops=gen_audio_ops
tensorflow.contrib.losses
  tf_slim.losses.loss_ops: absolute_difference add_loss cosine_distance compute_weighted_loss get_losses
    get_regularization_losses get_total_loss hinge_loss log_loss mean_pairwise_squared_error mean_squared_error
    sigmoid_cross_entropy softmax_cross_entropy sparse_softmax_cross_entropy
  tf_slim.losses. metric_learning
tensorflow.contrib.losses.python
  tf_slim.losses. metric_learning
tensorflow.contrib.losses.python.metric_learning
  tf_slim.losses. metric_loss_ops=metric_learning
tensorflow.contrib.metrics
  tf_slim.metrics: streaming_accuracy streaming_auc streaming_concat streaming_covariance streaming_curve_points
    streaming_dynamic_auc streaming_false_negative_rate streaming_false_negative_rate_at_thresholds
    streaming_false_negatives streaming_false_negatives_at_thresholds streaming_false_positive_rate
    streaming_false_positive_rate_at_thresholds streaming_false_positives streaming_false_positives_at_thresholds
    streaming_mean streaming_mean_absolute_error streaming_mean_cosine_distance streaming_mean_iou
    streaming_mean_relative_error streaming_mean_squared_error streaming_mean_tensor streaming_pearson_correlation
    streaming_percentage_less streaming_precision streaming_precision_at_thresholds streaming_recall
    streaming_recall_at_k streaming_recall_at_thresholds streaming_root_mean_squared_error
    streaming_sensitivity_at_specificity streaming_sparse_average_precision_at_k
    streaming_sparse_average_precision_at_top_k streaming_sparse_precision_at_k streaming_sparse_precision_at_top_k
    streaming_sparse_recall_at_k streaming_specificity_at_sensitivity streaming_true_negatives
    streaming_true_negatives_at_thresholds streaming_true_positives streaming_true_positives_at_thresholds accuracy
    aggregate_metric_map aggregate_metrics auc_using_histogram auc_with_confidence_intervals cohen_kappa count
    f1_score precision_at_recall precision_recall_at_equal_thresholds recall_at_precision sparse_recall_at_top_k
  v1:sets. set_difference=difference set_intersection=intersection set_size=size set_union=union
  v1: confusion_matrix
tensorflow.contrib.metrics.python.ops
  tf_slim.metrics. metric_ops
  tensorflow.python.ops. set_ops=sets_impl
tensorflow.contrib.nn
  ours.small.nn: alpha_dropout conv1d_transpose sampled_sparse_softmax_loss scaled_softplus
  tensorflow.python.ops.nn_ops: nth_element
tensorflow.contrib
  tensorflow. keras
tensorflow.contrib.keras
  tensorflow.keras. activations applications backend callbacks constraints datasets initializers layers losses metrics
    models optimizers preprocessing regularizers utils
tensorflow.contrib.keras.preprocessing
  tensorflow.keras.preprocessing. image sequence text
""")

ROWS += (Move("tensorflow.contrib.slim", "tf_slim", "2.0"),)
