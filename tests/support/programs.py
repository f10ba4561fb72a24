"""The usual program: one weight, a quadratic loss with its gradient in NumPy, an L2 penalty."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd


def run(*fetches):
    """Initializes all variables in a new session, runs the fetches in their order, and returns the last result."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        result = None
        for fetch in fetches:
            result = session.run(fetch)
        return result


W0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.5]])
CURVATURE = np.array([[1.0, 0.5, 2.0], [0.25, 1.5, 1.0]])
TARGET = np.array([[0.3, 0.7, -0.2], [-1.0, 2.0, 0.1]])
RATE = 0.0625
LR = 0.125


def gradient(w):
    return CURVATURE * (w - TARGET)


def weights(name="w", regularizer=None, value=W0, dtype=np.float64, trainable=True):
    return tf.get_variable(name, initializer=np.array(value, dtype), regularizer=regularizer, trainable=trainable)


def data_loss(w):
    return 0.5 * tf.reduce_sum(
        CURVATURE.astype(w.dtype.as_numpy_dtype) * tf.square(w - TARGET.astype(w.dtype.as_numpy_dtype))
    )


def with_l2(w):
    """The usual loss with L2 in it."""
    return data_loss(w) + RATE * tf.nn.l2_loss(w)


def own_assignment(w, loss):
    """A step of gradient descent that no optimizer makes."""
    return w.assign(w - LR * tf.gradients(loss, w)[0])


def l2(scale=RATE):
    return lambda w: scale * tf.nn.l2_loss(w)


def assert_close(got, want):
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)


def trained(build, steps=10, **options):
    """The weights after `steps` runs of the train_op that `build` makes in a scope."""
    with tf1_wd.decoupled_weight_decay(**options):
        train_op = build()
    return run(*[train_op] * steps, tf.trainable_variables()[0])


def sgd(rate=LR):
    return tf.train.GradientDescentOptimizer(rate)


def one_step(order="after", rate=RATE, w=W0):
    stepped = w - LR * gradient(w)
    return (1 - rate) * stepped if order == "after" else stepped - rate * w
