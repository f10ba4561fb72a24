"""Calls of tf.gradients: the penalties in what is differentiated, and which call an applied gradient comes from."""

from __future__ import annotations

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.penalties import find_penalties, rates


class GradientCall:
    """One call of tf.gradients: the penalties in its ys, the rates they give, and what it returned.

    ys: list of tf.Tensor. penalties: list of Penalty. rates: {op of a variable: rate}. constants: the tensors to treat
    as constants, so that no gradient flows through a penalty. derivatives: {op of a variable: tensors of its raw
    gradient}, after `keep`.
    """

    def __init__(self, ys, xs, grad_ys):
        self._xs = as_list(xs)
        self.ys = [tf.convert_to_tensor(y) for y in as_list(ys)]
        self._ops = graph.ancestors(self.ys)
        self.penalties = find_penalties(self._ops)
        self.rates = rates(self.penalties, self.ys, None if grad_ys is None else as_list(grad_ys))
        self.constants = _outermost(self.penalties, self._xs, self._ops)
        self.derivatives = {}

    def keep(self, results):
        for x, gradient in zip(self._xs, results):
            op = graph.variable_op(x)
            if op is not None:
                self.derivatives[op] = tensors_of(gradient)

    def reads_of(self, variable):
        """The ops that read a resource variable (given by its op) for penalties; none for a reference variable."""
        ops = graph.ancestors([p.tensor for p in self.penalties if variable in p.factors])
        return [op for op in ops if op.type == "ReadVariableOp" and op.inputs[0].op is variable]

    @property
    def is_decay_alone(self):
        """True if nothing but penalties reaches the variables, so that no gradient is left without them."""
        return bool(self.rates) and not any(self.derivatives.values())

    def contains(self, tensor):
        """True if the loss contains `tensor`, or another one that computes the same."""
        return any(
            op is tensor.op or (op.type == tensor.op.type and graph.same_structure(op.outputs[0], tensor))
            for op in self._ops
            if op.outputs
        )


def _outermost(penalties, xs, ops):
    """The outermost tensors that depend on `xs` through penalties alone.

    To stop there and not at the penalties themselves spares the gradient of the arithmetic around them.
    """
    inner = frozenset(p.tensor.op for p in penalties)
    sources = [x.op if graph.variable_op(x) is None else graph.variable_op(x) for x in xs if hasattr(x, "op")]
    impure = set(graph.between(sources, ops, stop=inner))
    pure = (inner | set(graph.between(list(inner), ops))) - impure
    consumers = graph.consumers_among(ops)
    return [
        tensor
        for op in ops
        if op in pure and not all(consumer in pure for consumer in consumers.get(op, [None]))
        for tensor in op.outputs
    ]


def calls_behind(gradient, variable, calls):
    """The members of `calls` (GradientCall) whose derivative by `variable` goes into `gradient`."""
    op = graph.variable_op(variable)
    candidates = [c for c in calls if op in c.derivatives]
    if gradient is None or len(candidates) < 2:
        return candidates
    raw = {}
    for call in calls:
        for tensors in call.derivatives.values():
            raw.update((_key(t), call) for t in tensors)
    found, seen, pending = {}, set(), tensors_of(gradient)
    while pending:
        tensor = pending.pop()
        key = _key(tensor)
        if key in seen:
            continue
        seen.add(key)
        if key in raw:
            if any(_key(t) == key for t in raw[key].derivatives.get(op, ())):
                found[id(raw[key])] = raw[key]
        else:
            pending.extend(tensor.op.inputs)
    return list(found.values()) or candidates


def as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def tensors_of(gradient):
    if gradient is None:
        return []
    return [gradient.values, gradient.indices] if isinstance(gradient, tf.IndexedSlices) else [gradient]


def _key(tensor):
    return tensor.op, tensor.value_index
