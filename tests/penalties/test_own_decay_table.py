"""Which assignments are a decay that a program does by itself: a table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.programs import W0, gradient, weights
from tf1_wd.graph.variables import variable_op
from tf1_wd.penalties.own_decay import own_decays

MASK = (W0 > 0).astype(np.float64)


class State(NamedTuple):
    """The weights v, what an optimizer keeps for them (m, u), a scalar that is fed and one in a variable."""

    v: tf.Variable
    m: tf.Variable
    u: tf.Variable
    fed: tf.Tensor
    kept: tf.Variable


def adam(s):
    return s.m / (tf.sqrt(s.u) + 1e-6)


# what is assigned, and whether that is a decay
ASSIGNMENTS = {
    "v <- 0.75 v": (lambda s: s.v.assign(0.75 * s.v), True),
    "v <- v * 0.75": (lambda s: s.v.assign(s.v * 0.75), True),
    "v <- v / 1.25": (lambda s: s.v.assign(s.v / 1.25), True),
    "v <- (1 - fed) v": (lambda s: s.v.assign((1 - s.fed) * s.v), True),
    "v <- (1 - kept) v": (lambda s: s.v.assign((1 - s.kept) * s.v), True),
    "v <- v - 0.25 v": (lambda s: s.v.assign(s.v - 0.25 * s.v), True),
    "v -= 0.25 v": (lambda s: s.v.assign_sub(0.25 * s.v), True),
    "v += -fed v": (lambda s: s.v.assign_add(-s.fed * s.v), True),
    "v -= 0.125 (m + 0.25 v)": (lambda s: s.v.assign_sub(0.125 * (s.m + 0.25 * s.v)), True),
    "v -= fed (adam + 0.25 v)": (lambda s: s.v.assign_sub(s.fed * (adam(s) + 0.25 * s.v)), True),
    "v <- 0.75 v - 0.125 m": (lambda s: s.v.assign(0.75 * s.v - 0.125 * s.m), True),
    "v <- the sum of v, -0.25 v, -m": (lambda s: s.v.assign(tf.add_n([s.v, -0.25 * s.v, -s.m])), True),
    "v -= |v| / |adam| (adam + 0.25 v)": (
        lambda s: s.v.assign_sub(tf.norm(s.v) / tf.norm(adam(s)) * (adam(s) + 0.25 * s.v)),
        True,
    ),
    "v <- 0.75 v, clipped": (lambda s: s.v.assign(tf.clip_by_value(0.75 * s.v, -1.0, 1.0)), True),
    "v <- 0.75 v or v": (lambda s: s.v.assign(tf.where(tf.is_finite(s.m), 0.75 * s.v, s.v)), True),
    "v[0] -= 0.25 v[0]": (lambda s: tf.scatter_sub(s.v, [0], 0.25 * tf.gather(s.v, [0])), True),
    "v <- (1 - fed / 4) v": (lambda s: s.v.assign((1 - s.fed / 4.0) * s.v), True),
    "v <- (1 - fed / 4) v + fed / 4 v": (lambda s: s.v.assign((1 - s.fed / 4.0) * s.v + s.fed / 4.0 * s.v), False),
    "v <- (1 - kept) v + kept v": (lambda s: s.v.assign((1 - s.kept) * s.v + s.kept * s.v), False),
    "v <- v": (lambda s: s.v.assign(tf.identity(s.v)), False),
    "v <- 1.25 v": (lambda s: s.v.assign(1.25 * s.v), False),
    "v <- (1 + fed) v": (lambda s: s.v.assign((1 + s.fed) * s.v), False),
    "v <- -v": (lambda s: s.v.assign(-s.v), False),
    "v <- 0": (lambda s: s.v.assign(tf.zeros_like(s.v)), False),
    "v <- m": (lambda s: s.v.assign(0.75 * s.m), False),
    "v <- v * mask": (lambda s: s.v.assign(s.v * MASK), False),
    "v <- v - 0.125 m": (lambda s: s.v.assign(s.v - 0.125 * s.m), False),
    "v -= fed adam": (lambda s: s.v.assign_sub(s.fed * adam(s)), False),
    "v -= 0.125 of its gradient": (lambda s: s.v.assign_sub(0.125 * gradient(s.v)), False),
    "v <- 0.75 v + 0.25 m": (lambda s: s.v.assign(0.75 * s.v + 0.25 * s.m), False),
    "v -= fed (v - m)": (lambda s: s.v.assign_sub(s.fed * (s.v - s.m)), False),
    "v -= 0.125 (m + 0 v)": (lambda s: s.v.assign_sub(0.125 * (s.m + 0.0 * s.v)), False),
    "lamb without decay": (lambda s: s.v.assign(s.v - 0.1 * tf.norm(s.v) * (adam(s) + 0.0 * s.v)), False),
    "v <- v / |v|": (lambda s: s.v.assign(s.v / tf.norm(s.v)), False),
    "v <- v, its norm clipped": (lambda s: s.v.assign(tf.clip_by_norm(s.v, 1.0)), False),
    "m <- 0.75 m": (lambda s: s.m.assign(0.75 * s.m), False),
    "m <- 0.75 m + 0.25 v": (lambda s: s.m.assign(0.75 * s.m + 0.25 * s.v), False),
}


def state():
    return State(*map(weights, "vmu"), tf.placeholder(tf.float64, [], name="fed"), weights("kept", value=0.5))


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_an_assignment_is_a_decay_or_none(assignment, kind):
    build, is_decay = ASSIGNMENTS[assignment]
    s = state()
    build(s)
    decayed = [variable for variable, _ in own_decays([variable_op(s.v)])]
    assert decayed == ([variable_op(s.v)] if is_decay else [])
