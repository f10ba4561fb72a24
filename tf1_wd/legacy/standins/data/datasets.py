"""The small data sets of tf.contrib.learn.datasets: the readers."""

from __future__ import annotations

import collections
import csv

import numpy as np
from tensorflow.compat.v1 import gfile

from tf1_wd.errors import NoDataError
from tf1_wd.legacy.standins.data.download import Datasets, maybe_download  # noqa: F401  programs take them from here
from tf1_wd.legacy.standins.data.mnist import load_mnist

Dataset = collections.namedtuple("Dataset", ["data", "target"])


def load_csv_with_header(filename, target_dtype, features_dtype, target_column=-1):
    """A Dataset from a file whose first line tells rows and columns."""
    with gfile.Open(filename) as file:
        rows = csv.reader(file)
        count, width = (int(cell) for cell in next(rows)[:2])
        cells = [row for row in rows if row]
    return _dataset(cells, target_dtype, features_dtype, target_column, (count, width))


def load_csv_without_header(filename, target_dtype, features_dtype, target_column=-1):
    """A Dataset from a file of rows."""
    with gfile.Open(filename) as file:
        return _dataset([row for row in csv.reader(file) if row], target_dtype, features_dtype, target_column, None)


def _dataset(rows, target_dtype, features_dtype, column, shape):
    target = np.asarray([row.pop(column) for row in rows], dtype=target_dtype)
    data = np.asarray(rows, dtype=features_dtype)
    if shape is not None and data.shape != shape:
        raise ValueError("The file says %s samples x features, and has %s" % (shape, data.shape))
    return Dataset(data=data, target=target)


def load_iris(data_path=None):
    """Iris, from a file: data_path is iris.csv with a header of counts. Raises: NoDataError without it."""
    if data_path is None:
        raise NoDataError("load_iris() came with TensorFlow 1: pass data_path, a csv file with a header of counts")
    return load_csv_with_header(data_path, target_dtype=int, features_dtype=float)


def load_boston(data_path=None):
    """Boston housing, from a file: data_path is the csv with a header of counts. Raises: NoDataError without it."""
    if data_path is None:
        raise NoDataError("load_boston() came with TensorFlow 1: pass data_path, a csv file with a header of counts")
    return load_csv_with_header(data_path, target_dtype=float, features_dtype=float)


def load_dataset(name, size="small", test_with_fake_data=False):
    """mnist, read from MNIST-data. Raises: NoDataError for files, ValueError for names that are not there."""
    if name != "mnist":
        raise ValueError("tf1_wd reads mnist alone, not %s: read the files with NumPy" % name)
    return load_mnist()
