"""The soak passes where nothing leaks and the weights are right, and fails where either is wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from support.paths import ROOT
from support.processes import python
from support.tools import load_tool

TOOL = ROOT / "tools" / "soak.py"
needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the resident size on Linux alone")


@needs_linux
def test_a_soak_that_leaks_nothing_passes():
    # of fewer steps, what malloc keeps once comes near the bytes a step that are allowed
    done = python(str(TOOL), "--steps", "20000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": right") == 16
    assert ": level" in done.stdout


@needs_linux
@pytest.mark.parametrize("what", ["ops", "arrays"])
def test_a_leak_fails_and_leaves_the_weights_right(what):
    done = python(str(TOOL), "--steps", "2000", "--fail", what)
    assert done.returncode == 1, done.stderr
    assert ": GROWS" in done.stdout
    assert done.stdout.count(": right") == 16


@needs_linux
def test_a_rate_of_one_part_in_a_hundred_more_fails_in_every_training():
    done = python(str(TOOL), "--steps", "100", "--fail", "rate")
    assert done.returncode == 1, done.stderr
    assert done.stdout.count(": WRONG") == 16


@pytest.mark.parametrize("slope", [0.0, 16.0, -3.0])
def test_the_slope_is_that_of_the_line_with_its_standard_error(slope):
    x = np.arange(100.0)
    noise = np.where(x % 2, 1.0, -1.0)
    found, error = load_tool("soak").slope_of(np.stack([x, 7.0 + slope * x + noise], axis=1))
    assert abs(found - slope) < 3 * error
    wanted = np.sqrt(np.square(noise).sum() / 98 / np.square(x - x.mean()).sum())
    assert error == pytest.approx(wanted, rel=0.01)


def test_the_weights_are_compared_in_units_of_their_dtype(capsys):
    soak = load_tool("soak")
    for dtype, wrong in ((np.float64, 1), (np.float32, 0)):
        got = soak.expected("Adam", 10).astype(dtype) * dtype(1 + 1e-6)
        assert soak.compare({("Adam", "reference", "native", "some"): got}, 10) == wrong
