"""What lies behind the tensors that gradients are made of, up to raw gradients; each scalar on the way looked at once.

A scalar such as the factor of tf.clip_by_global_norm has all gradients behind it, and multiplies all of them: to look
behind it for each variable anew would take time that grows with the square of their number.
"""

from __future__ import annotations

from typing import NamedTuple

from tf1_wd import graph


class Behind(NamedTuple):
    """raw: keys of raw gradients. variables: ops of variables. limits: what Maximum and Minimum take, by key."""

    raw: set
    variables: set
    limits: dict


class Upstream:
    """Looks upwards from tensors of a graph.

    is_raw: function that is True for the key (see graph.key) of a raw gradient; what is behind it is not looked at.
    """

    def __init__(self, is_raw):
        self._is_raw = is_raw
        self._known = {}

    def behind(self, tensors):
        """What `tensors` are made of, each way followed up to the first raw gradient."""
        parts = []
        found = self._walk(tensors, parts)
        for scalar in parts:
            inner = self.of_scalar(scalar)
            found.raw.update(inner.raw)
            found.variables.update(inner.variables)
            found.limits.update(inner.limits)
        return found

    def of_scalar(self, scalar):
        """As `behind`, of one scalar; not to be changed."""
        key = graph.key(scalar)
        if key not in self._known:
            self._known[key] = self._walk([scalar], None)
        return self._known[key]

    def _walk(self, tensors, scalars):
        """Behind; scalars that are met are put aside in the list `scalars`, if there is one."""
        found, seen, pending = Behind(set(), set(), {}), set(), list(tensors)
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


def is_scalar(tensor):
    """True for a tensor of one element."""
    return tensor.shape.num_elements() == 1
