"""Refuses updates after which the weights themselves are combined with those of other processes, as in Adasum."""

from __future__ import annotations

from typing import Any, Iterable

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.update import Update
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.marks import is_decay

# beginnings of the types of ops that hand tensors to something outside of the graph
_OUTSIDE = ("Horovod", "Collective", "Nccl", "PyFunc", "EagerPyFunc")
_ADVICE = "Combine gradients instead, as hvd.DistributedOptimizer(optimizer, op=hvd.Average) does"


def refuse_adasum(optimizer: tf.train.Optimizer) -> None:
    """Raises UnsupportedUpdateError for an optimizer that is called Adasum."""
    if "adasum" in type(optimizer).__name__.lower():
        raise UnsupportedUpdateError(
            "%s lets each process move its own weights and combines what they moved by, a decay included, by a rule "
            "that is not linear: the rate of the decay would not be the one that is asked for. %s"
            % (type(optimizer).__name__, _ADVICE)
        )


def refuse_combined(result: Any, update: Update, optimizer: tf.train.Optimizer) -> None:
    """Raises UnsupportedUpdateError if a decaying variable is assigned what became of its own weights outside.

    A decay would go out with the weights, and what comes back of it is not known. Gradients may go out.

    result: what the optimizer's apply_gradients returned.
    """
    if not update.decays:
        return
    behind = list(graph.predecessors([getattr(result, "op", result)]))
    exchanges = [op for op in behind if op.type.startswith(_OUTSIDE)]
    if not exchanges:
        return
    assigned: dict[tf.Operation, list[tf.Tensor]] = {}
    for op in behind:
        if "Assign" in op.type and not is_decay(op):
            assigned.setdefault(graph.holder(op.inputs[0]), []).extend(list(op.inputs)[1:])
    gradients = {tensor.op for tensor in update.gradients}

    def sources(tensors: Iterable[tf.Tensor], variable: tf.Operation) -> set[tf.Operation]:
        """The ops that tensors come from, also by way of what is assigned to variables, back to a variable."""
        found = graph.ancestors(
            tensors,
            gradients | {variable},
            lambda op: assigned.get(op, ()) if graph.is_variable(op) else op.inputs,
        )
        return set(found) - gradients

    for d in update.decays:
        if d.variable.constraint is not None:
            continue  # it is assigned last, and may well call Python
        variable = graph.variable_op(d.variable)
        origins = sources(assigned.get(variable, ()), variable)
        for op in exchanges:
            if op in origins and variable in sources(op.inputs, variable):
                raise UnsupportedUpdateError(
                    "after its update, %s hands %s to %s (%s) and assigns what comes back, as Adasum does with what "
                    "the weights moved by: what becomes of a decay on the way is not known. %s"
                    % (type(optimizer).__name__, d.name, op.name, op.type, _ADVICE)
                )
