"""Trains to a last step from the last checkpoint of a directory, and may be killed at any time.

    python restart_train.py DIRECTORY [STEPS]

It prints "step N" after each step. After STEPS steps of its own it waits to be killed.

Twelve models train side by side, on batches that depend on the number of the step alone: reference and resource
variables, the native op and its twin, both orders, and a scale that follows the global step. They are so small that no
sum is split over threads, which would make the last bits depend on their number.
"""

from __future__ import annotations

import itertools
import sys
import time

import numpy as np
import tensorflow.compat.v1 as tf

LAST_STEP, SAVE_STEPS = 60, 7
RATE, LR = 0.125, 0.03125
W0 = np.linspace(-2.0, 2.0, 12).reshape(4, 3)
RULES = {"after": ("after", False), "before": ("before", False), "schedule": ("after", True)}
MODELS = list(itertools.product(("reference", "resource"), ("native", "tensorflow"), RULES))


def batch(step):
    """Inputs and targets of a step, float32: [8, 4] and [8, 3]."""
    draw = np.random.RandomState(step)
    return draw.randn(8, 4).astype(np.float32), draw.randn(8, 3).astype(np.float32)


def schedule(step):
    return 0.5 + 0.5 ** (1.0 + step / 16.0)


def name_of(kind, backend, rule):
    return "_".join([kind, backend, rule])


def build(x, y):
    """The train_op of all models; it increments the global step when all are trained."""
    import tf1_wd

    step, train_ops = tf.train.get_or_create_global_step(), []
    for kind, backend, rule in MODELS:
        order, scheduled = RULES[rule]
        scale = (lambda s: schedule(tf.cast(s, tf.float32))) if scheduled else None
        with tf.variable_scope(name_of(kind, backend, rule), use_resource=kind == "resource"):
            w = tf.get_variable("w", initializer=W0.astype(np.float32))
            loss = tf.reduce_mean(tf.square(tf.matmul(x, w) - y)) + RATE * tf.nn.l2_loss(w)
            with tf1_wd.decoupled_weight_decay(order=order, scale=scale, backend=backend):
                train_ops.append(tf.train.AdamOptimizer(LR).minimize(loss))
    with tf.control_dependencies(train_ops):
        return tf.assign_add(step, 1).op


def main(directory, steps=LAST_STEP):
    tf.disable_v2_behavior()
    x, y = tf.placeholder(tf.float32, [8, 4]), tf.placeholder(tf.float32, [8, 3])
    train_op, global_step = build(x, y), tf.train.get_global_step()
    saver = tf.train.CheckpointSaverHook(directory, save_steps=SAVE_STEPS)
    with tf.train.MonitoredTrainingSession(
        checkpoint_dir=directory,
        hooks=[saver],
        save_checkpoint_secs=None,
        save_summaries_steps=None,
        save_summaries_secs=None,
        log_step_count_steps=None,
    ) as session:
        begin = session.run_step_fn(
            lambda step_context: step_context.session.run(global_step)
        )  # a run that no hook counts
        for step in range(begin, min(begin + steps, LAST_STEP)):
            session.run(train_op, dict(zip((x, y), batch(step))))
            print("step", step + 1, flush=True)
        if steps < LAST_STEP:
            time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
