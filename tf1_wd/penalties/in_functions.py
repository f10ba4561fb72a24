"""L2 in functions of a graph's library: the bodies of calls, and the branches and loops of control flow v2."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import BRANCHES, CALLS, READS, RESHAPES

Library = Mapping[str, Any]  # FunctionDefs by name


class FunctionsWithL2(NamedTuple):
    """names: of the functions that hold L2 of variables. gated: ops of the variables with L2 in a branch or a loop."""

    names: list[str]
    gated: set[tf.Operation]


def functions_with_l2(ops: Sequence[tf.Operation]) -> FunctionsWithL2:
    """What the functions that `ops` call hold of tf.nn.l2_loss."""
    calls = [op for op in ops if op.type in CALLS or _tf.is_function(op)]
    library = {f.signature.name: f for f in ops[0].graph.as_graph_def().library.function} if calls else {}
    names: set[str] = set()
    gated: set[tf.Operation] = set()
    for op in calls:
        for name in _called(op.node_def, library):
            inputs = list(op.inputs)[BRANCHES.get(op.type, 0) :]
            weights = {v for i in _penalised(name, library) for v in graph.variables_behind(inputs[i]) or ()}
            names.update([name] if weights else [])
            gated.update(weights if op.type in BRANCHES else ())
    return FunctionsWithL2(sorted(names), gated)


def _called(node: Any, library: Library) -> list[str]:
    """The names of the functions that a NodeDef calls."""
    attributes = node.attr.values()
    functions = [a.func for a in attributes if a.HasField("func")] + [f for a in attributes for f in a.list.func]
    return [name for name in [node.op, *(f.name for f in functions)] if name in library]


def _penalised(name: str, library: Library) -> set[int]:
    """Which arguments of a function are weights in tf.nn.l2_loss."""
    function = library[name]
    nodes = {node.name: node for node in function.node_def}
    places = {argument.name: i for i, argument in enumerate(function.signature.input_arg)}
    weights = [source for node in function.node_def for source in _weights_of(node, library)]
    return {places[source] for source in (_source(w, nodes) for w in weights) if source in places}


def _weights_of(node: Any, library: Library) -> Iterator[str]:
    """The inputs of a NodeDef that are weights in tf.nn.l2_loss, by their names."""
    if node.op == "L2Loss":
        yield node.input[0]
    else:
        for name in _called(node, library):
            for i in _penalised(name, library):
                yield node.input[i + BRANCHES.get(node.op, 0)]


def _source(tensor: str, nodes: Mapping[str, Any]) -> str:
    """The name of what a tensor is a plain read of."""
    name = tensor.split(":")[0]
    while name in nodes and nodes[name].op in READS | RESHAPES:
        name = nodes[name].input[0].split(":")[0]
    return name
