"""Terms of the loss collection that are not L2 and not in the loss: the SGD step that the pasted snippet takes."""

from __future__ import annotations

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.subgraph import can_be_copied, copy_ops
from tf1_wd.penalties.find import Term


def term_steps(
    term: Term, variables: dict[tf.Operation, tf.Variable], scale: Scalar
) -> list[tuple[tf.Variable, tf.Tensor]]:
    """(variable, scale * d rest / d variable) for the part of a term that is not L2, on weights read when this runs.

    term: one whose rest is "variables". variables: those that this update trains; the others are constants. The reads
    obey the control dependencies in force. Raises UnsupportedUpdateError for a term with control flow in it.
    """
    penalties = frozenset(p.tensor.op for p in term.penalties)
    ops = graph.ancestors([term.tensor], stop=penalties)
    mine = {op: _tf.fresh_read(v) for op, v in variables.items() if op in term.variables}
    moving = [op for op in graph.between(list(mine), ops) if op not in penalties]
    moving = [op for op in moving if graph.read_source(op.outputs[0]) not in mine]
    for op in moving:
        if not can_be_copied(op):
            raise UnsupportedUpdateError(
                "the term %s of the loss collection goes through %s (%s), which cannot be replayed after the update: "
                "add the term to the loss, or take it out of the collection" % (term.tensor.name, op.name, op.type)
            )

    def replacement(tensor: tf.Tensor) -> tf.Tensor:
        source = graph.read_source(tensor)
        return tf.cast(mine[source], tensor.dtype.base_dtype) if source in mine else tensor

    copy = copy_ops(moving, replacement, "weight_decay_term")
    steps = _tf.gradients([copy(term.tensor)], list(mine.values()))
    found = []
    for op, step in zip(mine, steps):
        if step is not None:
            step = tf.convert_to_tensor(step)
            found.append((variables[op], step * tf.cast(scale, step.dtype)))
    return found
