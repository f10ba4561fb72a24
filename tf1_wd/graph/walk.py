"""Reads TensorFlow graphs: ancestors, the variables behind a tensor, equal structure. Changes nothing."""

from __future__ import annotations

import operator
from typing import AbstractSet, Callable, Iterable, Iterator, Sequence

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import BROADCASTS, COMPUTED
from tf1_wd.graph.variables import is_variable

_LISTS = ("TensorArray", "Stack")


def is_input(op: tf.Operation) -> bool:
    """True for an op whose value comes from outside of the graph and its variables: fed, read, drawn or queued."""
    op = _tf.outer_op(op)
    if is_variable(op) or op.type in ("Const", "ReadVariableOp") or op.type in COMPUTED:
        return False
    if op.type.startswith(_LISTS) and op.inputs:  # loops keep what they compute in these
        return False
    return not op.inputs or op.type == "PlaceholderWithDefault" or op.op_def.is_stateful


def key(tensor: tf.Tensor) -> tuple[tf.Operation, int]:
    """What identifies a tensor in dicts, where `==` may mean something else."""
    return tensor.op, tensor.value_index


def is_accumulator(op: tf.Operation) -> bool:
    """True for the op that takes the average out of a gradient accumulator, such as SyncReplicasOptimizer's."""
    return op.type.endswith("AccumulatorTakeGradient")


def is_taken(tensors: Iterable[tf.Tensor]) -> bool:
    """True if gradients come out of accumulators, so that another run of the graph has computed them."""
    return any(is_accumulator(op) for op in ancestors(tensors))


Inputs = Callable[["tf.Operation"], Iterable["tf.Tensor"]]  # the tensors to follow from an op
data_inputs: Inputs = operator.attrgetter("inputs")


def sources(op: tf.Operation) -> Sequence[tf.Tensor]:
    """The tensors that an op takes; of a function's argument, what is passed; of an accumulator, what is put in."""
    if op.type == "Placeholder":
        passed = _tf.outer(op.outputs[0])
        return [] if passed is op.outputs[0] else [passed]
    if not is_accumulator(op):
        return op.inputs
    puts = [put for put in op.inputs[0].consumers() if put.type.endswith("AccumulatorApplyGradient")]
    return [argument(put, ("gradient", "gradient_values")) for put in puts]


def argument(op: tf.Operation, names: Sequence[str]) -> tf.Tensor | None:
    """The input of `op` that its definition calls by one of `names`, or None."""
    for definition, tensor in zip(op.op_def.input_arg, op.inputs):
        if definition.name in names:
            return tensor
    return None


def through(tensor: tf.Tensor, types: AbstractSet[str]) -> tf.Tensor:
    """The tensor at the other end of a chain of ops of these types, each of which hands on its first input."""
    while tensor.op.type in types and tensor.op.inputs:
        tensor = tensor.op.inputs[0]
    return tensor


def ancestors(
    tensors: Iterable[tf.Tensor],
    stop: AbstractSet[tf.Operation] = frozenset(),
    inputs: Inputs = data_inputs,
) -> list[tf.Operation]:
    """All ops that `tensors` depend on through data, themselves included, in the order first met.

    stop: ops whose inputs are not followed (they are included).
    """
    seen: dict[tf.Operation, None] = {}
    pending = [t.op for t in tensors]
    while pending:
        op = pending.pop()
        if op in seen:
            continue
        seen[op] = None
        if op not in stop:
            pending.extend(t.op for t in inputs(op))
    return list(seen)


def predecessors(ops: Iterable[tf.Operation]) -> Iterator[tf.Operation]:
    """All ops that run when a session runs `ops`: through data and control edges, themselves included; lazily."""
    seen: set[tf.Operation] = set()
    pending = list(ops)
    while pending:
        op = pending.pop()
        if op not in seen:
            seen.add(op)
            yield op
            pending.extend(tensor.op for tensor in op.inputs)
            pending.extend(op.control_inputs)


def between(
    origins: Iterable[tf.Operation],
    ops: Sequence[tf.Operation],
    stop: AbstractSet[tf.Operation] = frozenset(),
    inputs: Inputs = data_inputs,
) -> list[tf.Operation]:
    """The ops among `ops` that depend on one of `origins` (ops), without these, in the order of `ops`.

    stop: ops that do not count as dependents.
    """
    consumers = consumers_among(ops, inputs)
    found: set[tf.Operation] = set()
    pending = list(origins)
    while pending:
        for op in consumers.get(pending.pop(), ()):
            if op not in found and op not in stop:
                found.add(op)
                pending.append(op)
    return [op for op in ops if op in found]


def consumers_among(
    ops: Sequence[tf.Operation], inputs: Inputs = data_inputs
) -> dict[tf.Operation, list[tf.Operation]]:
    """{op: those of `ops` that take one of its outputs}."""
    members = set(ops)
    consumers: dict[tf.Operation, list[tf.Operation]] = {}
    for op in ops:
        for tensor in inputs(op):
            if tensor.op in members:
                consumers.setdefault(tensor.op, []).append(op)
    return consumers


def same_structure(a: tf.Tensor, b: tf.Tensor) -> bool:
    """True if two tensors compute the same from the same variables: equal ops, attributes and constants.

    Ops that keep state or draw random numbers are the same only if they are one op.
    """
    pending = [(a, b)]
    while pending:
        x, y = pending.pop()
        if x is y:
            continue
        p, q = x.op, y.op
        if p is q and x.value_index == y.value_index:
            continue
        stateful = p.type != "ReadVariableOp" and p.op_def.is_stateful
        if stateful or p.type != q.type or x.value_index != y.value_index or len(p.inputs) != len(q.inputs):
            return False
        if _attributes(p) != _attributes(q):
            return False
        pending.extend(zip(p.inputs, q.inputs))
    return True


def _attributes(op: tf.Operation) -> dict[str, bytes]:
    return {k: v.SerializeToString() for k, v in op.node_def.attr.items() if not k.startswith("_")}


_FILLED = BROADCASTS | {"Fill", "OnesLike", "ZerosLike"}


def is_uniform(tensor: tf.Tensor) -> bool:
    """True for a tensor that has one value everywhere, as far as its ops tell."""
    if tensor.shape.num_elements() == 1:
        return True
    op = tensor.op
    if op.type in _FILLED:
        return True
    if op.type in ("Mul", "RealDiv", "Reshape", "Identity", "Cast"):
        return all(is_uniform(t) for t in op.inputs) if op.type in ("Mul", "RealDiv") else is_uniform(op.inputs[0])
    if op.type == "Const":
        value = _tf.constant_value(tensor)
        return bool((value == value.reshape(-1)[:1]).all())
    return False


def has_session(tf_graph: tf.Graph) -> bool:
    """True if a tf.Session on `tf_graph` exists. It may hold the ops already, and then their edges are fixed."""
    return bool(_tf.sessions_of(tf_graph))
