"""Where names and modules outside of tf.contrib are now that later TensorFlow moved. Imports no TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.tables.moves import rows

# All are at their old place in 1.15.5, and gone in 2.15.1 or 2.21.0.
ROWS = rows("""
tensorflow.python.framework.ops since 2.0 to 2.13
  # the class of a graph's tensors: programs compare type(x) with it
  tensorflow.python.framework.ops: Tensor=SymbolicTensor
  tensorflow.python.framework.indexed_slices: IndexedSlices IndexedSlicesValue convert_to_tensor_or_indexed_slices
    convert_n_to_tensor_or_indexed_slices internal_convert_to_tensor_or_indexed_slices
    internal_convert_n_to_tensor_or_indexed_slices
  tensorflow.python.framework.tensor_conversion_registry: register_tensor_conversion_function
  tensorflow.python.framework.tensor_conversion: convert_to_tensor_v2
  tensorflow.python.framework.stack: default_session
  # does nothing: TensorFlow infers shapes in C++
  ours.small.core: RegisterShape register_dense_tensor_like_type
tensorflow.python.ops.control_flow_ops since 2.13
  tensorflow.python.ops.control_flow_case: case
  tensorflow.python.ops.cond: cond
  tensorflow.python.ops.while_loop: while_loop
  tensorflow.python.ops.control_flow_assert: Assert
  tensorflow.python.ops.control_flow_switch_case: switch_case
tensorflow.python.ops.variables since 2.13
  tensorflow.python.ops.variable_v1: VariableV1 is_variable_initialized
  tensorflow.python.ops.ref_variable: RefVariable
tensorflow.python.ops.variable_scope since 2.13
  tensorflow.python.ops.variable_v1: variable=VariableV1
  v1: disable_resource_variables enable_resource_variables resource_variables_enabled
tensorflow.python.ops.array_ops since 2.13
  tensorflow.python.ops.array_ops_stack: stack unstack
tensorflow.python.ops.random_ops since 2.13
  tensorflow.python.ops.random_crop_ops: random_crop
tensorflow.python.ops.nn since 2.13
  tensorflow.python.ops.rnn: bidirectional_dynamic_rnn dynamic_rnn raw_rnn static_rnn static_state_saving_rnn
tensorflow.python.ops.standard_ops since 2.13
  tensorflow.python.ops.variable_v1: VariableV1
  tensorflow.python.ops.array_ops_stack: stack unstack
  tensorflow.python.ops.random_crop_ops: random_crop
tensorflow.python.framework.tensor_shape
  ours.small.core: scalar vector matrix
tensorflow.python.framework.graph_util since 2.13
  v1:graph_util. convert_variables_to_constants
tensorflow.python.framework.graph_util_impl since 2.13
  v1:graph_util. convert_variables_to_constants
tensorflow.python.util.nest since 2.13
  tensorflow.python.util.nest: is_sequence=is_nested
tensorflow.python.data.util.nest since 2.13
  tensorflow.python.data.util.nest: is_sequence=is_nested
tensorflow.python.ops.rnn_cell_impl since 1.13
  ours.rnn.linear: _Linear _linear _like_rnncell
tensorflow.python.pywrap_tensorflow since 2.2
  v1:train. NewCheckpointReader
""")

# Modules as a whole, under both names
MODULES = {
    row.old: row.new
    for row in rows("""
tensorflow
  tensorflow.python. pywrap_tensorflow
tensorflow.python.training
  tensorflow.python.ops. training_ops=gen_training_ops gen_training_ops
  tensorflow.python.distribute. distribute=distribute_lib distribution_strategy_context=distribute_lib
  tensorflow.python. tracking=trackable
tensorflow.python.distribute
  tensorflow.python.distribute. distribution_strategy_context=distribute_lib
  tensorflow.python.distribute.v1. all_reduce
tensorflow.python.training.tracking
  tensorflow.python.trackable. base data_structures python_state
tensorflow.python.data.experimental.ops
  ours.data. threadpool
tensorflow.python.tpu
  tensorflow_estimator.python.estimator.tpu. tpu_config tpu_context tpu_estimator
tensorflow.python
  tensorflow_estimator.python. estimator
tensorflow.python.estimator
  tensorflow_estimator.python.estimator. estimator estimator_lib exporter gc model_fn run_config training util canned
    export inputs
tensorflow.python.estimator.canned
  tensorflow_estimator.python.estimator.canned. baseline dnn dnn_linear_combined head linear metric_keys optimizers
    parsing_utils prediction_keys
""")
}
