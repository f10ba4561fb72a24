"""What the tests of the native op share: both implementations, both kinds of variables, a session with four threads."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tf1_wd.native.decay import decay

BACKENDS = ("native", "tensorflow")
KINDS = ("reference", "resource")
DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
# relative error of one rounded product and one rounded difference
PRECISION = {tf.float16: 1e-3, tf.bfloat16: 8e-3, tf.float32: 2.5e-7, tf.float64: 5e-16}
SHAPES = [(3, 5), (1,), (), (0, 4), (1000, 7), (8191,), (8193,), (100003,)]
RATES = np.array([0.05, 0.5, 0.25, 0.9, 0.0, 0.1, 0.3, 0.7])

both_backends = pytest.mark.parametrize("backend", BACKENDS)
both_kinds = pytest.mark.parametrize("kind", KINDS)
all_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)


@contextlib.contextmanager
def session():
    """A session on a graph of its own; several threads even on a machine with one core."""
    config = tf.ConfigProto(intra_op_parallelism_threads=4, inter_op_parallelism_threads=4)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph, config=config) as opened:
        yield opened


def variable(name, value, kind, dtype=tf.float32):
    """A variable that starts as the array `value`."""
    start = tf.cast(tf.constant(np.asarray(value), tf.float64), dtype)
    return tf.get_variable(name, initializer=start, use_resource=kind == "resource")


def weights(seed, shape):
    """Numbers of both signs over six orders of magnitude."""
    random = np.random.RandomState(seed)
    return random.choice([-1.0, 1.0], shape) * 10.0 ** random.uniform(-3, 3, shape)


def values(opened, variables):
    """Their values now, in NumPy's float64; bfloat16 has no arithmetic in NumPy."""
    return [np.array(value).astype(np.float64) for value in opened.run(variables)]


def make_variables(kind, dtype=tf.float32, shapes=SHAPES):
    return [variable("w%d" % i, weights(i, shape), kind, dtype) for i, shape in enumerate(shapes)]


def decayed(opened, variables, *args, **options):
    """Values after one decay from the initial values."""
    step = decay(variables, *args, **options)
    opened.run(tf.global_variables_initializer())
    opened.run(step)
    return values(opened, variables)
