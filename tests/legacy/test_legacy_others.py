"""What NumPy and SciPy took away is there for old programs, and means what it meant."""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import pytest

from tf1_wd.legacy.repairs.numpy_scipy import NAMES, put_others


def test_every_name_is_there_in_the_block_and_as_before_after_it():
    before = dict(vars(np))
    with contextlib.ExitStack() as stack:
        put_others(stack)
        assert all(name in vars(np) for name in NAMES)
        assert all(vars(np)[name] is before[name] for name in NAMES if name in before)
    assert {name: value for name, value in vars(np).items() if name in NAMES} == {
        name: value for name, value in before.items() if name in NAMES
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")  # NumPy has some still
def test_the_names_mean_what_they_meant():
    with contextlib.ExitStack() as stack:
        put_others(stack)
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


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("make", ["array", "asarray"])
def test_lists_of_unequal_lengths_make_an_array_of_objects(make):
    with contextlib.ExitStack() as stack:
        put_others(stack)
        made = getattr(np, make)([([1, 2], [3]), ([4], [5])])
        assert made.dtype == object
        assert made.shape == (2, 2)
        with pytest.raises((ValueError, TypeError)):
            np.array([[1], [2, 3]], dtype=float)
        assert np.array([[1], [2]]).dtype == int
    assert np.array([1]).tolist() == [1]


def test_the_eigenvalues_of_scipy_are_at_their_old_place(tmp_path, monkeypatch):
    for path, text in {
        "scipy/__init__.py": "",
        "scipy/sparse/__init__.py": "",
        "scipy/sparse/linalg/__init__.py": "from . import _eigen\nfrom . import eigen",
        "scipy/sparse/linalg/eigen.py": "raise ImportError('deprecated')",
        "scipy/sparse/linalg/_eigen/__init__.py": "",
        "scipy/sparse/linalg/_eigen/arpack.py": "def eigsh(): return 'found'",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    with contextlib.ExitStack() as stack:
        put_others(stack)
        from scipy.sparse.linalg.eigen.arpack import eigsh
    assert eigsh() == "found"
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        del sys.modules[name]
