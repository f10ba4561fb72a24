"""Where names and modules outside of tf.contrib are now that later TensorFlow moved. Imports no TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import area, modules

_V1 = "tensorflow.compat.v1"
_PYTHON = "tensorflow.python."
_OURS = "tf1_wd.legacy.standins.small.core"

_OPS = area(
    _PYTHON + "framework.ops",
    # slim.batch_norm(updates_collections=None), slim.learning.create_train_op
    (_PYTHON + "framework.tensor", "Tensor"),
    (_PYTHON + "framework.indexed_slices", "IndexedSlices IndexedSlicesValue"),
    (
        _PYTHON + "framework.indexed_slices",
        "convert_to_tensor_or_indexed_slices convert_n_to_tensor_or_indexed_slices "
        "internal_convert_to_tensor_or_indexed_slices internal_convert_n_to_tensor_or_indexed_slices",
    ),
    (_PYTHON + "framework.tensor_conversion_registry", "register_tensor_conversion_function"),
    (_PYTHON + "framework.tensor_conversion", "convert_to_tensor_v2"),
    (_PYTHON + "framework.stack", "default_session"),
    (_OURS, "RegisterShape register_dense_tensor_like_type", "does nothing: TensorFlow infers shapes in C++"),
    since="2.0 to 2.13",
)

_CONTROL_FLOW = area(
    _PYTHON + "ops.control_flow_ops",
    # slim.tfexample_decoder, slim.losses.metric_learning, slim.metrics
    (_PYTHON + "ops.control_flow_case", "case"),
    (_PYTHON + "ops.cond", "cond"),
    (_PYTHON + "ops.while_loop", "while_loop"),
    (_PYTHON + "ops.control_flow_assert", "Assert"),
    (_PYTHON + "ops.control_flow_switch_case", "switch_case"),
    since="2.13",
)

_VARIABLES = (
    area(
        _PYTHON + "ops.variables",
        (_PYTHON + "ops.variable_v1", "VariableV1 is_variable_initialized"),
        (_PYTHON + "ops.ref_variable", "RefVariable"),
        since="2.13",
    )
    # slim.local_variable, slim.global_variable
    + area(_PYTHON + "ops.variable_scope", (_PYTHON + "ops.variable_v1", "variable=VariableV1"), since="2.13")
    + area(
        _PYTHON + "ops.variable_scope",
        (_V1, "disable_resource_variables enable_resource_variables resource_variables_enabled"),
        since="2.13",
    )
)

_OTHERS = (
    area(_PYTHON + "ops.array_ops", (_PYTHON + "ops.array_ops_stack", "stack unstack"), since="2.13")
    + area(_PYTHON + "ops.random_ops", (_PYTHON + "ops.random_crop_ops", "random_crop"), since="2.13")
    + area(
        _PYTHON + "ops.nn",
        (_PYTHON + "ops.rnn", "bidirectional_dynamic_rnn dynamic_rnn raw_rnn static_rnn static_state_saving_rnn"),
        since="2.13",
    )
    + area(
        _PYTHON + "ops.standard_ops",
        (_PYTHON + "ops.variable_v1", "VariableV1"),
        (_PYTHON + "ops.array_ops_stack", "stack unstack"),
        (_PYTHON + "ops.random_crop_ops", "random_crop"),
        since="2.13",
    )
    + area(_PYTHON + "framework.tensor_shape", (_OURS, "scalar vector matrix"), since="2.0")
    + area(_PYTHON + "framework.graph_util", (_V1 + ":graph_util", "convert_variables_to_constants"), since="2.13")
    + area(_PYTHON + "framework.graph_util_impl", (_V1 + ":graph_util", "convert_variables_to_constants"), since="2.13")
    + area(_PYTHON + "util.nest", (_PYTHON + "util.nest", "is_sequence=is_nested"), since="2.13")
    + area(_PYTHON + "data.util.nest", (_PYTHON + "data.util.nest", "is_sequence=is_nested"), since="2.13")
    + area(
        _PYTHON + "ops.rnn_cell_impl",
        ("tf1_wd.legacy.standins.rnn.linear", "_Linear _linear _like_rnncell"),
        since="1.13",
    )
    + area(_PYTHON + "pywrap_tensorflow", (_V1 + ":train", "NewCheckpointReader"), since="2.2")
)

_ESTIMATOR = "estimator estimator_lib exporter gc model_fn run_config training util canned export inputs"
_CANNED = "baseline dnn dnn_linear_combined head linear metric_keys optimizers parsing_utils prediction_keys"

# Modules as a whole, under both names
MODULES = {
    move.old: move.new
    for move in (
        modules(
            ("tensorflow.pywrap_tensorflow", _PYTHON + "pywrap_tensorflow"),
            (_PYTHON + "training.training_ops", _PYTHON + "ops.gen_training_ops"),
            (_PYTHON + "training.gen_training_ops", _PYTHON + "ops.gen_training_ops"),
            (_PYTHON + "training.distribute", _PYTHON + "distribute.distribute_lib"),
            (_PYTHON + "training.distribution_strategy_context", _PYTHON + "distribute.distribute_lib"),
            (_PYTHON + "distribute.distribution_strategy_context", _PYTHON + "distribute.distribute_lib"),
            (_PYTHON + "distribute.all_reduce", _PYTHON + "distribute.v1.all_reduce"),
            (_PYTHON + "training.tracking", _PYTHON + "trackable"),
            (_PYTHON + "training.tracking.base", _PYTHON + "trackable.base"),
            (_PYTHON + "training.tracking.data_structures", _PYTHON + "trackable.data_structures"),
            (_PYTHON + "training.tracking.python_state", _PYTHON + "trackable.python_state"),
            (_PYTHON + "estimator", "tensorflow_estimator.python.estimator"),
            *[(_PYTHON + "estimator." + n, "tensorflow_estimator.python.estimator." + n) for n in _ESTIMATOR.split()],
            *[
                (_PYTHON + "estimator.canned." + n, "tensorflow_estimator.python.estimator.canned." + n)
                for n in _CANNED.split()
            ],
        )
    )
}

# All are at their old place in 1.15.5, and gone in 2.15.1 or 2.21.0.
ROWS = _OPS + _CONTROL_FLOW + _VARIABLES + _OTHERS
