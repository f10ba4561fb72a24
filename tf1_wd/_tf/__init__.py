"""The only folder that imports TensorFlow, and the only one that touches its private names.

Each private name is listed where it is used: checked on the versions in TESTED, or on those that stand beside it.
"""

from __future__ import annotations

import gc

from tf1_wd.errors import MissingPackageError

try:
    import tensorflow  # noqa: F401, alone: another error of its import is told as it is
except ModuleNotFoundError as error:
    if error.name != "tensorflow":
        raise
    raise MissingPackageError.of("tf1_wd", "tensorflow") from None
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import session as session_module
from tensorflow.python.framework import smart_cond
from tensorflow.python.ops import control_flow_util, gradients_util, resource_variable_ops

from tf1_wd._tf.patches import patched_apply_gradients, patched_attribute, patched_gradients, patched_sessions

__all__ = ["TESTED", "patched_apply_gradients", "patched_attribute", "patched_gradients", "patched_sessions", "tf"]
TESTED = ("1.15.5", "2.15.1", "2.21.0")  # of TensorFlow; tests/test_versions.py holds docs and CI to these

_gradients_helper = gradients_util._GradientsHelper
SavedModel = saved_model_pb2.SavedModel  # private: tensorflow.core.protobuf


def is_resource(variable):
    """True for a resource variable. Private: resource_variable_ops.is_resource_variable."""
    return resource_variable_ops.is_resource_variable(variable)


def operand(variable):
    """What an op that updates `variable` takes: its handle, or the reference itself. Private: RefVariable._ref."""
    return variable.handle if is_resource(variable) else variable._ref()


def copies(variable):
    """The copies of a variable on the replicas of a distribution strategy; elsewhere the variable alone.

    variable: the strategy's own, or one of its copies. Private: _distributed_container, a weak reference from a copy to
    the strategy's variable.
    """
    if not tf.distribute.has_strategy():
        return (variable,)
    container = getattr(variable, "_distributed_container", None)
    variable = variable if container is None else container()
    return tf.distribute.get_strategy().experimental_local_results(variable)


def loss_functions(layer):
    """The functions that a layer of Keras 2 adds to the loss, a list that may be changed; None in Keras 3.

    Private: Layer._callable_losses.
    """
    return getattr(layer, "_callable_losses", None)


def builds_a_graph():
    """True where a session runs what is built; False in eager mode, and in the tf.functions that it calls."""
    with tf.init_scope():  # out of a tf.function, but not of a tf.Graph
        return not tf.executing_eagerly()


def in_replica():
    """True in a function that a distribution strategy runs once per replica."""
    return tf.distribute.has_strategy() and tf.distribute.get_replica_context() is not None


def distributed_apply(optimizer, strategy, grads_and_vars, global_step, name):
    """The cross-replica part of apply_gradients, for values that the strategy has put together."""
    # private: Optimizer._distributed_apply
    return optimizer._distributed_apply(strategy, grads_and_vars, global_step, name)


def constant_value(tensor):
    """The value of a tensor that depends on constants alone, as a NumPy array, else None; opens no session."""
    # private: smart_cond.smart_constant_value
    return smart_cond.smart_constant_value(tensor)


def collection_tensor(entry):
    """The tensor behind an entry of a loss collection, adding no op to the graph where there is one already.

    Private: _LazyEvalTensor._master_tensor, what `get_variable(regularizer=)` collects (2.15.1, 2.21.0).
    """
    master = getattr(entry, "_master_tensor", None)
    return tf.convert_to_tensor(entry) if master is None else master


def control_flow_context(op):
    """The branch of a cond or the body of a while loop that holds `op`; None outside of all."""
    # private: Operation._get_control_flow_context
    return op._get_control_flow_context()


def predicate(op):
    """What decides whether the branch runs that holds `op`; None outside. Private: CondContext.pred."""
    return getattr(control_flow_context(op), "pred", None)


def awaited(op):
    """What ops made now can wait for so that `op` runs before them: a list of one op, or of none.

    Outside of branches and loops that is `op`; in a function, which waits for its arguments, `op`'s value as one of
    them. There is none for an op in another branch, loop or function, and in a loop for one outside of it.

    Private: Graph._get_control_flow_context, FuncGraph.outer_graph, control_flow_util.GetContainingWhileContext,
    GetOutputContext (what a loop hands out is outside of it).
    """
    here = tf.get_default_graph()
    inner, outer = here._get_control_flow_context(), control_flow_util.GetOutputContext(op)
    if op.graph is here:
        waits = inner is outer or (outer is None and control_flow_util.GetContainingWhileContext(inner) is None)
        return [op] if waits else []
    around = here
    while around is not None and around is not op.graph:
        around = getattr(around, "outer_graph", None)
    return [] if around is None or outer is not None or not op.outputs else [tf.identity(op.outputs[0]).op]


def is_function(op):
    """True for a call of a function.Defun by its name. Private: Graph._is_function."""
    return op.graph._is_function(op.type)


def outer(tensor):
    """The tensor outside of a function body that `tensor`, an argument of the body, stands for; others are themselves.

    Private: FuncGraph.captures.
    """
    while tensor.op.type == "Placeholder" and hasattr(tensor.graph, "captures"):
        found = next((outside for outside, inside in tensor.graph.captures if inside is tensor), None)
        if not hasattr(found, "op"):
            break
        tensor = found
    return tensor


def outer_op(op):
    """The op whose output an argument of a function body stands for (see `outer`); others are themselves."""
    return outer(op.outputs[0]).op if op.type == "Placeholder" else op


def add_control_inputs(op, control_inputs):
    """Makes an existing op wait for others. Private: Operation._add_control_inputs."""
    op._add_control_inputs(control_inputs)


def finish_of(optimizer):
    """The optimizer's hook that closes an update: `finish(update_ops, name_scope) -> op`.

    Private: Optimizer._finish, an override point that subclasses use too.
    """
    return optimizer._finish


def patched_finish(optimizer, finish):
    """Context manager: `finish` takes the place of the optimizer's own hook (see `finish_of`)."""
    return patched_attribute(optimizer, "_finish", finish)


def learning_rate(optimizer):
    """The optimizer's own current learning rate: a float or a Tensor; None if it keeps none.

    Private: Optimizer._lr or ._learning_rate, set by the constructors of every optimizer of tf.train. The tensor made
    by _prepare() does not exist yet when a decay goes before the update. Of Keras 2: OptimizerV2._decayed_lr, which
    follows its schedule and its `decay`.
    """
    for name in ("_lr", "_learning_rate"):
        rate = getattr(optimizer, name, None)
        if rate is not None:
            return rate() if callable(rate) else rate
    return optimizer._decayed_lr(tf.float32) if hasattr(optimizer, "_decayed_lr") else None


class ScratchSession(tf.Session):
    """A session that `patched_sessions` does not hear. Private: BaseSession._do_run."""

    _do_run = session_module.BaseSession._do_run


def sessions_of(graph):
    """The sessions on a graph that are still held somewhere; TensorFlow keeps no list of them."""
    return [o for o in gc.get_objects() if issubclass(type(o), tf.Session) and o.graph is graph]


def outermost(graph):
    """The graph of the program that holds `graph`, a function's body, or is it. Private: FuncGraph.outer_graph."""
    while getattr(graph, "outer_graph", None) is not None:
        graph = graph.outer_graph
    return graph


def gradients(ys, xs, grad_ys=None, stop_gradients=None):
    """tf.gradients, never through `patched_gradients`."""
    return _gradients_helper(ys, xs, grad_ys=grad_ys, stop_gradients=stop_gradients)


def unfinalized(graph):
    """Context manager: ops may be added to a finalized graph. Private: Graph._finalized."""
    return patched_attribute(graph, "_finalized", False)


def fresh_read(variable):
    """A new read of `variable` that obeys the control dependencies in force; `value()` may be an older, cached one."""
    return variable.read_value() if is_resource(variable) else tf.identity(operand(variable))
