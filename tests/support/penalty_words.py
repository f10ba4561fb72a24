"""The ways in which random programs write a penalty, each with its gradient in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np
import tensorflow.compat.v1 as tf

# L2 that is a multiple of its variable, that is none, that pulls to other weights, of looked-up rows; and no L2
MULTIPLE, LINEAR, ANCHORED, ROWS, OTHER = "multiple", "linear", "anchored", "rows", "other"


@dataclass(frozen=True)
class Word:
    """A way to write a penalty.

    build: function of the variable, or of two; of looked-up rows, of the variable and the indices. gradient: its
    derivative by any of its variables: function of that one, and of the other one. is_loop: True if no copy of it
    can be made. grows: True if it makes weights larger. mixes_rows: True if the parts of a partitioned variable meet in
    it, which makes it a term that mixes variables.
    """

    build: Callable
    gradient: Callable
    kind: str
    variables: int = 1
    has_form: bool = False
    is_loop: bool = False
    grows: bool = False
    mixes_rows: bool = False

    @property
    def can_be_decoupled(self):
        return not self.is_loop and not self.grows


def multiple(build, factor, **more):
    return Word(build, lambda w, *other: factor * w, MULTIPLE, **more)


def constant(w, values):
    """Values of the dtype of a variable."""
    return tf.constant(values, w.dtype.base_dtype)


def flat(w):
    return tf.reshape(w, [-1])


def matrix(w):
    return tf.reshape(w, [-1, w.shape.as_list()[-1]])


def _every(w):
    """0, 1, 0, ...: a mask."""
    shape = tuple(int(n) for n in w.shape)
    return (np.arange(np.prod(shape)) % 2.0).reshape(shape)


def _curves(w):
    shape = tuple(int(n) for n in w.shape)
    return 0.25 * (1.0 + np.arange(np.prod(shape)) % 3.0).reshape(shape)


def times(ids, w):
    """How often the rows of an array are among the indices, as a column."""
    return np.bincount(ids, minlength=len(w)).astype(float).reshape([-1] + [1] * (w.ndim - 1))


def at_rows(v, ids):
    return tf.nn.embedding_lookup(v, ids, partition_strategy="div")


def _tail(w):
    return np.concatenate([np.zeros_like(w[:1]), w[1:]])


def _orthogonality(w):
    m = w.reshape([-1, w.shape[-1]])
    return (2.0 * (m.dot(m.T) - np.eye(len(m))).dot(m)).reshape(w.shape)


def _difference(w, other):
    """The gradient of l2_loss(w - other), where one of the two may be broadcast."""
    found = w - other
    return found.sum(axis=0) if found.ndim > w.ndim else found


def _cast(w):
    return tf.cast(tf.nn.l2_loss(tf.cast(w, tf.float64)), w.dtype.base_dtype)


WORDS = {
    "l2_loss": multiple(tf.nn.l2_loss, 1.0, has_form=True),
    "square": multiple(lambda w: tf.reduce_sum(tf.square(w)), 2.0, has_form=True),
    "power": multiple(lambda w: 0.5 * tf.reduce_sum(w**2), 1.0, has_form=True),
    "product": multiple(lambda w: tf.reduce_sum(w * w), 2.0, has_form=True),
    "norm squared": multiple(lambda w: tf.norm(w) ** 2, 2.0, has_form=True),
    "halves": multiple(lambda w: tf.nn.l2_loss(tf.concat([w, w], 0)), 2.0, has_form=True),
    "mean": Word(lambda w: tf.reduce_mean(tf.square(w)), lambda w: 2.0 / w.size * w, MULTIPLE, has_form=True),
    "norms": multiple(lambda w, v: tf.norm(tf.concat([flat(w), flat(v)], 0)) ** 2, 2.0, variables=2, has_form=True),
    "minus": multiple(lambda w: tf.nn.l2_loss(-w), 1.0),
    "reshaped": multiple(lambda w: tf.nn.l2_loss(2.0 * flat(w)), 4.0),
    "einsum": multiple(lambda w: tf.einsum("i,i->", flat(w), flat(w)), 2.0),
    "tensordot": multiple(lambda w: tf.tensordot(flat(w), flat(w), 1), 2.0),
    "trace": multiple(lambda w: tf.linalg.trace(tf.matmul(matrix(w), matrix(w), transpose_b=True)), 2.0),
    "prior": multiple(lambda w: 0.5 * tf.reduce_sum((w / 2.0) ** 2) + 3.0, 0.25),
    "all rows": multiple(lambda w: tf.nn.l2_loss(tf.gather(w, list(range(int(w.shape[0])))[::-1])), 1.0),
    "norms of columns": multiple(lambda w: tf.reduce_sum(tf.norm(matrix(w), axis=0) ** 2), 2.0),
    "global norm": multiple(lambda w, v: tf.global_norm([-w, v]) ** 2, 2.0, variables=2),
    "cast": multiple(_cast, 1.0, has_form=True),
    "mask": Word(lambda w: tf.nn.l2_loss(constant(w, _every(w)) * w), lambda w: _every(w) * w, LINEAR),
    "tail": Word(lambda w: tf.nn.l2_loss(w[1:]), _tail, LINEAR),
    "gather": Word(lambda w: tf.nn.l2_loss(tf.gather(w, [0, 0, 1])), lambda w: times([0, 0, 1], w) * w, LINEAR),
    "by element": Word(
        lambda w: tf.reduce_sum(w * constant(w, _curves(w)) * w), lambda w: 2.0 * _curves(w) * w, LINEAR
    ),
    "one by one": Word(lambda w: tf.add_n([tf.nn.l2_loss(row) for row in tf.unstack(w)]), lambda w: w, LINEAR),
    "variance": Word(
        lambda w: tf.reduce_sum(tf.nn.moments(w, [0])[1]),
        lambda w: 2.0 / len(w) * (w - w.mean(axis=0)),
        LINEAR,
        mixes_rows=True,
    ),
    "anchored": Word(lambda w: tf.nn.l2_loss(w - 0.5), lambda w: w - 0.5, ANCHORED),
    "rows": Word(lambda w, ids: tf.nn.l2_loss(at_rows(w, ids)), lambda w, times: times * w, ROWS),
    "L1": Word(lambda w: tf.reduce_sum(tf.abs(w)), np.sign, OTHER),
    "elastic net": Word(lambda w: tf.reduce_sum(tf.abs(w) + tf.square(w)), lambda w: np.sign(w) + 2.0 * w, OTHER),
    "norm": Word(tf.norm, lambda w: w / np.linalg.norm(w), OTHER),
    "logarithm": Word(lambda w: tf.log(1.0 + tf.nn.l2_loss(w)), lambda w: w / (1 + np.sum(w * w) / 2), OTHER),
    "fourth power": Word(lambda w: tf.nn.l2_loss(w) ** 2, lambda w: np.sum(w * w) * w, OTHER),
    "orthogonality": Word(
        lambda w: tf.nn.l2_loss(
            tf.matmul(matrix(w), matrix(w), transpose_b=True)
            - tf.eye(int(matrix(w).shape[0]), dtype=w.dtype.base_dtype)
        ),
        _orthogonality,
        OTHER,
    ),
    "difference": Word(lambda w, v: tf.nn.l2_loss(w - v), _difference, OTHER, variables=2),
    "growth": Word(lambda w: -tf.nn.l2_loss(-w), lambda w: -w, OTHER, grows=True),
    "loop": Word(
        lambda w: tf.reduce_sum(tf.map_fn(lambda row: tf.reduce_sum(row * row), tf.convert_to_tensor(w))),
        lambda w: 2.0 * w,
        OTHER,
        is_loop=True,
    ),
}
