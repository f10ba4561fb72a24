"""Names that TF1 code uses and later TensorFlow moved, and modules that it took away. Imports no TensorFlow."""

from __future__ import annotations

from typing import NamedTuple


class Move(NamedTuple):
    """What code expects as `old`.`name` is now `new`, "module:name"."""

    old: str
    name: str
    new: str


# What tf-slim 1.1.0 uses. All are at their old place in 1.15.5, and gone from it in 2.15.1 and 2.21.0.
MOVES = (
    # slim.batch_norm(updates_collections=None), slim.learning.create_train_op
    Move("tensorflow.python.framework.ops", "Tensor", "tensorflow.python.framework.tensor:Tensor"),
    Move(
        "tensorflow.python.framework.ops", "IndexedSlices", "tensorflow.python.framework.indexed_slices:IndexedSlices"
    ),
    # slim.tfexample_decoder
    Move("tensorflow.python.ops.control_flow_ops", "case", "tensorflow.python.ops.control_flow_case:case"),
    Move("tensorflow.python.ops.control_flow_ops", "cond", "tensorflow.python.ops.cond:cond"),
    Move("tensorflow.python.ops.array_ops", "stack", "tensorflow.python.ops.array_ops_stack:stack"),
    # slim.layers.legacy_relu
    Move("tensorflow.python.ops.array_ops", "unstack", "tensorflow.python.ops.array_ops_stack:unstack"),
    # slim.losses.metric_learning, slim.metrics
    Move("tensorflow.python.ops.control_flow_ops", "while_loop", "tensorflow.python.ops.while_loop:while_loop"),
    Move("tensorflow.python.ops.control_flow_ops", "Assert", "tensorflow.python.ops.control_flow_assert:Assert"),
    # slim.local_variable, slim.global_variable
    Move("tensorflow.python.ops.variable_scope", "variable", "tensorflow.python.ops.variable_v1:VariableV1"),
)


class Gone(NamedTuple):
    """`module` is gone without a successor; without it there is no `what`."""

    module: str
    what: str


# What tensorflow-estimator 2.15.0 imports. All are there in 1.15.5 and 2.15.1, and gone in 2.21.0.
GONE = (
    Gone("tensorflow.python.distribute.estimator_training", "distribution strategy in tf.estimator"),
    Gone("tensorflow.python.tpu.session_support", "TPUEstimator"),
    Gone("tensorflow.python.tpu.tpu_embedding", "embedding of TPUEstimator"),
    Gone("tensorflow.python.tpu.tpu_embedding_gradient", "embedding of TPUEstimator"),
)
