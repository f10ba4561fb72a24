"""Where the names of tf.contrib.training, opt, learn, tpu, estimator, distribute and more are now. No TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import rows

ROWS = rows("""
tensorflow.contrib.training
  ours.training.hparam: HParams parse_values
  tf_slim.training.training: add_gradients_summaries clip_gradient_norms clip_gradient_norms_fn create_train_op
    multiply_gradients train
  tf_slim.training.evaluation: StopAfterNEvalsHook SummaryAtEndHook checkpoints_iterator evaluate_once
    evaluate_repeatedly get_or_create_eval_step wait_for_new_checkpoint
  ours.training.devices: GreedyLoadBalancingStrategy RandomStrategy byte_size_load_fn
tensorflow.contrib.opt
  # decays all that it should, in one order
  tf1_wd.optimizers: AdamWOptimizer DecoupledWeightDecayExtension MomentumWOptimizer
    extend_with_decoupled_weight_decay
  ours.training.optimizers: AdaMaxOptimizer LazyAdamOptimizer NadamOptimizer
  ours.training.optimizer_wrappers: MovingAverageOptimizer MultitaskOptimizerWrapper VariableClippingOptimizer
    clip_gradients_by_global_norm
  ours.training.scipy_optimizer: ExternalOptimizerInterface ScipyOptimizerInterface
tensorflow.contrib.mixed_precision
  ours.training.mixed_precision: ExponentialUpdateLossScaleManager FixedLossScaleManager LossScaleManager
    LossScaleOptimizer
tensorflow.contrib.learn
  # over tf.estimator
  ours.training.learn_estimator: DNNClassifier DNNLinearCombinedClassifier DNNLinearCombinedRegressor DNNRegressor
    Estimator Experiment LinearClassifier LinearRegressor ModeKeys ModelFnOps RunConfig
  v1:train. NanLossDuringTrainingError
tensorflow.contrib.learn.learn_runner
  ours.training.learn_estimator: run
tensorflow.contrib.learn.preprocessing
  ours.data.vocabulary: VocabularyProcessor CategoricalVocabulary ByteProcessor
tensorflow.contrib.learn.datasets
  ours.data.datasets: load_dataset load_iris load_boston
  ours.data. mnist base=datasets
tensorflow.contrib.learn.python.learn.datasets
  ours.data. mnist base=datasets
tensorflow.contrib.learn.python.learn
  ours.data. preprocessing=vocabulary
  ours.training. learn_runner=learn_estimator
tensorflow.contrib.learn.python.learn.preprocessing
  ours.data. text=vocabulary categorical_vocabulary=vocabulary
tensorflow.examples.tutorials.mnist
  ours.data. input_data=mnist
tensorflow.contrib.tpu
  # with use_tpu=False: there is no TPU behind it
  v1:estimator.tpu. InputPipelineConfig RunConfig TPUConfig TPUEstimator TPUEstimatorSpec
  v1:tpu. CrossShardOptimizer batch_parallel bfloat16_scope cross_replica_sum initialize_system outside_compilation
    replicate rewrite shard shutdown_system
  tensorflow.python.tpu.training_loop: repeat while_loop
  tensorflow.python.tpu.device_assignment: DeviceAssignment device_assignment
  tensorflow.python.tpu.topology: Topology
tensorflow.contrib.tpu.python.tpu
  tensorflow.python.tpu. tpu_function
tensorflow.contrib.tpu.python.ops
  tensorflow.python.tpu.ops. tpu_ops
tensorflow.contrib.cluster_resolver
  tensorflow.python.distribute.cluster_resolver.cluster_resolver: ClusterResolver SimpleClusterResolver
    UnionClusterResolver
  tensorflow.python.distribute.cluster_resolver.tfconfig_cluster_resolver: TFConfigClusterResolver
  tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver: SlurmClusterResolver
  tensorflow.python.distribute.cluster_resolver.gce_cluster_resolver: GCEClusterResolver
  tensorflow.python.distribute.cluster_resolver.kubernetes_cluster_resolver: KubernetesClusterResolver
  v1:distribute.cluster_resolver. TPUClusterResolver
tensorflow.contrib.distribute
  ours.training.distribute: MirroredStrategy OneDeviceStrategy
  v1:distribute.experimental. CollectiveAllReduceStrategy=MultiWorkerMirroredStrategy ParameterServerStrategy
  v1:distribute. CrossDeviceOps ReplicaContext get_loss_reduction get_replica_context get_strategy has_strategy
    in_cross_replica_context DistributionStrategy=Strategy
  tensorflow.python.distribute.cross_device_ops: AllReduceCrossDeviceOps
tensorflow.contrib.estimator
  v1:estimator. add_metrics
  ours.training.extenders: clip_gradients_by_norm forward_features
tensorflow.contrib.estimator since 1.15
  # of releases up to 1.11
  v1:estimator.experimental. InMemoryEvaluatorHook make_early_stopping_hook stop_if_higher_hook stop_if_lower_hook
    stop_if_no_decrease_hook stop_if_no_increase_hook
  # of releases up to 1.13
  v1:estimator. DNNEstimator LinearEstimator DNNLinearCombinedEstimator
""")
