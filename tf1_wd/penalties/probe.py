"""Reads the gradient of a scalar of variables by trying it: a copy of its few ops runs at random points, in float64."""

from __future__ import annotations

import contextlib
import os
from typing import AbstractSet, Any, Hashable, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import COPIES
from tf1_wd.graph.subgraph import Replacement, can_be_copied, copy_ops, on_values, reads_a_handle
from tf1_wd.penalties.linear_map import OTHER, Probed, Trial, read_map

# A scalar beyond these bounds is not tried: building a train_op must not take long.
MAX_OPS = 300
MAX_WEIGHTS = 2**24
MAX_NUMBERS = 2**26  # elements of all tensors on the way
MAX_PRODUCTS = 2**30  # multiplications in products of matrices

Key = Tuple[tf.Operation, int]  # what graph.key returns
# makes each session use threads of its own, as many as its config says
_OWN_THREADS = "TF_OVERRIDE_GLOBAL_THREADPOOL"
_HALVES = (tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum, tf.float32.as_datatype_enum)
_DOUBLE = tf.float64.as_datatype_enum


class _Copied(NamedTuple):
    """One scalar in the graph of the trial: its derivatives by the weights, and the tensors to feed."""

    gradients: list[tf.Tensor]
    weights: dict[Any, tf.Tensor]  # by what identifies them
    others: list[tf.Tensor]
    penalties: list[tf.Tensor]


def probe(
    tensors: Sequence[tf.Tensor],
    weights: AbstractSet[tf.Operation],
    penalties: AbstractSet[tf.Operation] = frozenset(),
) -> list[Probed]:
    """What the gradient of each scalar is as a function of the variables; OTHER also where it cannot be tried.

    tensors: scalars that depend on variables and constants alone. weights: ops of the variables that training moves;
    the others count as constants. penalties: ops of the scalars whose gradient is known already, left out here.
    Adds nothing to the graph, and opens no session on it.
    """
    known: dict[Hashable, tuple[Probed, list[tf.Operation]]] = {}
    found = []
    for tensor in tensors:
        form = _form(tensor, weights, penalties)
        if form is None:
            found.append(OTHER)
            continue
        if form.structure not in known:  # the same of another variable is the same
            known[form.structure] = _tried(tensor, form.ops, weights, penalties), form.variables
        probed, variables = known[form.structure]
        here = dict(zip(variables, form.variables))
        found.append(probed._replace(factors={here[op]: factor for op, factor in probed.factors.items()}))
    return found


def _tried(
    tensor: tf.Tensor,
    ops: Sequence[tf.Operation],
    weights: AbstractSet[tf.Operation],
    penalties: AbstractSet[tf.Operation],
) -> Probed:
    if _is_too_large(ops):
        return OTHER
    with tf.Graph().as_default() as scratch:
        copied = _copy(tensor, ops, weights, penalties)
        return OTHER if copied is None else _read_in(scratch, copied)


def probe_leaves(
    tensor: tf.Tensor, ops: Sequence[tf.Operation], leaves: Mapping[Key, Sequence[int]], number: float
) -> Probed:
    """As `probe`, of one scalar as a function of other tensors than variables. Returns factors by graph.key of these.

    ops: those that depend on these, up to the scalar. leaves: {graph.key of a tensor, behind its copies: its shape}.
    number: what stands for scalars that only a run knows.
    """
    size = sum(float(np.prod(np.array(shape, np.float64))) for shape in leaves.values())
    if len(ops) > MAX_OPS or size > MAX_WEIGHTS or not all(map(can_be_copied, ops)):
        return OTHER

    def stand_in(t: tf.Tensor) -> tf.Tensor:
        key = graph.key(graph.through(t, COPIES))
        if key in stand_ins:
            return stand_ins[key]
        value = _tf.constant_value(t)
        if value is None and t.dtype.is_floating and t.shape.num_elements() == 1:
            value = np.full(t.shape.as_list(), number)
        if value is None:
            raise LookupError("%s is known to a run alone" % t.name)
        return tf.constant(value.astype(np.float64) if t.dtype.is_floating else value)

    with tf.Graph().as_default() as scratch:
        stand_ins = {key: tf.placeholder(tf.float64, shape) for key, shape in leaves.items()}
        try:
            copy = copy_ops(ops, stand_in, "term", _in_double)
            found = _tf.gradients([copy(tensor)], list(stand_ins.values()))
        except (ValueError, TypeError, LookupError):
            return OTHER
        if any(g is None for g in found):
            return OTHER
        return _read_in(scratch, _Copied([tf.convert_to_tensor(g) for g in found], stand_ins, [], []))


def _read_in(scratch: tf.Graph, copied: _Copied) -> Probed:
    with contextlib.closing(scratch_session(scratch)) as session:
        try:
            return read_map(_trial(session, copied))
        except tf.errors.OpError:
            return OTHER


def scratch_session(scratch: tf.Graph) -> tf.Session:
    """A session that leaves open how the program uses its GPUs and threads: the first one of a process decides that."""
    config = tf.ConfigProto(device_count={"GPU": 0}, use_per_session_threads=True)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    before = os.environ.get(_OWN_THREADS)
    os.environ[_OWN_THREADS] = "1"
    try:
        return _tf.ScratchSession(graph=scratch, config=config)
    finally:
        if before is None:
            del os.environ[_OWN_THREADS]
        else:
            os.environ[_OWN_THREADS] = before


def _trial(session: tf.Session, copied: _Copied) -> Trial:
    random = np.random.RandomState(2019)
    shapes = {op: x.shape.as_list() for op, x in copied.weights.items()}

    def fill(tensors: Sequence[tf.Tensor]) -> list[np.ndarray]:
        return [random.uniform(0.5, 1.5, t.shape.as_list()) for t in tensors]

    others = [fill(copied.others) for _ in range(2)]
    penalties = [fill(copied.penalties) for _ in range(2)]

    def gradient(weights: Sequence[np.ndarray], of_others: int, of_penalties: int) -> list[np.ndarray]:
        feed = dict(zip(copied.weights.values(), weights))
        feed.update(zip(copied.others, others[of_others]))
        feed.update(zip(copied.penalties, penalties[of_penalties]))
        return [np.asarray(g) for g in session.run(copied.gradients, feed)]

    return Trial(gradient, shapes, random, bool(copied.others), bool(copied.penalties))


def _copy(
    tensor: tf.Tensor,
    ops: Sequence[tf.Operation],
    weights: AbstractSet[tf.Operation],
    penalties: AbstractSet[tf.Operation],
) -> _Copied | None:
    """The scalar and its derivatives in the default graph; None if it cannot be tried, or has none."""
    variables: dict[tf.Operation, tf.Tensor] = {}
    inner: dict[tf.Operation, tf.Tensor] = {}

    def stand_in(t: tf.Tensor) -> tf.Tensor:
        source = graph.read_source(t)
        if source is not None:
            if source not in variables:
                variables[source] = tf.placeholder(tf.float64, tf.TensorShape(source.get_attr("shape")))
            read = variables[source]
            return read if t.dtype.base_dtype.is_floating or t.dtype == tf.resource else tf.cast(read, t.dtype)
        if t.op in penalties:
            return inner.setdefault(t.op, tf.placeholder(tf.float64, t.shape))
        return _constant(t)

    try:
        copy: Replacement = copy_ops(ops, stand_in, "term", _in_double)
        moved = {op: x for op, x in variables.items() if op in weights}
        others = [x for op, x in variables.items() if op not in weights]
        if not moved or not all(x.shape.is_fully_defined() for x in variables.values()):
            return None
        found = _tf.gradients([copy(tensor)], list(moved.values()))
    except (ValueError, TypeError, LookupError):  # an op that knows no float64, or has no gradient
        return None
    reached = {op: x for (op, x), g in zip(moved.items(), found) if g is not None}
    gradients = [tf.convert_to_tensor(g) for g in found if g is not None]
    others += [x for op, x in moved.items() if op not in reached]
    return _Copied(gradients, reached, others, list(inner.values())) if reached else None


class _Form(NamedTuple):
    """The ops between reads of variables, or constants, and a scalar, and what they are, whatever they are called."""

    ops: list[tf.Operation]
    structure: Hashable
    variables: list[tf.Operation]


def _form(tensor: tf.Tensor, weights: AbstractSet[tf.Operation], penalties: AbstractSet[tf.Operation]) -> _Form | None:
    """The _Form of a scalar; None if it goes through an op that cannot be tried."""
    ops: list[tf.Operation] = []
    places: dict[Hashable, int] = {}
    structure: list[Hashable] = []
    variables: list[tf.Operation] = []
    pending = [tensor]
    while pending:
        t = pending.pop()
        op, source = t.op, graph.read_source(t)
        is_new = (source or op) not in places
        place = places.setdefault(source or op, len(places))
        structure.append((place, t.value_index, t.dtype.base_dtype.name))
        if not is_new:
            continue
        if source is not None:
            variables.append(source)
            structure.append((source in weights, source.get_attr("shape").SerializeToString()))
        elif op in penalties:
            structure.append("penalty")
        else:
            attributes = sorted((k, v.SerializeToString()) for k, v in op.node_def.attr.items() if k[0] != "_")
            structure.append((op.type, len(op.inputs), tuple(attributes)))
            if op.type != "Const":
                is_known = can_be_copied(op) and (
                    reads_a_handle(op) or not (op.op_def.is_stateful or graph.is_input(op))
                )
                if len(ops) == MAX_OPS or not is_known:
                    return None
                ops.append(op)
                pending.extend(op.inputs)
    return _Form(ops, tuple(structure), variables)


def _is_too_large(ops: Sequence[tf.Operation]) -> bool:
    sources = {s for op in ops for s in map(graph.read_source, op.inputs) if s is not None}
    read = [tf.TensorShape(s.get_attr("shape")).num_elements() for s in sources]
    made = [t.shape.num_elements() or 0 for op in ops for t in op.outputs]
    if any(n is None for n in read) or sum(read) > MAX_WEIGHTS or sum(made) > MAX_NUMBERS:
        return True
    return sum(map(_products, ops)) > MAX_PRODUCTS


def _products(op: tf.Operation) -> float:
    """How many multiplications an op takes, where these are many more than its elements."""
    if op.type.startswith(("MatMul", "BatchMatMul", "Einsum", "Conv", "Matrix", "Svd", "Qr", "SelfAdjointEig", "Chol")):
        sizes = [t.shape.num_elements() for t in (*op.inputs, *op.outputs)]
        return float("inf") if None in sizes else max(1.0, float(np.prod(np.array(sizes, np.float64)))) ** 0.5
    return 0.0


def _constant(tensor: tf.Tensor) -> tf.Tensor:
    value = tf.make_ndarray(tensor.op.get_attr("value"))
    return tf.constant(value.astype(np.float64)) if tensor.dtype.is_floating else tf.constant(value)


def _in_double(op: tf.Operation, node: tf.NodeDef) -> None:
    """Makes the copy of an op one on values of variables, in float64."""
    on_values(op, node)
    node.attr.pop("_output_shapes", None)
    for value in node.attr.values():
        if value.HasField("type") and value.type in _HALVES:
            value.type = _DOUBLE
        elif value.HasField("list"):
            types = [_DOUBLE if t in _HALVES else t for t in value.list.type]
            del value.list.type[:]
            value.list.type.extend(types)
