"""Reads a train_op that exists: which variables are updated behind it, with which gradients."""

from __future__ import annotations

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import UnsupportedUpdateError

_ASSIGNMENTS = ("Assign", "AssignSub", "AssignAdd", "ScatterSub", "ScatterAdd", "ScatterNdSub", "ScatterNdAdd")
_UPDATES = (
    _ASSIGNMENTS
    + tuple("Resource%s" % a for a in _ASSIGNMENTS if a.startswith("Scatter"))
    + tuple("%sVariableOp" % a for a in ("Assign", "AssignSub", "AssignAdd"))
)
_CALLS = ("If", "StatelessIf", "While", "StatelessWhile", "Case", "PartitionedCall", "StatefulPartitionedCall")
_GATES = ("Switch", "RefSwitch", "Enter", "RefEnter")


def everything_behind(ops):
    """All ops that `ops` wait for, through data or control edges, themselves included."""
    seen, pending = {}, list(ops)
    while pending:
        op = pending.pop()
        if op not in seen:
            seen[op] = None
            pending.extend(t.op for t in op.inputs)
            pending.extend(op.control_inputs)
    return list(seen)


def updates_among(ops, train_op):
    """[(trainable variable, its update ops)] among `ops`, in the order in which the variables were made."""
    variables = {graph.variable_op(v): v for v in tf.trainable_variables()}
    found = {}
    for op in ops:
        holders = [holder for holder in map(_holder, op.inputs) if holder in variables]
        if not holders:
            continue
        updates = holders[0] is _holder(op.inputs[0]) and ("Apply" in op.type or op.type in _UPDATES)
        if op.type in _CALLS or (updates and _tf.in_control_flow(op)):
            raise UnsupportedUpdateError(
                "the update of %s in %s is inside a cond, a loop or a function and may be skipped, but a decay "
                "attached from outside would not be: put tf1_wd.decoupled_weight_decay around the code that builds %s"
                % (holders[0].name, op.name, train_op.name)
            )
        if updates:
            found.setdefault(holders[0], []).append(op)
    if not found:
        raise UnsupportedUpdateError(
            "no trainable variable is updated behind %s. With SyncReplicasOptimizer the train_op only passes tokens: "
            "put tf1_wd.decoupled_weight_decay around the code that builds it" % train_op.name
        )
    return [(variable, found[op]) for op, variable in variables.items() if op in found]


def _holder(tensor):
    """The op at the other end of `tensor`, seen through the gates of conds and loops."""
    op = tensor.op
    while op.type in _GATES:
        op = op.inputs[0].op
    return op


def argument(op, names):
    """The input of `op` that its definition calls by one of `names`, or None."""
    for definition, tensor in zip(op.op_def.input_arg, op.inputs):
        if definition.name in names:
            return tensor
    return None


def gradient_of(op):
    """What an update op takes as the gradient, or as the amount to assign."""
    gradient = argument(op, ("grad", "delta", "value", "updates", "ref_updates"))
    return op.inputs[-1] if gradient is None else gradient


def holds_l2(gradient, variable):
    """True if a multiple of the variable itself is a summand of the gradient."""
    seen, pending = set(), [gradient]
    while pending:
        op = pending.pop().op
        if op in seen:
            continue
        seen.add(op)
        if op.type in ("AddN", "Add", "AddV2", "Sub", "Identity", "Cast", "Reshape", "Neg"):
            pending.extend(op.inputs)
        elif op.type in ("Mul", "RealDiv"):
            for tensor, factor in (op.inputs, reversed(op.inputs)):
                if _is_uniform(factor):
                    if graph.read_source(tensor) is variable:
                        return True
                    pending.append(tensor)
    return False


def _is_uniform(tensor):
    return tensor.shape.num_elements() == 1 or tensor.op.type in ("Tile", "BroadcastTo", "Fill")
