"""Marks in the graph: which ops are decays of ours, and which of these belong to an optimizer."""

from __future__ import annotations

import contextlib
from typing import Iterator

from tf1_wd._tf import tf
from tf1_wd.graph.op_types import DECAYS

# collections: a graph that keeps its decay ops in a dict of ours would never go away
_MADE = "tf1_wd/decay"
_BY_OPTIMIZERS = "tf1_wd/decay_of_optimizers"  # those of _MADE that are no scope's


def made(ops: list[tf.Operation]) -> list[tf.Operation]:
    """Marks ops as decays, for `is_decay`, and returns them."""
    tf.get_default_graph().get_collection_ref(_MADE).extend(ops)
    return ops


def is_decay(op: tf.Operation) -> bool:
    """True for an op that `made` has marked, also after the graph went through a file."""
    return op.type in DECAYS or op in op.graph.get_collection_ref(_MADE)


def made_in(tf_graph: tf.Graph) -> list[tf.Operation]:
    """The ops that `decay` and `subtract` made in a graph, but for those of optimizers that decay by themselves."""
    by_optimizers = set(tf_graph.get_collection(_BY_OPTIMIZERS))
    return [op for op in tf_graph.get_collection(_MADE) if op.graph is tf_graph and op not in by_optimizers]


@contextlib.contextmanager
def by_an_optimizer() -> Iterator[None]:
    """Context in which decays are made that belong to an optimizer which decays by itself, and to no scope."""
    here = tf.get_default_graph()
    before = len(here.get_collection(_MADE))
    yield
    here.get_collection_ref(_BY_OPTIMIZERS).extend(here.get_collection(_MADE)[before:])


def made_by_optimizers(tf_graph: tf.Graph) -> list[tf.Operation]:
    """The decay ops of a graph that belong to optimizers which decay by themselves."""
    return [op for op in tf_graph.get_collection(_BY_OPTIMIZERS) if op.graph is tf_graph]
