"""Programs to see what other ways to decay do: a decay multiplies each weight by KEEPS."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

import numpy as np
import tensorflow.compat.v1 as tf

from support.paths import ROOT
from support.programs import run

RATE, KEEPS = 0.25, 0.75


@functools.lru_cache(None)
def facts(case):
    """The JSON that tests/others/cases/<case>.py prints."""
    script = ROOT / "tests" / "others" / "cases" / (case + ".py")
    out = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return json.loads(out.stdout)


def ones(name="w", shape=(2,)):
    return tf.get_variable(
        name, shape, initializer=tf.ones_initializer(), regularizer=lambda v: RATE * tf.nn.l2_loss(v)
    )


def l2(w):
    return RATE * tf.nn.l2_loss(w)


def nothing(*variables):
    """A loss without a data gradient."""
    return tf.add_n([0.0 * tf.reduce_sum(v) for v in variables])


def sgd(rate=1.0):
    return tf.train.GradientDescentOptimizer(rate)


def snippet(train_op):
    with tf.control_dependencies([train_op]):
        return sgd().minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


def loss_scaled(optimizer, loss):
    from tensorflow.python.training.experimental import loss_scale, loss_scale_optimizer

    scale = loss_scale.DynamicLossScale(initial_loss_scale=8.0)
    return loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(optimizer, scale).minimize(loss)


def skip_then_step(w, decayed):
    factor = tf.placeholder(tf.float32, [])
    train_op = decayed(factor * tf.reduce_sum(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = []
        for value in (np.inf, 0.0):
            session.run(train_op, {factor: value})
            found.append(session.run(w)[0])
        return found


def every_second(apply):
    count = tf.get_variable("count", initializer=0, trainable=False).assign_add(1)
    return tf.cond(
        tf.equal(tf.floormod(count, 2), 0), lambda: tf.group(apply()), lambda: tf.no_op(), name="every_second"
    )


def towers(optimizer, term):
    """The train_op of two towers whose gradients are averaged, and their weights."""
    pairs = []
    for i in range(2):
        with tf.variable_scope("net", reuse=i > 0):
            w = tf.get_variable("w", [2], initializer=tf.ones_initializer(), regularizer=None if term else l2)
        if term:
            tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, l2(w))
        pairs.append(optimizer.compute_gradients(nothing(w)))
    mean = (pairs[0][0][0] + pairs[1][0][0]) / 2.0
    return optimizer.apply_gradients([(mean, w)]), w


def rows(optimizer, decayed):
    table = ones("table", (3, 1))
    loss = 0.0 * tf.reduce_sum(tf.nn.embedding_lookup(table, [0, 0]))
    return run(decayed(optimizer.minimize(loss)), table)[:, 0]


def clipped(optimizer, w):
    """A step whose gradient is L2 of the loss alone, clipped to a norm of 2^-10."""
    loss = nothing(w) + tf.losses.get_regularization_loss()
    return optimizer.apply_gradients([(tf.clip_by_norm(tf.gradients(loss, w)[0], 2.0**-10), w)])


def restarted(build, folder):
    """True if three steps, a checkpoint, and three steps in a new graph end as six steps do."""

    def graph(start, steps, save=None, restore=None):
        with tf.Graph().as_default(), tf.variable_scope("net", use_resource=False):
            w = tf.get_variable("w", initializer=np.float32([1.0, 2.0]), regularizer=l2)
            t = tf.placeholder(tf.float32, [])
            train_op, saver = build(tf.reduce_sum(w * tf.sin(t))), tf.train.Saver()
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                if restore:
                    saver.restore(session, restore)
                for i in range(start, start + steps):
                    session.run(train_op, {t: i})
                if save:
                    saver.save(session, save)
                return session.run(w)

    path = str(folder / "model")
    graph(0, 3, save=path)
    return np.array_equal(graph(0, 6), graph(3, 3, restore=path))
