"""Where the names of tf.contrib.training, opt, learn, tpu, estimator, distribute and more are now. No TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import area, modules

_V1 = "tensorflow.compat.v1"
_ESTIMATOR = "tensorflow.compat.v1:estimator"
_OURS = "tf1_wd.legacy.standins."

TRAINING = area(
    "tensorflow.contrib.training",
    (_OURS + "training.hparam", "HParams parse_values"),
    (
        "tf_slim.training.training",
        "add_gradients_summaries clip_gradient_norms clip_gradient_norms_fn create_train_op multiply_gradients train",
    ),
    (
        "tf_slim.training.evaluation",
        "StopAfterNEvalsHook SummaryAtEndHook checkpoints_iterator evaluate_once evaluate_repeatedly "
        "get_or_create_eval_step wait_for_new_checkpoint",
    ),
    (_OURS + "training.devices", "GreedyLoadBalancingStrategy RandomStrategy byte_size_load_fn"),
)

OPT = area(
    "tensorflow.contrib.opt",
    (
        "tf1_wd.optimizers",
        "AdamWOptimizer DecoupledWeightDecayExtension MomentumWOptimizer extend_with_decoupled_weight_decay",
        "decays all that it should, in one order",
    ),
    (_OURS + "training.optimizers", "AdaMaxOptimizer LazyAdamOptimizer NadamOptimizer"),
    (
        _OURS + "training.optimizer_wrappers",
        "MovingAverageOptimizer MultitaskOptimizerWrapper VariableClippingOptimizer clip_gradients_by_global_norm",
    ),
    (_OURS + "training.scipy_optimizer", "ExternalOptimizerInterface ScipyOptimizerInterface"),
)

MIXED_PRECISION = area(
    "tensorflow.contrib.mixed_precision",
    (
        _OURS + "training.mixed_precision",
        "ExponentialUpdateLossScaleManager FixedLossScaleManager LossScaleManager LossScaleOptimizer",
    ),
)

LEARN = (
    area(
        "tensorflow.contrib.learn",
        (
            _OURS + "training.learn_estimator",
            "DNNClassifier DNNLinearCombinedClassifier DNNLinearCombinedRegressor DNNRegressor Estimator Experiment "
            "LinearClassifier LinearRegressor ModeKeys ModelFnOps RunConfig",
            "over tf.estimator",
        ),
        (_V1 + ":train", "NanLossDuringTrainingError"),
    )
    + area("tensorflow.contrib.learn.learn_runner", (_OURS + "training.learn_estimator", "run"))
    + area(
        "tensorflow.contrib.learn.preprocessing",
        (_OURS + "data.vocabulary", "VocabularyProcessor CategoricalVocabulary"),
    )
    + area("tensorflow.contrib.learn.preprocessing", (_OURS + "data.vocabulary", "ByteProcessor"))
    + area(
        "tensorflow.contrib.learn.datasets",
        (_OURS + "data.datasets", "load_dataset load_iris load_boston"),
    )
    + modules(
        ("tensorflow.contrib.learn.datasets.mnist", _OURS + "data.mnist"),
        ("tensorflow.contrib.learn.datasets.base", _OURS + "data.datasets"),
        ("tensorflow.contrib.learn.python.learn.datasets.mnist", _OURS + "data.mnist"),
        ("tensorflow.contrib.learn.python.learn.datasets.base", _OURS + "data.datasets"),
        ("tensorflow.contrib.learn.python.learn.preprocessing", _OURS + "data.vocabulary"),
        ("tensorflow.contrib.learn.python.learn.preprocessing.text", _OURS + "data.vocabulary"),
        (
            "tensorflow.contrib.learn.python.learn.preprocessing.categorical_vocabulary",
            _OURS + "data.vocabulary",
        ),
        ("tensorflow.contrib.learn.python.learn.learn_runner", _OURS + "training.learn_estimator"),
    )
)

EXAMPLES = modules(
    ("tensorflow.examples.tutorials.mnist.input_data", _OURS + "data.mnist"),
)

TPU = area(
    "tensorflow.contrib.tpu",
    (
        _ESTIMATOR + ".tpu",
        "InputPipelineConfig RunConfig TPUConfig TPUEstimator TPUEstimatorSpec",
        "with use_tpu=False: there is no TPU behind it",
    ),
    (
        _V1 + ":tpu",
        "CrossShardOptimizer batch_parallel bfloat16_scope cross_replica_sum initialize_system outside_compilation "
        "replicate rewrite shard shutdown_system",
    ),
    ("tensorflow.python.tpu.training_loop", "repeat while_loop"),
    ("tensorflow.python.tpu.device_assignment", "DeviceAssignment device_assignment"),
    ("tensorflow.python.tpu.topology", "Topology"),
) + modules(
    ("tensorflow.contrib.tpu.python.tpu.tpu_function", "tensorflow.python.tpu.tpu_function"),
    ("tensorflow.contrib.tpu.python.ops.tpu_ops", "tensorflow.python.tpu.ops.tpu_ops"),
)

CLUSTER_RESOLVER = area(
    "tensorflow.contrib.cluster_resolver",
    (
        "tensorflow.python.distribute.cluster_resolver.cluster_resolver",
        "ClusterResolver SimpleClusterResolver UnionClusterResolver",
    ),
    ("tensorflow.python.distribute.cluster_resolver.tfconfig_cluster_resolver", "TFConfigClusterResolver"),
    ("tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver", "SlurmClusterResolver"),
    ("tensorflow.python.distribute.cluster_resolver.gce_cluster_resolver", "GCEClusterResolver"),
    ("tensorflow.python.distribute.cluster_resolver.kubernetes_cluster_resolver", "KubernetesClusterResolver"),
    (_V1 + ":distribute.cluster_resolver", "TPUClusterResolver"),
)

DISTRIBUTE = area(
    "tensorflow.contrib.distribute",
    (_OURS + "training.distribute", "MirroredStrategy OneDeviceStrategy"),
    (_V1 + ":distribute.experimental", "CollectiveAllReduceStrategy=MultiWorkerMirroredStrategy"),
    (_V1 + ":distribute.experimental", "ParameterServerStrategy"),
    (
        _V1 + ":distribute",
        "CrossDeviceOps ReplicaContext get_loss_reduction get_replica_context get_strategy has_strategy",
    ),
    (_V1 + ":distribute", "in_cross_replica_context DistributionStrategy=Strategy"),
    ("tensorflow.python.distribute.cross_device_ops", "AllReduceCrossDeviceOps"),
)

ESTIMATOR = area(
    "tensorflow.contrib.estimator",
    (_ESTIMATOR, "add_metrics"),
    (_OURS + "training.extenders", "clip_gradients_by_norm forward_features"),
) + area(
    "tensorflow.contrib.estimator",
    (
        _ESTIMATOR + ".experimental",
        "InMemoryEvaluatorHook make_early_stopping_hook stop_if_higher_hook stop_if_lower_hook "
        "stop_if_no_decrease_hook stop_if_no_increase_hook",
        "of releases up to 1.11",
    ),
    (_ESTIMATOR, "DNNEstimator LinearEstimator DNNLinearCombinedEstimator", "of releases up to 1.13"),
    since="1.15",
)

ROWS = TRAINING + OPT + MIXED_PRECISION + LEARN + EXAMPLES + TPU + CLUSTER_RESOLVER + DISTRIBUTE + ESTIMATOR
