"""The modules that tf.contrib had, of the packages that programs reach deep into. Imports no TensorFlow."""

from __future__ import annotations

import re

# Of 1.15.5, without tests and generated code, and a few of earlier releases.
_DEEP = """
layers: ops python(layers(embedding_ops encoders feature_column feature_column_ops initializers layers normalization
  optimizers regularizers rev_block_lib summaries target_column utils) ops(bucketization_op sparse_feature_cross_op
  sparse_ops))
framework: python(framework(checkpoint_utils experimental graph_util nest tensor_util) ops(arg_scope audio_ops
  checkpoint_ops ops prettyprint_ops script_ops sort_ops variables))
slim: nets(alexnet inception overfeat resnet_utils resnet_v1 resnet_v2 vgg)
  python(slim(data(data_decoder data_provider dataset dataset_data_provider parallel_reader prefetch_queue
  tfexample_decoder) evaluation learning model_analyzer nets(alexnet inception inception_resnet_v2 inception_v1
  inception_v2 inception_v3 overfeat resnet_utils resnet_v1 resnet_v2 vgg) queues summaries))
rnn: python(ops(core_rnn core_rnn_cell core_rnn_cell_impl fused_rnn_cell gru_ops lstm_ops rnn rnn_cell))
seq2seq: ops python(ops(attention_decoder_fn attention_wrapper basic_decoder beam_search_decoder beam_search_ops
  decoder decoder_fn helper loss sampler seq2seq))
learn: graph_actions head io models monitors ops utils
  python(learn(basic_session_run_hooks datasets(base mnist produce_small_datasets synthetic text_datasets)
  estimators(_sklearn composable_model constants debug dnn dnn_linear_combined dynamic_rnn_estimator estimator head
  kmeans linear logistic_regressor metric_key model_fn prediction_key rnn_common run_config state_saving_rnn_estimator
  svm tensor_signature) evaluable experiment export_strategy graph_actions learn_io(dask_io data_feeder generator_io
  graph_io numpy_io pandas_io) learn_runner learn_runner_lib metric_spec models monitored_session monitors
  ops(embeddings_ops losses_ops seq2seq_ops) preprocessing(categorical categorical_vocabulary tests text)
  session_run_hook summary_writer_cache trainable utils(export gc input_fn_utils inspect_checkpoint
  saved_model_export_utils)))
tpu: python(ops(tpu_ops) profiler tpu(_tpu_estimator_embedding async_checkpoint bfloat16 datasets device_assignment
  error_handling feature_column functional keras_support keras_tpu_variables session_support tensor_tracer topology tpu
  tpu_config tpu_context tpu_embedding tpu_embedding_gradient tpu_estimator tpu_feed tpu_function tpu_optimizer
  tpu_sharding tpu_system_metadata training_loop util))
data: python(ops(batching counter dataset_ops enumerate_ops error_ops get_single_element grouping interleave_ops
  iterator_ops parsing_ops prefetching_ops random_ops readers resampling scan_ops shuffle_ops sliding sources threadpool
  transformation unique writers))
training: python(training(bucket_ops device_setter evaluation feeding_queue_runner hparam resample sampling_ops
  sequence_queueing_state_saver training tuner))
metrics: python(metrics(classification) ops(confusion_matrix_ops histogram_ops metric_ops set_ops))
losses: python(losses(loss_ops) metric_learning(metric_loss_ops))
crf: python(ops(crf))
image: ops python(ops(dense_image_warp distort_image_ops image_ops interpolate_spline
  single_image_random_dot_stereograms sparse_image_warp))
opt: python(training(adam_gs_optimizer adamax addsign agn_optimizer drop_stale_gradient_optimizer
  elastic_average_optimizer external_optimizer ggt lars_optimizer lazy_adam_gs_optimizer lazy_adam_optimizer
  matrix_functions model_average_optimizer moving_average_optimizer multitask_optimizer_wrapper nadam_optimizer
  powersign reg_adagrad_optimizer shampoo sign_decay variable_clipping_optimizer weight_decay_optimizers))
lookup: lookup_ops
cluster_resolver: python(training(cluster_resolver gce_cluster_resolver kubernetes_cluster_resolver
  slurm_cluster_resolver tfconfig_cluster_resolver tpu_cluster_resolver))
summary: summary
legacy_seq2seq: python(ops(seq2seq))
cudnn_rnn: python(layers(cudnn_rnn) ops(cudnn_rnn_ops))
distribute: python(collective_all_reduce_strategy cross_tower_ops mirrored_strategy monitor one_device_strategy
  parameter_server_strategy tpu_strategy values)
estimator: python(estimator(boosted_trees dnn_with_layer_annotations early_stopping export exporter extenders head
  hooks logit_fns multi_head replicate_model_fn rnn saved_model_estimator))
tensorboard: plugins(projector)
eager: python(checkpointable_utils datasets metrics metrics_impl network parameter_server saver tfe)
mixed_precision: python(loss_scale_manager loss_scale_optimizer)
nn: python(ops(alpha_dropout cross_entropy fwd_gradients sampling_ops scaled_softplus))
util: loader
feature_column: python(feature_column(sequence_feature_column))
saved_model: python(saved_model(keras_saved_model reader))
predictor: contrib_estimator_predictor core_estimator_predictor predictor predictor_factories saved_model_predictor
checkpoint: python(containers python_state split_dependency visualize)
compiler: jit xla
stateless:
staging:
all_reduce: python(all_reduce)
autograph:
quantize: python
distributions: python(ops(autoregressive batch_reshape bijectors binomial cauchy chi2 conditional_distribution
  conditional_transformed_distribution deterministic distribution_util estimator geometric gumbel half_normal
  independent inverse_gamma kumaraswamy logistic mixture mixture_same_family moving_stats mvn_diag
  mvn_diag_plus_low_rank mvn_full_covariance mvn_linear_operator mvn_tril negative_binomial normal_conjugate_posteriors
  onehot_categorical poisson poisson_lognormal quantized_distribution relaxed_bernoulli relaxed_onehot_categorical
  sample_stats seed_stream shape sinh_arcsinh statistical_testing vector_diffeomixture vector_exponential_diag
  vector_exponential_linear_operator vector_laplace_diag vector_laplace_linear_operator vector_sinh_arcsinh_diag
  vector_student_t wishart))
factorization: python(ops(clustering_ops factorization_ops gmm gmm_ops kmeans wals))
hooks: python(training(profiler_hook))
graph_editor: edit reroute select subgraph transform util
memory_stats: ops python
signal:
proto: python
bayesflow: python
resampler: ops python
"""

# Packages of which nothing more is known: `import` finds them, what is asked of them is an error.
_FLAT = """
batching bigtable boosted_trees cloud coder constrained_optimization copy_graph decision_trees deprecated ffmpeg
fused_conv gan grid_rnn hadoop ignite image_ops input_pipeline integrate kafka keras kernel_methods kfac kinesis
labeled_tensor libsvm linalg linear_optimizer lite losses meta_graph_transform model_pruning nccl nearest_neighbor
ndlstm optimizer_v2 periodic_resample quantization receptive_field recurrent reduce_slice_ops remote_fused_graph rpc
session_bundle solvers sparsemax specs stat_summarizer stateless tensor_forest tensorrt testing text tfprof
timeseries util verbs
"""


def deep():
    """Dotted names below tensorflow.contrib, parents included."""
    found, above = set(_FLAT.split()), []
    # a(b(c) d): one more level at each bracket, a package and a colon open a line
    for word, mark in re.findall(r"(\w*)([:()]?)", _DEEP):
        if mark == ":":
            above = [word]
            found.add(word)
            continue
        if word:
            found.add(".".join([*above, word]))
        if mark == "(":
            above.append(word)
        elif mark == ")":
            above.pop()
    return found
