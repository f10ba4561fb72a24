"""What the cases on the fake GPU share: variables there, what was called, and the rule in NumPy."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tf1_wd.native import loader

DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
GPU, CPU = "/gpu:0", "/cpu:0"
TENSORS_PER_LAUNCH = 120  # decay_kernel.h
# Odd, scalar, whole packs of 16 bytes and all but whole, whole chunks of 64 KiB and one element more.
SHAPES = [(3, 5), (1,), (), (64,), (127,), (1000, 7), (8192,), (16384,), (32769,), (100003,)]
EMPTY = (0, 4)
RATES = np.array([0.05, 0.5, 0.25, 0.0, 0.9, 0.1, 0.3, 0.7, 0.001, 0.6, 0.2])


both_kinds = pytest.mark.parametrize("kind", ["reference", "resource"])


def shapes(kind):
    """Eleven of them, for RATES. TensorFlow cannot initialize an empty reference variable here: it runs a kernel."""
    return [*SHAPES, EMPTY if kind == "resource" else (2,)]


def weights(seed, shape, dtype):
    """Numbers of both signs over six orders of magnitude."""
    random = np.random.RandomState(seed)
    values = random.choice([-1.0, 1.0], shape) * 10.0 ** random.uniform(-3, 3, shape)
    return np.asarray(values).astype(dtype.as_numpy_dtype)


def expected(values, rate, scale):
    """The rule, in the precision of the op: every product and difference is rounded, half types once at the end."""
    computed = np.float64 if values.dtype == np.float64 else np.float32
    with np.errstate(invalid="ignore"):  # infinity - infinity
        wide = values.astype(computed)
        product = (computed(rate) * computed(scale)) * wide
        return (wide - product).astype(values.dtype)


@contextlib.contextmanager
def session():
    """A session that puts every op where it was told to, on a graph of its own."""
    config = tf.ConfigProto(allow_soft_placement=False, inter_op_parallelism_threads=4)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph, config=config) as opened:
        yield opened


def variable(name, value, kind, dtype=tf.float32, device=GPU):
    with tf.device(device):
        start = tf.constant(np.asarray(value).astype(dtype.as_numpy_dtype))
        return tf.get_variable(name, initializer=start, use_resource=kind == "resource")


def initialize(opened):
    opened.run(tf.global_variables_initializer())


def bits(array):
    """An array's bits, which compare as they are: NaN equals itself, -0 does not equal 0."""
    array = np.asarray(array)
    return array.view("u%d" % array.dtype.itemsize) if array.shape else array.tobytes()


def assert_same_bits(arrays, others):
    assert len(arrays) == len(others)
    for one, other in zip(arrays, others):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(bits(one), bits(other))


class Calls:
    """The calls of CUDA's functions since this was made, from the log of the fake driver."""

    def __init__(self):
        self._log = os.environ["FAKE_GPU_LOG"]
        self._start = os.path.getsize(self._log)

    def all(self):
        """Lists of words: function, library that called it, details."""
        with open(self._log) as file:
            file.seek(self._start)
            return [line.split() for line in file]

    def by_our_op(self):
        """Only those that the library of our op made, without the library's name."""
        library = os.path.basename(loader.status().path)
        return [[function, *details] for function, caller, *details in self.all() if caller == library]

    def launches(self):
        """(kernel, blocks, threads of a block, stream) of each launch."""
        return [tuple(words[1:]) for words in self.by_our_op() if words[0] == "cuLaunchKernel"]
