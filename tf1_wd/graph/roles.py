"""Which variables are biases, and which are parameters of a normalization: by structure, then by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

from tf1_wd.graph.op_types import PLUS, READS

if TYPE_CHECKING:
    from tf1_wd._tf import tf

_NORMS = frozenset(["gamma", "beta", "moving_mean", "moving_variance", "layer_norm_scale", "layer_norm_bias"])
_BIASES = frozenset(["bias", "biases", "b"])


def role_of(variable: tf.Operation) -> str:
    """ "bias", "norm" or "" for a variable (its op) of one dimension or none; "" for all others.

    A bias is added (BiasAdd), a parameter of a normalization goes into a fused one, or is combined with the inverse
    root of a variance.
    """
    rank = len(variable.get_attr("shape").dim)
    if rank > 1:
        return ""
    last = variable.name.rsplit("/", 1)[-1].lower()
    if last in _NORMS:
        return "norm"
    added = False
    for consumer in _uses(variable):
        if consumer.type.startswith("FusedBatchNorm"):
            return "norm"
        if consumer.type == "Mul" and any(t.op.type == "Rsqrt" for t in consumer.inputs):
            return "norm"
        if consumer.type == "BiasAdd":
            return "bias"
        added = added or (rank == 1 and consumer.type in PLUS and (consumer.outputs[0].shape.rank or 0) > 1)
    return "bias" if added or last in _BIASES else ""


def _uses(variable: tf.Operation) -> Iterator[tf.Operation]:
    """The ops that take the variable, seen through reads."""
    pending = [variable.outputs[0]]
    while pending:
        for consumer in pending.pop().consumers():
            if consumer.type in READS and consumer.outputs:
                pending.append(consumer.outputs[0])
            else:
                yield consumer
