"""NumPy's old names are there for old programs, and mean what they meant."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from tf1_wd.legacy.numpy_names import NAMES, put_names


def test_every_name_is_there_in_the_block_and_as_before_after_it():
    before = dict(vars(np))
    with contextlib.ExitStack() as stack:
        put_names(stack)
        assert all(name in vars(np) for name in NAMES)
        assert all(vars(np)[name] is before[name] for name in NAMES if name in before)
    assert {name: value for name, value in vars(np).items() if name in NAMES} == {
        name: value for name, value in before.items() if name in NAMES
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")  # NumPy has some still
def test_the_names_mean_what_they_meant():
    with contextlib.ExitStack() as stack:
        put_names(stack)
        assert np.array([1.5, 2]).astype(np.int).tolist() == [1, 2]
        assert np.zeros(2, np.float).dtype == np.float_ == np.float64
        assert np.array(["a"], dtype=np.object).dtype == object
        assert np.array([1, 0], np.bool).dtype == bool
        assert np.isnan(np.NaN)
        assert -np.Inf == np.NINF < 0 < np.PINF == np.infty
        assert np.product([2, 3]) == 6
        assert np.cumproduct([2, 3]).tolist() == [2, 6]
        assert np.sometrue([0, 1])
        assert not np.alltrue([0, 1])
        assert np.in1d([1, 2], [2]).tolist() == [False, True]
        assert np.trapz([0, 1, 2]) == 2
        assert np.row_stack([[1], [2]]).shape == (2, 1)
        assert (np.mat([[2]]) * np.mat([[3]])).item() == 6
        assert np.round_(1.26, 1) == 1.3
        assert np.msort([[2], [1]]).tolist() == [[1], [2]]
        assert np.asfarray([1]).dtype == np.float64
        assert np.asscalar(np.array([3])) == 3
        assert np.array([b"a"], np.string_).dtype.kind == "S"
        assert np.array(["a"], np.unicode_).dtype.kind == "U"
