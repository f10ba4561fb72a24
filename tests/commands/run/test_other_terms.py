"""Programs with terms that are not L2 of whole variables, untouched, under `tf1-wd run`."""

from __future__ import annotations

import numpy as np
import pytest

from support.programs import LR, RATE, W0, assert_close, gradient
from tf1_wd.plan.reasons import Fate

L1_BESIDE_L2 = """\
w = weights()
loss = data_loss(w + tf.placeholder_with_default(np.zeros([2, 3]), [2, 3])) + RATE * tf.nn.l2_loss(-w)
train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss + RATE * tf.reduce_sum(tf.abs(w)))
"""


@pytest.mark.parametrize("others", ["coupled", "decouple"])
def test_other_terms_stay_in_the_gradient_or_take_a_step_of_their_own(others, execute):
    _, program, (plan,) = execute(L1_BESIDE_L2, convention="snippet", others=others)
    want = W0
    for _ in range(5):
        l1 = RATE * np.sign(want) if others == "coupled" else 0.0
        stepped = want - LR * (gradient(want) + l1)
        want = (1 - RATE) * stepped - (0.0 if others == "coupled" else RATE * np.sign(stepped))
    assert_close(program["result"][0], want)
    assert len(plan.terms) == 1


ROWS_OF_A_BATCH = """\
w, ids = weights(), tf.placeholder_with_default([1, 1], [None])
rows = tf.nn.embedding_lookup(w, ids)
loss = tf.reduce_sum(tf.nn.softplus(rows[:, 0])) + RATE * tf.nn.l2_loss(rows)
train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
"""


def test_rows_that_a_batch_looks_up_decay_by_the_rate_of_the_program(execute):
    result, program, (plan,) = execute(ROWS_OF_A_BATCH)
    want = W0.copy()
    for _ in range(5):
        slope = np.array([2.0 / (1.0 + np.exp(-want[1, 0])), 0.0, 0.0])
        want[1] -= LR * (slope + 2 * RATE * want[1])  # under SGD that is what L2 in the gradient does
    assert result.error is None
    assert_close(program["result"][0], want)
    assert [fate for _, fate in plan.terms] == [Fate.OWN_ROWS]
