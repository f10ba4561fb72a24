"""Scalar summaries of a decay, for TensorBoard."""

from __future__ import annotations

from typing import Iterable

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.errors import UnsupportedUpdateError


def add_summaries(updates: Iterable[AppliedUpdate]) -> None:
    """Adds two scalars for each update: weight_decay/scale, and weight_decay/largest_rate, the largest rate * scale.

    A second update has weight_decay/scale_1, and so on. They are in the collection SUMMARIES, as of tf.summary.scalar,
    and show what an update in the same run decays by.
    Raises UnsupportedUpdateError for a number that only a branch or a loop knows.
    """
    seen = set()
    for applied in updates:
        decays = applied.update.decays
        key = (id(applied.graph), id(applied.scale), tuple(d.name for d in decays))
        if not decays or key in seen:  # each replica of a strategy brings the same one
            continue
        seen.add(key)
        rates = {id(d.rate): d.rate for d in decays}.values()
        for number in [applied.scale, *rates]:
            is_inside = tf.is_tensor(number) and _tf.control_flow_context(number.op) is not None
            if is_inside or _tf.outermost(applied.graph) is not applied.graph:
                raise UnsupportedUpdateError(
                    "summary=True: the update, or %s, is inside of a branch or a loop. Pass scale= a Tensor that is "
                    "made outside of it, and give that to tf.summary.scalar" % number
                )
        with applied.graph.as_default(), tf.control_dependencies(None), tf.name_scope("weight_decay/"):
            scale = tf.cast(applied.scale, tf.float32)
            largest = tf.reduce_max(tf.stack([tf.cast(rate, tf.float32) for rate in rates])) * scale
            tf.summary.scalar("scale", scale)
            tf.summary.scalar("largest_rate", largest)
