"""Whether anything counts the global step that a scale follows."""

from __future__ import annotations

import warnings
from typing import Iterable

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.errors import Tf1WdWarning
from tf1_wd.graph.assignments import written_variable
from tf1_wd.plan.options import Rules
from tf1_wd.plan.same_variable import copies_of


def warn_of_uncounted(rules: Rules, updates: Iterable[AppliedUpdate], stacklevel: int) -> None:
    """Warns if the option scale= follows the global step of a graph, and nothing there assigns it so far."""
    if isinstance(rules.scale, (str, float)):  # of the learning rate the program says itself what it follows
        return
    graphs: dict[tf.Graph, list[tf.Tensor]] = {}
    for applied in updates:
        if not isinstance(applied.scale, float):
            graphs.setdefault(_tf.outermost(applied.graph), []).append(applied.scale)
    for tf_graph, scales in graphs.items():
        behind = map(_tf.outer_op, graph.ancestors(scales, inputs=graph.sources))
        for counter in _counters(tf_graph).intersection(behind):
            if not any(_assigns(op, counter) for op in tf_graph.get_operations()):
                warnings.warn(
                    "scale= follows the global step, and so far nothing in the graph counts %s, so that it would stay "
                    "what it is in the first step: pass global_step= to minimize or apply_gradients, or increment it"
                    % counter.name,
                    Tf1WdWarning,
                    stacklevel=stacklevel + 1,
                )


def _counters(tf_graph: tf.Graph) -> set[tf.Operation]:
    """The ops of the variable that is the global step of a graph, one for each of its copies on replicas."""
    counters = tf_graph.get_collection(tf.GraphKeys.GLOBAL_STEP)
    return {graph.variable_op(copy) for counter in counters for copy in copies_of(counter)}


def _assigns(op: tf.Operation, variable: tf.Operation) -> bool:
    """True for an op that assigns a variable, or may: not for its initial value and that of a checkpoint."""
    if op.type in graph.CALLS:  # what its function does with a variable is not looked at
        return any(graph.holder(tensor) is variable for tensor in op.inputs)
    if written_variable(op) is not variable:
        return False
    behind = graph.ancestors(list(op.inputs)[1:])
    if any("Restore" in o.type for o in behind):
        return False
    is_initial = op.type in ("Assign", "AssignVariableOp")
    return not is_initial or any(graph.is_variable(o) or graph.is_input(o) for o in behind)
