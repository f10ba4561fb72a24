"""What lies behind the tensors that gradients are made of, up to raw gradients; each scalar on the way looked at once.

A scalar such as the factor of tf.clip_by_global_norm has all gradients behind it, and multiplies all of them: to look
behind it for each variable anew would take time that grows with the square of their number.
"""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.penalties.gradient_call import GradientCall, Key


class Behind(NamedTuple):
    """raw: keys of raw gradients. variables: ops of variables. limits: what Maximum and Minimum take, by key."""

    raw: set[Key]
    variables: set[tf.Operation]
    limits: dict[Key, tf.Tensor]


class Upstream:
    """Looks upwards from tensors of a graph, up to the raw gradients that some calls of tf.gradients returned."""

    def __init__(self, calls: Iterable[GradientCall]) -> None:
        self.calls = tuple(calls)
        self._known: dict[Key, Behind] = {}
        self._parts: dict[tuple[int, ...], Upstream] = {}

    def of(self, calls: Sequence[GradientCall]) -> Upstream:
        """The Upstream of some of the calls alone, which is made once."""
        key = tuple(map(id, calls))
        if key == tuple(map(id, self.calls)):
            return self
        if key not in self._parts:
            self._parts[key] = Upstream(calls)
        return self._parts[key]

    def _is_raw(self, key: Key) -> bool:
        return any(key in call.raw for call in self.calls)

    def behind(self, tensors: Iterable[tf.Tensor]) -> Behind:
        """What `tensors` are made of, each way followed up to the first raw gradient."""
        parts: list[tf.Tensor] = []
        found = self._walk(tensors, parts)
        for scalar in parts:
            inner = self.of_scalar(scalar)
            found.raw.update(inner.raw)
            found.variables.update(inner.variables)
            found.limits.update(inner.limits)
        return found

    def of_scalar(self, scalar: tf.Tensor) -> Behind:
        """As `behind`, of one scalar; not to be changed."""
        key = graph.key(scalar)
        if key not in self._known:
            self._known[key] = self._walk([scalar], None)
        return self._known[key]

    def _walk(self, tensors: Iterable[tf.Tensor], scalars: list[tf.Tensor] | None) -> Behind:
        """Behind; scalars that are met are put aside in the list `scalars`, if there is one."""
        found, pending = Behind(set(), set(), {}), list(tensors)
        seen: set[tf.Operation] = set()
        while pending:
            tensor = pending.pop()
            op, key = tensor.op, graph.key(tensor)
            if self._is_raw(key):
                found.raw.add(key)
                continue
            if op in seen:
                continue
            seen.add(op)
            if graph.is_variable(op):
                found.variables.add(op)
            if op.type in ("Maximum", "Minimum"):
                found.limits.update((graph.key(t), t) for t in op.inputs)
            for inner in graph.sources(op):
                (scalars if scalars is not None and is_scalar(inner) else pending).append(inner)
        return found


def is_scalar(tensor: tf.Tensor) -> bool:
    """True for a tensor of one element."""
    return tensor.shape.num_elements() == 1
