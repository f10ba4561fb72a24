"""Copies of a few ops of a graph, with other tensors in place of some of their inputs."""

from __future__ import annotations

from typing import Callable, Sequence

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.graph.op_types import CONTROL_FLOW

Replacement = Callable[["tf.Tensor"], "tf.Tensor"]


def can_be_copied(op: tf.Operation) -> bool:
    """True for an op that means the same elsewhere: no control flow, no function, no gradient of its own making."""
    attributes = op.node_def.attr
    return (
        op.type not in CONTROL_FLOW
        and not _tf.is_function(op)
        and not any(name == "_gradient_op_type" or attributes[name].HasField("func") for name in attributes)
    )


def copy_ops(ops: Sequence[tf.Operation], replacement: Replacement, name: str) -> Replacement:
    """Copies `ops` into the default graph, under `name`; returns a function from a tensor to its copy.

    replacement: from a tensor outside of `ops` to the one in the default graph that takes its place; the function
    returned falls back to it.
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
        input_map.update((t.name, replacement(t)) for t in op.inputs if t.op not in inside)
    copies = tf.import_graph_def(definition, input_map, return_elements=[op.name for op in ops], name=name)
    copy_of = dict(zip(ops, copies))
    return lambda t: copy_of[t.op].outputs[t.value_index] if t.op in copy_of else replacement(t)
