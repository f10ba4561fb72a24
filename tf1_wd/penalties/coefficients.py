"""Coefficients of penalties in a loss, by automatic differentiation, without a node left in the user's graph.

The few ops between the penalties and the loss are copied into a graph of their own, in which everything else is a
placeholder or a constant. Where the derivative there is constant, it is a number. Where it depends on what only the
user's graph knows (a coefficient that is fed, or scheduled), it is built in the user's graph.
"""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager, Optional, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import SHAPES
from tf1_wd.graph.subgraph import can_be_copied, copy_ops

Seeds = Optional[Sequence[Optional["tf.Tensor"]]]  # grad_ys of tf.gradients

_UNKNOWN = object()
_MANY = 5000  # ops between a scalar deep in a model and the loss


def coefficients(
    ys: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor], grad_ys: Seeds = None
) -> list[float | tf.Tensor | None]:
    """d ys / d tensor of each scalar tensor: a float where it is constant, a scalar tf.Tensor where not, else None.

    None stands for a tensor that no gradient reaches (it is behind tf.stop_gradient, say).
    """
    if not tensors:
        return []
    sources = [t.op for t in tensors]
    ops = graph.between(sources, graph.ancestors(ys, stop=frozenset(sources)))
    found: list[Any] = [_UNKNOWN] * len(tensors)
    if all(can_be_copied(op) for op in ops):
        found = [_number(d) for d in derivatives(ys, tensors, grad_ys, ops)]
    unknown = [i for i, value in enumerate(found) if value is _UNKNOWN]
    if unknown:
        for i, value in zip(unknown, in_place(ys, [tensors[i] for i in unknown], grad_ys)):
            found[i] = value
    return found


def depends(y: tf.Tensor, tensors: Sequence[tf.Tensor]) -> bool:
    """True if `y` has a gradient by one of the tensors, which are ancestors of it.

    Uses a small copy of the subgraph: tf.gradients would otherwise visit everything downstream in the user's graph.
    """
    sources = [t.op for t in tensors]
    ops = graph.between(sources, graph.ancestors([y], stop=frozenset(sources)))
    if all(can_be_copied(op) for op in ops):
        return any(d is not None for d in derivatives([y], tensors, None, ops))
    with undelayed(y):
        try:
            return any(d is not None for d in _tf.gradients([y], tensors))
        except LookupError:  # through the gradient of a function, which has none itself
            return True


def constant_coefficients(ys: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor]) -> list[float | None]:
    """As `coefficients`, but None for what is known only at run time. Adds nothing to the graph."""
    sources = [t.op for t in tensors]
    ops = graph.between(sources, graph.ancestors(ys, stop=frozenset(sources)))
    if not tensors or not all(can_be_copied(op) for op in ops):
        return [None] * len(tensors)
    found = [_number(d) for d in derivatives(ys, tensors, None, ops)]
    return [None if value is _UNKNOWN else value for value in found]


def numbers_behind(
    ys: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor], grad_ys: Seeds = None
) -> list[list[tf.Tensor] | None] | None:
    """For each scalar tensor the tensors whose numbers make d ys / d tensor: none for a constant.

    What only gives a shape, or decides (as in where(is_nan(loss), 0, loss)), is left out. None stands for a tensor that
    no gradient reaches. Returns None if the ops between cannot be copied, or are very many. Adds nothing to the graph.
    """
    sources = [t.op for t in tensors]
    ops = graph.between(sources, graph.ancestors(ys, stop=frozenset(sources)))
    if len(ops) > _MANY or not all(can_be_copied(op) for op in ops):
        return None
    outside: dict[tf.Operation, tf.Tensor] = {}
    found = derivatives(ys, tensors, grad_ys, ops, outside)
    behind = [None if d is None else graph.ancestors([d], inputs=numeric_inputs) for d in found]
    return [None if ops is None else [outside[op] for op in ops if op in outside] for ops in behind]


def derivatives(
    ys: Sequence[tf.Tensor],
    tensors: Sequence[tf.Tensor],
    grad_ys: Seeds,
    ops: Sequence[tf.Operation],
    outside: dict[tf.Operation, tf.Tensor] | None = None,
) -> list[tf.Tensor | None]:
    """The derivatives in a copy of `ops`. outside: takes up {op in the copy: the tensor that it stands for}."""
    with tf.Graph().as_default():
        stand_ins = {t.name: tf.placeholder(t.dtype.base_dtype, t.shape) for t in tensors}

        def stand_in(tensor: tf.Tensor) -> tf.Tensor:
            if tensor.name not in stand_ins:
                value, dtype = _tf.constant_value(tensor), tensor.dtype.base_dtype
                known = value is not None
                stand_ins[tensor.name] = tf.constant(value, dtype) if known else tf.placeholder(dtype, tensor.shape)
            return stand_ins[tensor.name]

        copy = copy_ops(ops, stand_in, "copy")
        seeds = None if grad_ys is None else [None if g is None else stand_in(g) for g in grad_ys]
        found = _tf.gradients([copy(y) for y in ys], [stand_in(t) for t in tensors], grad_ys=seeds)
    if outside is not None:
        get = tensors[0].graph.get_tensor_by_name
        outside.update((placeholder.op, get(name)) for name, placeholder in stand_ins.items())
    return found


def in_place(ys: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor], grad_ys: Seeds) -> list[tf.Tensor | None]:
    """d ys / d element of each tensor, as scalars in the user's graph. The elements of a tensor have the same one."""
    with undelayed(tensors[0]), tf.name_scope("weight_decay_coefficients"):
        found = _tf.gradients(ys, tensors, grad_ys=grad_ys)
        return [c if c is None or c.shape.rank == 0 else tf.reshape(c, [-1])[0] for c in found]


def numeric_inputs(op: tf.Operation) -> list[tf.Tensor]:
    """The tensors whose numbers go into what an op computes: neither for their shape alone, nor to decide."""
    return [] if op.type in SHAPES else [t for t in op.inputs if t.dtype.base_dtype != tf.bool]


def _number(derivative: tf.Tensor | None) -> Any:
    if derivative is None:
        return None
    value = _tf.constant_value(derivative)
    return _UNKNOWN if value is None else float(value.reshape(()))


def undelayed(tensor: tf.Tensor) -> ContextManager[Any]:
    """Context in which new ops that use `tensor` wait for none of the caller's control dependencies.

    A rate must be known before the update, whatever the caller waits for; but it stays inside the branch or loop that
    `tensor` lives in.
    """
    if _tf.control_flow_context(tensor.op) is not None:
        return contextlib.nullcontext()
    return tensor.graph.control_dependencies(None)
