"""L2 in functions of a graph's library: the bodies of calls, and the branches and loops of control flow v2."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import BRANCHES, CALLS, READS, RESHAPES

_COPIES = READS | RESHAPES


class FunctionsWithL2(NamedTuple):
    """names: of the functions that hold L2 of variables. gated: ops of the variables with L2 in a branch or a loop."""

    names: list[str]
    gated: set[tf.Operation]


def functions_with_l2(ops: Sequence[tf.Operation]) -> FunctionsWithL2:
    """What the functions that `ops` call hold of tf.nn.l2_loss."""
    calls = [op for op in ops if op.type in CALLS or _tf.is_function(op)]
    if not calls:
        return FunctionsWithL2([], set())
    library = _Library(ops[0].graph)
    names: set[str] = set()
    gated: set[tf.Operation] = set()
    for op in calls:
        inputs = list(op.inputs)[BRANCHES.get(op.type, 0) :]
        for name in library.called(op.node_def):
            weights = {v for i in library.penalised(name) for v in graph.variables_behind(inputs[i]) or ()}
            names.update([name] if weights else [])
            gated.update(weights if op.type in BRANCHES else ())
    return FunctionsWithL2(sorted(names), gated)


class _Library:
    """The functions of a graph, and which of their arguments are weights in tf.nn.l2_loss."""

    def __init__(self, tf_graph: tf.Graph) -> None:
        self._functions = {f.signature.name: f for f in tf_graph.as_graph_def().library.function}
        self._penalised: dict[str, set[int]] = {}

    def called(self, node: Any) -> list[str]:
        """The names of the functions that a NodeDef calls."""
        attributes = node.attr.values()
        functions = [a.func for a in attributes if a.HasField("func")] + [f for a in attributes for f in a.list.func]
        return [name for name in [node.op, *(f.name for f in functions)] if name in self._functions]

    def penalised(self, name: str) -> set[int]:
        """Which arguments of a function are weights in tf.nn.l2_loss."""
        if name not in self._penalised:
            function = self._functions[name]
            nodes = {node.name: node for node in function.node_def}
            places = {argument.name: i for i, argument in enumerate(function.signature.input_arg)}
            sources = {_source(w, nodes) for node in function.node_def for w in self._weights_of(node)}
            self._penalised[name] = {places[source] for source in sources if source in places}
        return self._penalised[name]

    def _weights_of(self, node: Any) -> Iterator[str]:
        """The inputs of a NodeDef that are weights in tf.nn.l2_loss, by their names."""
        if node.op == "L2Loss":
            yield node.input[0]
        for name in self.called(node):
            for i in self.penalised(name):
                yield node.input[i + BRANCHES.get(node.op, 0)]


def _source(tensor: str, nodes: Mapping[str, Any]) -> str:
    """The name of what a tensor is a plain read of."""
    name = tensor.split(":")[0]
    while name in nodes and nodes[name].op in _COPIES:
        name = nodes[name].input[0].split(":")[0]
    return name
