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
        holders = [holder for holder in map(graph.holder, op.inputs) if holder in variables]
        if not holders:
            continue
        updates = holders[0] is written_variable(op)
        if op.type in graph.CALLS or (updates and _tf.control_flow_context(op) is not None):
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
            "put tf1_wd.decoupled_weight_decay around the code that builds it. What newer Keras optimizers return in a "
            "graph is a counter, behind which nothing is trained: use one of tf.train" % train_op.name
        )
    return [(variable, found[op]) for op, variable in variables.items() if op in found]


def written_variable(op):
    """The op of the variable that `op` assigns, or updates by a gradient; None if it does neither."""
    if not op.inputs or not ("Apply" in op.type or op.type in _UPDATES):
        return None
    holder = graph.holder(op.inputs[0])
    return holder if graph.is_variable(holder) else None


def gradient_of(op):
    """What an update op takes as the gradient, or as the amount to assign."""
    gradient = graph.argument(op, ("grad", "delta", "value", "updates", "ref_updates"))
    return op.inputs[-1] if gradient is None else gradient


def origin(gradient, variable):
    """Where a gradient comes from that no call of tf.gradients made, as words for a message; "" if that is not seen.

    gradient: list of tf.Tensor. variable: the op of the variable that it is applied to.
    """
    ops = graph.ancestors(gradient)
    fed = [op.name for op in ops if op.type in ("Placeholder", "PlaceholderWithDefault")]
    return " (it is fed through the placeholder %s)" % fed[0] if fed and variable not in ops else ""


def holds_l2(gradient, variable):
    """True if a multiple of the variable itself is a summand of the gradient, whatever clips or masks it."""
    return any(True for _ in l2_in(gradient, variable))


def l2_in(gradient, variable, known=frozenset()):
    """The ops of the summands of a gradient that are multiples of the variable itself, whatever clips or masks them.

    known: ops that are given back where they are met, and are not looked into.
    """
    seen, pending = set(), [gradient]
    while pending:
        op = _tf.outer_op(pending.pop().op)
        if op in seen:
            continue
        seen.add(op)
        if op is variable:
            continue
        if op in known:
            yield op
        elif graph.is_variable(op):  # an accumulator: what is assigned to it counts
            pending.extend(t for c in op.outputs[0].consumers() if "Assign" in c.type for t in list(c.inputs)[1:])
        elif op.type in _PRODUCTS:
            if _is_multiple(op.outputs[0], variable):
                yield op
            elif not any(_is_multiple(tensor, variable) for tensor in op.inputs):  # a factor is no summand
                pending.extend(op.inputs)
        elif op.type in _LINEAR:
            pending.extend(op.inputs)


# ops through which a summand of a gradient passes, if only in part
_SUMS = ("AddN", "Add", "AddV2", "AccumulateNV2", "Sub", "Neg", "Sum", "Mean")
_READS = ("Identity", "IdentityN", "Print", "StopGradient", "Cast", "CheckNumerics", "ReadVariableOp", "Switch")
_SHAPES = ("Reshape", "Squeeze", "ExpandDims", "Transpose", "Slice", "StridedSlice", "Split", "SplitV", "Unpack")
_JOINS = ("ConcatV2", "Concat", "Pack", "Merge")
_CLIPS = ("Maximum", "Minimum", "ClipByValue", "Select", "SelectV2")
_PRODUCTS = ("Mul", "RealDiv", "DivNoNan")
_LINEAR = frozenset([*_SUMS, *_READS, *_SHAPES, *_JOINS, *_CLIPS])


def _is_multiple(tensor, variable):
    """True for a read of the variable, and for that times a number that does not depend on it, as of a norm does."""
    op = tensor.op
    if op.type == "Pow":
        return _is_multiple(op.inputs[0], variable)
    if op.type in _PRODUCTS:
        pairs = [(op.inputs[0], op.inputs[1]), (op.inputs[1], op.inputs[0])][: 2 if op.type == "Mul" else 1]
        return any(_is_multiple(t, variable) and _is_number(factor, variable) for t, factor in pairs)
    return variable in (graph.variables_behind(tensor) or ())


def _is_number(factor, variable):
    return graph.is_uniform(factor) and variable not in graph.ancestors([factor], inputs=graph.sources)
