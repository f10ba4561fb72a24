"""Which variables stand behind a tensor, and what they are called."""

from __future__ import annotations

from typing import Any

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import GATES, JOINS, READS, REARRANGEMENTS, VARIABLES
from tf1_wd.plan.same_variable import copies_of


def is_variable(op: tf.Operation) -> bool:
    """True for the op that holds a reference variable or makes the handle of a resource variable."""
    return op.type in VARIABLES


def variable_op(x: tf.Variable | tf.Tensor) -> tf.Operation:
    """The op that holds the variable `x`: a tf.Variable, its handle, its reference, or a read of it; else None."""
    handle = getattr(x, "handle", None)
    if handle is not None:
        return handle.op
    if hasattr(x, "op") and is_variable(x.op):
        return x.op
    return read_source(x) if hasattr(x, "value_index") else None


def holder(tensor: tf.Tensor) -> tf.Operation:
    """The op at the other end of `tensor`, seen through the gates of conds and loops."""
    op = tensor.op
    while op.type in GATES:
        op = op.inputs[0].op
    return op


def read_source(tensor: tf.Tensor) -> tf.Operation | None:
    """The variable that `tensor` is a plain read of (through identities and casts), as its op; else None."""
    op = _tf.outer_op(tensor.op)
    while op.type in READS and op.inputs:
        op = _tf.outer_op(op.inputs[0].op)
    return op if is_variable(op) else None


def variables_behind(tensor: tf.Tensor) -> list[tf.Operation] | None:
    """The variables that `tensor` consists of, one entry an occurrence; None if anything else goes into it.

    A tensor consists of variables when it is made of them by reads, casts, reshapes and concatenations.
    """
    found, pending = [], [tensor]
    while pending:
        op = _tf.outer_op(pending.pop().op)
        if is_variable(op):
            found.append(op)
        elif (op.type in READS or op.type in REARRANGEMENTS) and op.inputs:
            pending.append(op.inputs[0])
        elif op.type in JOINS:
            pending.extend(op.inputs[JOINS[op.type]])
        else:
            return None
    return found


def checkpoint_name(variable: tf.Variable) -> str:
    """The variable's name in checkpoints: without the output number."""
    return variable_op(_tf.copies(variable)[0]).name


def dims_of(shape: Any) -> tuple[int | None, ...]:
    """What tf.TensorShape takes, as plan.decisions.Trained has it: None for what is not known of it."""
    shape = tf.TensorShape(shape)
    return tuple(shape.as_list()) if shape.rank is not None else (None,)


def size_of(variable: tf.Operation) -> int | None:
    """The number of elements of a variable (its op); None where that is not known."""
    return tf.TensorShape(variable.get_attr("shape")).num_elements()


def trainable_variables(tf_graph: tf.Graph) -> list[tf.Variable]:
    """The trainable variables of a graph, each of a strategy's or a partitioned one on its own."""
    found: dict[tf.Operation, tf.Variable] = {}
    for v in tf_graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES):
        for part in copies_of(v):
            found.setdefault(variable_op(part), part)
    return list(found.values())


def later_copies(tf_graph: tf.Graph) -> set[tf.Operation]:
    """The ops of all copies of a strategy's variables, but for the first of each."""
    trainable = tf_graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)
    return {variable_op(copy) for v in trainable for copy in copies_of(v)[1:]}
