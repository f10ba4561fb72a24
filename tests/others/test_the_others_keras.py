"""What Keras AdamW does, measured with the Keras that TensorFlow 2 brings, in a process with v2 behavior.

See cases/keras_adamw.py, cases/convention_keras.py and test_the_others.py.
"""

from __future__ import annotations

import sys

import pytest

from support.other_decays import KEEPS, RATE, facts
from support.trajectories import assert_is_its_row, by_system, lines

LINES = lines("keras", schedules=("constant", "schedule"))


@pytest.mark.parametrize("case", LINES, ids=" ".join)
def test_keras_trains_as_its_row_says(case, kind):
    found = by_system("convention_keras", sys.executable, tuple(LINES))[case]
    assert_is_its_row(case, found, atol=1e-5)  # Keras rounds beta_2 to float32 in one of its two places


def test_keras_decays_by_its_row_with_weight_decay_of_every_optimizer():
    assert facts("keras_adamw")["every_optimizer"] == [KEEPS] * 9


def test_keras_adamw_does_not_decay_on_a_skipped_step():
    assert facts("keras_adamw")["skipped"] == [1.0, KEEPS]


def test_keras_adamw_keeps_frozen_variables():
    assert facts("keras_adamw")["frozen"] == [1.0, KEEPS**2]
    assert facts("keras_adamw")["frozen_later"] == [KEEPS, KEEPS**2]


def test_keras_adamw_decays_the_weights_of_its_own_optimizer_alone():
    assert facts("keras_adamw")["two_optimizers"] == {"D": KEEPS, "G": 1.0}


def test_keras_adamw_decays_each_copy_once_under_a_mirrored_strategy():
    assert facts("keras_adamw")["mirrored"] == [KEEPS] * 2


def test_keras_adamw_decays_once_an_accumulated_step():
    assert facts("keras_adamw")["accumulated"] == KEEPS**2
    assert facts("keras_adamw")["accumulated_by_keras"] in (KEEPS**2, None)  # None: Keras 2 has no such option


def test_keras_adamw_is_seen_by_its_own_ema():
    start = {"2.": 1.0, "3.": KEEPS}[facts("keras_adamw")["version"][:2]]  # Keras 3 starts from the first step
    first = 0.75 * start + 0.25 * KEEPS
    assert facts("keras_adamw")["average"] == [KEEPS**2, 0.75 * first + 0.25 * KEEPS**2]


def test_keras_adamw_decays_all_rows():
    assert facts("keras_adamw")["rows"] == ["IndexedSlices", KEEPS]


def test_keras_adamw_is_not_clipped_and_comes_on_top_of_l2_in_the_loss():
    decay, l2_alone = facts("keras_adamw")["clipped"]
    assert decay == pytest.approx(-RATE)
    assert l2_alone == pytest.approx(0.5, abs=0.01)  # a whole learning rate, however small the gradient: not decay


def test_keras_adamw_continues_from_a_checkpoint_as_if_nothing_had_been():
    assert facts("keras_adamw")["restart"] is True
