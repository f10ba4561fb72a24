"""What NumPy and SciPy took away is there for old programs, and means what it meant."""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.versions import IS_TF1
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_arguments_and_methods_mean_what_they_meant():
    before = {name: getattr(np, name) for name in ("reshape", "array", "sum", "fromstring", "set_printoptions")}
    methods = [hasattr(np.ndarray, name) for name in ("tostring", "itemset")]
    options = np.get_printoptions()
    with contextlib.ExitStack() as stack:
        put_others(stack)
        assert np.reshape([1, 2], newshape=[2, 1]).shape == (2, 1)
        assert np.reshape([1, 2], (2, 1)).shape == (2, 1)
        assert np.percentile([1, 2, 4], 60, interpolation="lower") == 2
        assert np.quantile([1, 2, 4], 0.6, interpolation="higher") == 4
        assert np.fromstring(b"\1\2", np.uint8).tolist() == [1, 2]
        assert np.fromstring("1 2", int, sep=" ").tolist() == [1, 2]
        assert np.array([1, 2], copy=False).tolist() == [1, 2]
        array = np.zeros([2, 2], np.float32)
        assert np.array(array, copy=False) is array
        assert array.tostring() == bytes(16)
        assert np.float32(0).tostring() == bytes(4)
        array.itemset(3, 5)
        array.itemset((0, 1), 7)
        array.itemset(1, 0, 9)
        assert array.tolist() == [[0, 7], [9, 5]]
        np.set_printoptions(threshold=np.nan)
        assert "..." not in str(np.zeros(2000))
        np.set_printoptions(**{name: options[name] for name in ("threshold", "precision")})
        assert np.cast[np.int32](1.5).dtype == np.int32
        assert np.cast["float32"]([1]).dtype == np.float32
        assert np.find_common_type([np.float32], [np.int64, np.float64]) == np.float32
        assert np.find_common_type([np.int32], [np.float64]) == np.float64
        assert np.alen([1, 2]) == 2
        assert np.bool8 is np.bool_
        assert np.dtype(np.int0) == np.intp
        assert np.sum(x for x in [1, 2]) == 3
        assert np.sum(np.ones(2) for _ in range(2)).tolist() == [2, 2]
        with pytest.raises(TypeError, match="nosuch"):
            np.reshape([1], nosuch=1)
    assert all(getattr(np, name) is function for name, function in before.items())
    assert [hasattr(np.ndarray, name) for name in ("tostring", "itemset")] == methods


@pytest.mark.skipif(IS_TF1, reason="it is so there")
def test_sums_and_arrays_of_tensors_are_those_of_objects():
    with contextlib.ExitStack() as stack:
        put_others(stack)
        one, two = tf.constant(1.0), tf.constant(2.0)
        sums = {
            "list": np.sum([one, two]),
            "generator": np.sum(x for x in [one, two]),
            "with a number": np.sum((one, 2.0)),
            "axis": np.sum([[one, one], [one, 0.0]], axis=0)[0] + one,
            "vectors": np.sum([tf.constant([1.0, 2.0]), tf.constant([2.0, 1.0])])[0],
            "elements": np.array([one, two]).sum(),
            "nested": np.asarray([[one], [two]])[:, 0].sum(),
            "cumulated": np.cumsum([one, two])[1],
            "product": np.prod([one, two]) + 1.0,
        }
        with pytest.raises(NotImplementedError):
            np.array([one], np.float32)
    with tf.Session() as session:
        assert session.run(sums) == dict.fromkeys(sums, 3.0)


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


@pytest.fixture
def without_scipy(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    yield monkeypatch
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        del sys.modules[name]


@pytest.mark.parametrize("misc", [None, "kept = 1", "def __getattr__(name): return {'kept': 1}[name]"])
def test_what_scipy_took_away_is_there(misc, tmp_path, without_scipy):
    files = {
        "scipy/__init__.py": "",
        "scipy/signal/__init__.py": "kept = 1",
        "scipy/signal/windows.py": "def hann(n): return n",
        "scipy/special.py": "def logsumexp(a): return a",
    }
    if misc is not None:
        files["scipy/misc/__init__.py"] = misc
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    without_scipy.syspath_prepend(str(tmp_path))
    with contextlib.ExitStack() as stack:
        put_others(stack)
        import scipy.misc
        import scipy.signal
        from scipy.misc import imread
        from scipy.signal import hanning

        assert scipy.misc.logsumexp(2) == hanning(2) == scipy.signal.hann(2) == 2
        assert imread is scipy.misc.imread
        assert scipy.signal.kept == 1
        assert misc is None or scipy.misc.kept == 1
        with pytest.raises((AttributeError, KeyError)):
            scipy.misc.nosuch  # noqa: B018
    assert not hasattr(scipy.signal, "hann")


def test_images_of_scipy_are_written_read_and_resized(tmp_path):
    from tf1_wd.legacy.standins.small import scipy_images as misc

    pixels = np.arange(24, dtype=np.uint8).reshape([4, 2, 3])
    path = str(tmp_path / "image.png")
    misc.imsave(path, pixels)
    assert misc.imread(path).tolist() == pixels.tolist()
    assert misc.imread(path, flatten=True).shape == (4, 2)
    assert misc.imread(path, mode="L").dtype == np.uint8
    assert misc.imresize(pixels, (8, 6)).shape == (8, 6, 3)
    assert misc.imresize(pixels, 50).shape == (2, 1, 3)
    assert misc.imresize(pixels[:, :, 0], 2.0, interp="nearest")[0].tolist() == [0, 0, 3, 3]
    assert misc.imresize(pixels[:, :, 0] / 2.0, (4, 2)).max() == 255
    assert misc.imresize(np.array([[1.5, 2.5]]), (1, 2), mode="F").tolist() == [[1.5, 2.5]]
    assert misc.imrotate(pixels, 180)[0, 0].tolist() == pixels[3, 1].tolist()
    assert misc.toimage(np.moveaxis(pixels, 2, 0)).size == (2, 4)
