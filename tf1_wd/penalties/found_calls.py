"""The calls of tf.gradients in a graph whose making was not seen, by the names that tf.gradients gives to its ops.

    scope/grad_ys_0         what the gradient of the first loss begins with; `scope` is "gradients" by default
    scope/OP_grad/...       the gradient of OP, an op of the loss
    scope/AddN              the sum of the gradients by what several ops take

So the loss is the last of these ops, and the program reader reads its L2. Where the names tell no loss, a call is not
known.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Mapping, NamedTuple, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import READS, SCATTERS, SUMS
from tf1_wd.graph.variables import size_of, trainable_variables
from tf1_wd.penalties.gradient_call import GradientCall

Forward = Dict["tf.Operation", "tf.Operation"]  # an op of a gradient, and the op of the loss that it is of

_SEED = re.compile(r"^(.+)/grad_ys_(\d+)$")
_BY_DEFAULT = re.compile(r"^((?:.*?/)?gradients(?:_\d+)?)/(?!.*clip_by_)")  # before TensorFlow named the seeds
_GRADIENT_OF = re.compile(r"_grad(?:_\d+)?/")


# ops whose gradient may be that of their first input, or of each, as it is
_HAND_ON = SUMS | READS | {"Sub", "IdentityN"}


class Raw(NamedTuple):
    """A tensor that a call returned. scope: the call. variables: ops of those by which it may be the gradient."""

    tensor: tf.Tensor
    scope: str
    variables: set[tf.Operation]


class FoundCalls:
    """The calls of tf.gradients that lead to some updates.

    calls: list of GradientCall. keys: those (graph.key) of all tensors that calls of tf.gradients made.
    """

    def __init__(
        self,
        tf_graph: tf.Graph,
        updates: Iterable[tuple[tf.Operation, tf.Tensor]],
        through_scatters: bool = False,
    ) -> None:
        """updates: pairs of a variable (its op) and the tensor that updates it.

        through_scatters: True to follow gradients that are scattered into other variables, as those of sparse Adam are
        into its slots on resource variables: the loss can be told there, how much of a gradient is applied cannot.
        """
        self._scatters = SCATTERS if through_scatters else frozenset()
        self._trained = {graph.variable_op(v) for v in trainable_variables(tf_graph)}
        self._ops = {op.name: op for op in tf_graph.get_operations()}
        self._scope_of = _scopes(self._ops.values())
        self.keys = frozenset(graph.key(t) for op in self._scope_of for t in op.outputs)
        members: dict = {}
        for op, scope in self._scope_of.items():
            members.setdefault(scope, []).append(op)
        self._forward = {scope: self._forward_of(scope, ops) for scope, ops in members.items()}
        self._through = {scope: set(forward.values()) for scope, forward in self._forward.items()}
        self._raw = {}  # {(variable, key of what updates it): list of Raw}
        results: dict = {}  # {scope: {op of a variable: its Raw}}
        self._unclear = set()  # updates with a tensor of which it is not known what it is a gradient by
        for variable, tensor in updates:
            found = self._raw[variable, graph.key(tensor)] = self._walk(tensor, variable)
            for raw in found:
                mine = {variable} & raw.variables or raw.variables
                known = results.setdefault(raw.scope, {})
                if len(mine) != 1 or graph.key(known.setdefault(*mine, raw).tensor) != graph.key(raw.tensor):
                    self._unclear.add((variable, raw.scope))
        self._calls = {scope: self._call(scope, members[scope], by) for scope, by in results.items()}
        self.calls = [call for call in self._calls.values() if call is not None]

    def unknown_behind(self, variable: tf.Operation, tensor: tf.Tensor) -> list[str]:
        """The scopes of the calls behind an update whose loss is not known."""
        scopes = {raw.scope for raw in self._raw[variable, graph.key(tensor)]}
        return sorted(s for s in scopes if self._calls[s] is None or (variable, s) in self._unclear)

    def l2_behind(self, variable: tf.Operation, tensor: tf.Tensor) -> bool:
        """True if a call behind an update differentiates L2 of the variable, in whatever words."""
        scopes = {raw.scope for raw in self._raw[variable, graph.key(tensor)]}
        return any(call is not None and variable in call.freed for call in map(self._calls.get, scopes))

    def reach(self, variable: tf.Operation, tensor: tf.Tensor) -> bool:
        """True if a call leads to an update."""
        return bool(self._raw[variable, graph.key(tensor)])

    def _forward_of(self, scope: str, ops: Sequence[tf.Operation]) -> Forward:
        """{op of a call: the op of the loss whose gradient it is part of}; {} if the names tell none, or not of all."""
        named = [op for op in ops if _GRADIENT_OF.search(op.name, len(scope))]
        parts = scope.split("/")
        for base in ("".join(part + "/" for part in parts[:i]) for i in range(len(parts))):  # of import_scope
            found = {op: self._longest(base + op.name[len(scope) + 1 :], len(base)) for op in named}
            if all(found.values()):
                return found
        return {}

    def _longest(self, name: str, start: int) -> tf.Operation | None:
        ends = [match.start() for match in _GRADIENT_OF.finditer(name, start)]
        return next((self._ops[name[:end]] for end in reversed(ends) if name[:end] in self._ops), None)

    def _walk(self, tensor: tf.Tensor, variable: tf.Operation) -> list[Raw]:
        """The Raws that an update is made of, also by way of variables in which a program adds gradients up."""
        found, seen, pending = {}, set(), [tensor]
        follows_scalars = size_of(variable) == 1
        while pending:
            t = pending.pop()
            op = t.op
            if t.dtype.is_integer or t.dtype.is_bool:
                continue
            if op in self._scope_of:
                found[graph.key(t)] = Raw(t, self._scope_of[op], self._variables_of(t))
            elif op not in seen:
                seen.add(op)
                if graph.is_variable(op) and op not in self._trained:
                    assigns = [c for c in op.outputs[0].consumers() if "Assign" in c.type or c.type in self._scatters]
                    pending += [t for c in assigns for t in list(c.inputs)[1:]]
                else:
                    pending += [
                        t
                        for t in graph.sources(op)
                        if follows_scalars or _is_resource(t) or t.shape.num_elements() != 1
                    ]
        return [raw for raw in found.values() if not follows_scalars or variable in raw.variables]

    def _variables_of(self, tensor: tf.Tensor) -> set[tf.Operation]:
        """The variables that every op takes whose gradients a tensor is the sum of."""
        scope, found, seen, pending = self._scope_of[tensor.op], [], set(), [tensor.op]
        while pending:
            op = pending.pop()
            if op in seen or self._scope_of.get(op) != scope:
                continue
            seen.add(op)
            forward = self._forward[scope].get(op)
            if forward is None:
                pending += [t.op for t in op.inputs if t.dtype.is_floating]
            else:
                found.append(_taken(forward))
        return set.intersection(*found) if found else set()

    def _call(
        self, scope: str, ops: Sequence[tf.Operation], results: Mapping[tf.Operation, Raw]
    ) -> GradientCall | None:
        """The GradientCall of a scope; None if its loss is not known. results: {op of a variable: its Raw}."""
        begins = _begins(ops, self._forward[scope])
        through = self._through[scope]
        inner = set(graph.ancestors([t for op in through for t in op.inputs]))
        ys = [op.outputs[0] for op in begins if len(op.outputs) == 1 or op.type.endswith("WithLogits")]
        is_known = bool(ys) and len(ys) == len(begins) and inner.isdisjoint(begins)
        if not is_known or not all(map(_fits, ys, begins.values())):
            return None
        seeds = None if set(begins.values()) == {_ONE} else [seed.value for seed in begins.values()]
        try:
            call = GradientCall(ys, [op.outputs[0] for op in results], seeds, through=through)
        except (LookupError, TypeError, ValueError):  # an op that has its gradient in the program alone
            return None
        call.keep([raw.tensor for raw in results.values()])
        return call


def _is_resource(tensor: tf.Tensor) -> bool:
    return tensor.dtype == tf.resource


def _taken(op: tf.Operation) -> set[tf.Operation]:
    """The variables that an op of a loss takes, also by way of ops that hand their gradient on as it is."""
    found, pending = set(), list(op.inputs)
    while pending:
        t = pending.pop()
        source = graph.read_source(t)
        if source is not None:
            found.add(source)
        elif t.op.type in _HAND_ON:
            pending += t.op.inputs[:1] if t.op.type == "Sub" else t.op.inputs
    return found


class _Seed(NamedTuple):
    """What a gradient begins with: how many ones, or the key of the tensor that was given as grad_ys=."""

    times: float
    given: tuple[Any, ...] = ()

    @property
    def value(self) -> Any:
        """The number, or the tensor that was given."""
        return self.given[0].outputs[self.given[1]] if self.given else self.times


_ONE, _UNCLEAR = _Seed(1.0), _Seed(0.0)


def _begins(ops: Iterable[tf.Operation], forward: Forward) -> dict[tf.Operation, _Seed]:
    """{op of the loss at which a gradient begins: its _Seed}; {} where that is not known.

    The loss is the sum of these: sums alone hand a gradient on without an op. forward: as of FoundCalls.
    """
    found: dict[tf.Operation, _Seed] = {}
    members = set(ops)
    for op, of in forward.items():
        for t in op.inputs:
            seed = _seed(t, forward) if t.op in members else None
            if seed is not None and (seed == _UNCLEAR or found.setdefault(of, seed) != seed):
                return {}
    return {op: seed for op, seed in found.items() if not any(_hands_on(o, op, found) for o in found)}


def _hands_on(last: tf.Operation, op: tf.Operation, begins: Mapping[tf.Operation, _Seed]) -> bool:
    """True if a gradient that begins at `last` comes to an op as it is, as through the first input of a subtraction."""
    pending, seen = [last], set()
    while pending:
        o = pending.pop()
        if o is op and o is not last:
            return bool(begins[op] == begins[last])
        if o.type in _HAND_ON and o not in seen:
            seen.add(o)
            pending += [t.op for t in (o.inputs[:1] if o.type == "Sub" else o.inputs)]
    return False


def _seed(tensor: tf.Tensor, forward: Forward) -> _Seed | None:
    """The _Seed that a tensor of a call is; None for a gradient that is on its way."""
    op = tensor.op
    if op in forward:
        return None
    if op.type == "Identity" and _SEED.match(op.name):
        return _Seed(1.0, graph.key(op.inputs[0]))
    if op.type == "Fill" and _tf.constant_value(op.inputs[1]) == 1.0:
        return _ONE
    parts = {_seed(t, forward) for t in op.inputs} if op.type == "AddN" else {None}
    if parts == {_ONE}:
        return _Seed(float(len(op.inputs)))
    return None if parts == {None} else _UNCLEAR


def _fits(y: tf.Tensor, seed: _Seed) -> bool:
    """True if a seed has the shape of what is differentiated."""
    if seed.given:
        return bool(seed.value.shape.is_compatible_with(y.shape))
    return seed == _ONE or y.shape.rank == 0


def _scopes(ops: Iterable[tf.Operation]) -> dict[tf.Operation, str]:
    """{op: the name scope of the call of tf.gradients that made it}."""
    ops = list(ops)
    scopes = {match.group(1) for match in (_SEED.match(op.name) for op in ops) if match}
    if not scopes:
        named = [(op, _BY_DEFAULT.match(op.name)) for op in ops]
        return {op: match.group(1) for op, match in named if match}
    found = {}
    for op in ops:
        parts = op.name.split("/")
        names = ("/".join(parts[:i]) for i in range(len(parts) - 1, 0, -1))
        scope = next((name for name in names if name in scopes), None)
        if scope is not None:
            found[op] = scope
    return found
