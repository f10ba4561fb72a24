"""One of two processes that train with Horovod or with its stand-in; writes down the weights after every run.

python horovod_rank.py LIBRARY DIRECTORY      LIBRARY: horovod.tensorflow or horovod_stand_in
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf

W0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.5]])
CURVATURE = np.array([[1.0, 0.5, 2.0], [0.25, 1.5, 1.0]])
RATE, LR, RUNS = 0.0625, 0.125, 6

CASES = {
    ", ".join([str(passes), place, order, kind, backend]): {
        "passes": passes,
        "place": place,
        "order": order,
        "kind": kind,
        "backend": backend,
        # what becomes of a coefficient in accumulated gradients is not known
        "rates": RATE if passes > 1 and place == "loss" else None,
    }
    for passes, place, order, kind, backend in itertools.product(
        (1, 2), ("loss", "collection"), ("after", "before"), ("reference", "resource"), ("native", "tensorflow")
    )
}
for _kind in ("reference", "resource"):
    CASES["scale, " + _kind] = {"kind": _kind, "passes": 2, "place": "collection", "scale": True}
    CASES["loss scale, rates, " + _kind] = {"kind": _kind, "place": "loss", "loss_scale": 8.0, "rates": RATE}
    CASES["loss scale, no rates, " + _kind] = {"kind": _kind, "place": "loss", "loss_scale": 8.0}
    CASES["no rates, " + _kind] = {"kind": _kind, "passes": 2, "place": "loss"}
    CASES["sum, " + _kind] = {"kind": _kind, "place": "loss", "sum": True}
    CASES["Adasum, " + _kind] = {"kind": _kind, "place": "collection", "adasum": True}


def target(rank, run):
    """What the weights of this rank are pulled to in this run: other data for every process."""
    return np.random.RandomState(1000 * rank + run).uniform(-1.0, 1.0, W0.shape)


def schedule(step):
    return 1.0 / (1.0 + step)


def build(hvd, place="collection", order="after", kind="resource", backend="auto", passes=1, **more):
    """(train_op, placeholder of the target, weights, global step) of one case."""
    import tf1_wd

    wanted, step = tf.placeholder(tf.float32, W0.shape), tf.train.get_or_create_global_step()
    with tf.variable_scope("net", use_resource=kind == "resource"):
        w = tf.get_variable("w", initializer=W0.astype(np.float32), regularizer=lambda v: RATE * tf.nn.l2_loss(v))
        # a second variable, so that gradients travel in a list
        other = tf.get_variable("other", initializer=np.float32(1.0))
        loss = 0.5 * tf.reduce_sum(CURVATURE.astype(np.float32) * tf.square(w - wanted)) + tf.square(other)
        if place == "loss":
            loss += tf.losses.get_regularization_loss()
        scale = (lambda s: schedule(tf.cast(s, tf.float32))) if more.get("scale") else None
        with tf1_wd.decoupled_weight_decay(
            order=order, backend=backend, scale=scale, rates=more.get("rates"), include="net/w"
        ):
            optimizer = hvd.DistributedOptimizer(
                tf.train.AdamOptimizer(LR),
                op=hvd.Adasum if more.get("adasum") else hvd.Sum if more.get("sum") else hvd.Average,
                **({"backward_passes_per_step": passes} if passes > 1 else {}),
            )
            factor = more.get("loss_scale", 1.0)
            pairs = optimizer.compute_gradients(loss * factor)
            train_op = optimizer.apply_gradients([(g / factor, v) for g, v in pairs], global_step=step)
    return train_op, wanted, w, step


def train(hvd, case):
    """The weights and the global step after every run, or the error of building."""
    from tf1_wd.errors import Tf1WdError

    with tf.Graph().as_default():
        try:
            train_op, wanted, w, step = build(hvd, **case)
        except Tf1WdError as error:
            return {"error": "%s: %s" % (type(error).__name__, error)}
        weights, steps = [], []
        with tf.Session() as session:
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            for run in range(RUNS):
                session.run(train_op, {wanted: target(hvd.rank(), run)})
                weights.append(session.run(w).tolist())
                steps.append(int(session.run(step)))
        return {"weights": weights, "steps": steps}


def main(library, directory):
    tf.disable_v2_behavior()
    hvd = importlib.import_module(library)
    hvd.init()
    results = {name: train(hvd, case) for name, case in CASES.items()}
    with open(os.path.join(directory, "%d.json" % hvd.rank()), "w") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
