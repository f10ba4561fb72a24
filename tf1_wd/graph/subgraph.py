"""Copies of a few ops of a graph, with other tensors in place of some of their inputs."""

from __future__ import annotations

from typing import Callable, Sequence

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import CONTROL_FLOW
from tf1_wd.graph.variables import read_source

Replacement = Callable[["tf.Tensor"], "tf.Tensor"]
Adaptation = Callable[["tf.Operation", "tf.NodeDef"], None]
# ops on the handle of a resource variable -> (the same on its value, {attribute: its name there})
_ON_VALUES = {
    "ResourceGather": ("Gather", {"dtype": "Tparams", "Tindices": "Tindices"}),
    "ResourceGatherNd": ("GatherNd", {"dtype": "Tparams", "Tindices": "Tindices"}),
    "VariableShape": ("Shape", {"out_type": "out_type"}),
}


def can_be_copied(op: tf.Operation) -> bool:
    """True for an op that means the same elsewhere: no control flow, no function, no gradient of its own making."""
    attributes = op.node_def.attr
    return (
        op.type not in CONTROL_FLOW
        and not _tf.is_function(op)
        and not any(name == "_gradient_op_type" or attributes[name].HasField("func") for name in attributes)
    )


def copy_ops(
    ops: Sequence[tf.Operation],
    replacement: Replacement,
    name: str,
    adapt: Adaptation = lambda op, node: None,
) -> Replacement:
    """Copies `ops` into the default graph, under `name`; returns a function from a tensor to its copy.

    replacement: from a tensor outside of `ops` to the one in the default graph that takes its place; the function
    returned falls back to it. adapt: changes the definition of the copy of an op.
    """
    if not ops:
        return replacement
    definition, inside = tf.GraphDef(), set(ops)
    input_map: dict[str, tf.Tensor] = {}
    definition.versions.CopyFrom(ops[0].graph.graph_def_versions)  # so that it imports as it was made
    for op in ops:
        node = definition.node.add()
        node.CopyFrom(op.node_def)
        node.device = ""
        node.attr.pop("_class", None)
        del node.input[:]
        node.input.extend(tensor.name for tensor in op.inputs)
        adapt(op, node)
        input_map.update((t.name, replacement(t)) for t in op.inputs if t.op not in inside)
    copies = tf.import_graph_def(definition, input_map, return_elements=[op.name for op in ops], name=name)
    copy_of = dict(zip(ops, copies))
    return lambda t: copy_of[t.op].outputs[t.value_index] if t.op in copy_of else replacement(t)


def reads_a_handle(op: tf.Operation) -> bool:
    """True for an op on the handle of a resource variable of which `on_values` knows the same on its value."""
    return op.type in _ON_VALUES and not (op.type == "ResourceGather" and op.get_attr("batch_dims"))


def on_values(op: tf.Operation, node: tf.NodeDef) -> None:
    """Makes the copy of an op take the value of a resource variable where the op takes its handle."""
    if not reads_a_handle(op):
        return
    node.op, names = _ON_VALUES[op.type]
    kept = {new: op.node_def.attr[old] for old, new in names.items() if old in op.node_def.attr}
    node.attr.clear()
    for name, value in kept.items():
        node.attr[name].CopyFrom(value)
    if node.op == "Shape":
        variable: tf.Operation = read_source(op.inputs[0])
        node.attr["T"].type = variable.get_attr("dtype").as_datatype_enum
