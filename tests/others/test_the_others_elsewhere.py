"""Systems that need an environment of their own train as their rows of tf1_wd.conventions say.

A program runs the line of the row there and prints the weights after each of 20 steps; .ci/run makes the environments.
"""

from __future__ import annotations

import importlib.util
import sys

import pytest

from support.environments import interpreter
from support.trajectories import assert_is_its_row, by_system, lines

BOTH = ("constant", "schedule")
TORCH, OPTAX = lines("pytorch", "pytorch_l2", schedules=BOTH), lines("optax", "optax_l2", schedules=BOTH)
CHAINER = lines("chainer", "chainer_l2", schedules=BOTH)
ADDONS = lines("tf_addons")


@pytest.mark.parametrize("case", TORCH, ids=" ".join)
def test_pytorch_trains_as_its_row_says(case, kind):
    assert_is_its_row(case, by_system("convention_torch", interpreter("TF1_WD_TORCH_PYTHON"), tuple(TORCH))[case])


@pytest.mark.parametrize("case", OPTAX, ids=" ".join)
def test_optax_trains_as_its_row_says(case, kind):
    assert_is_its_row(case, by_system("convention_optax", interpreter("TF1_WD_TORCH_PYTHON"), tuple(OPTAX))[case])


@pytest.mark.parametrize("case", CHAINER, ids=" ".join)
def test_chainer_trains_as_its_row_says(case, kind):
    assert_is_its_row(case, by_system("convention_chainer", interpreter("TF1_WD_CHAINER_PYTHON"), tuple(CHAINER))[case])


@pytest.mark.parametrize("case", ADDONS, ids=" ".join)
def test_tf_addons_train_as_their_row_says(case, kind):
    if importlib.util.find_spec("tensorflow_addons") is None:
        pytest.skip(
            "TensorFlow Addons are of 2.15 and before: pip install tensorflow==2.15.1 tensorflow-addons==0.23.0"
        )
    assert_is_its_row(case, by_system("convention_addons", sys.executable, tuple(ADDONS))[case])
