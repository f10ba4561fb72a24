"""Names that TF1 code uses and later TensorFlow moved: where they were, where they are now.

The list is what tf-slim 1.1.0 uses. All are at their old place in 1.15.5, and gone from it in 2.15.1 and 2.21.0.
Imports no TensorFlow.
"""

from __future__ import annotations

from typing import NamedTuple


class Move(NamedTuple):
    """What code expects as `old`.`name` is now `new`, "module:name"."""

    old: str
    name: str
    new: str


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
