"""Trains for many steps in one process: memory must not grow, and the weights must be NumPy's.

    python tools/soak.py                     # 100,000 steps
    python tools/soak.py --fail ops          # shows that the soak can fail: "ops", "arrays" or "rate"

One graph holds 16 trainings, each decayed by a scope of its own: Adam and Momentum, reference and resource variables,
the compiled op and its twin, float32 and float64. scale="learning_rate" follows a schedule that halves the learning
rate three times. A step runs all of them.

Memory: the resident size without the pages of files, which the system fetches and drops as it likes. It is read 500
times over the run; the first tenth is left out. A line is laid through the samples by least squares. It grows if its
slope is over 3 standard errors and over 16 bytes a step: malloc gives no block under 32 bytes, so a leak of a block in
each step is twice that. Neither bound is enough alone. A single growth of the heap, which does not go on, is many
standard errors; and in a short run what the heap does by itself is more than 16 bytes a step.

Weights: NumPy computes the same training in float64 by formulas of its own. A step rounds by a few units of the dtype's
precision, and from then on each step takes a part rate * learning rate of the error away, as of the weights: what is
left is at most the units of one step, divided by that part. 16 units are allowed a step, of the largest weight.

Exit 1 if either is wrong. Needs Linux, for the resident size.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd

RATE, MOMENTUM, EPSILON = 0.5, 0.875, 0.125
LEARNING_RATES = [0.125, 0.0625, 0.03125, 0.015625]  # one for each quarter of the steps; float32 holds them exactly
BATCHES = np.random.RandomState(1).randint(-16, 17, [64, 3, 4]) / 8.0  # targets of the weights, by turns
W0 = np.linspace(-2, 3, 12).reshape(3, 4)
OPTIMIZERS, KINDS, BACKENDS, DTYPES = (
    ("Adam", "Momentum"),
    ("reference", "resource"),
    ("native", "tensorflow"),
    ("float32", "float64"),
)
SAMPLES, WARM_UP = 500, 0.1
STANDARD_ERRORS, BYTES_A_STEP = 3.0, 16.0
UNITS_A_STEP = 16


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100000)
    parser.add_argument("--fail", choices=["ops", "arrays", "rate"], help="leak these, or decay at another rate")
    options = parser.parse_args(arguments)
    tf.disable_v2_behavior()
    start = time.time()
    sizes, weights = train(options.steps, options.fail)
    slope, error = slope_of(sizes)
    print("TensorFlow %s, %d steps of %d trainings" % (tf.__version__, options.steps, len(weights)))
    grows = slope > max(STANDARD_ERRORS * error, BYTES_A_STEP)
    print(
        "memory: %.2f bytes a step, standard error %.2f, of %d samples from %.1f to %.1f MiB: %s"
        % (
            slope,
            error,
            len(sizes),
            *(size / 2**20 for _, size in (sizes[0], sizes[-1])),
            "GROWS" if grows else "level",
        )
    )
    wrong = compare(weights, options.steps)
    print(
        "=== %d passed, %d failed in %.1fs ===" % (len(weights) + 1 - wrong - grows, wrong + grows, time.time() - start)
    )
    return 1 if grows or wrong else 0


def train(steps, fail=None):
    """(an array of (step, resident bytes) after the warm-up, {training: its weights at the end})."""
    every, leaked = max(1, steps // SAMPLES), []
    samples = {t: i for i, t in enumerate(t for t in range(every, steps + 1, every) if t > WARM_UP * steps)}
    sizes = np.full([len(samples), 2], -1.0)  # in memory from the start
    with tf.Graph().as_default() as graph, tf.Session() as session:
        train_op, variables = build(steps, RATE * 1.01 if fail == "rate" else RATE)
        session.run(tf.global_variables_initializer())
        step = session.make_callable(train_op)
        if fail != "ops":
            graph.finalize()
        for t in range(1, steps + 1):
            step()
            if fail == "ops":
                tf.zeros([1000])
            elif fail == "arrays":
                leaked.append(np.ones(1000))
            if t in samples:
                gc.collect()
                gc.freeze()  # what lives on is not looked through again
                sizes[samples[t]] = t, resident()
        return sizes, session.run(variables)


def build(steps, rate):
    """(an op that takes a step of every training, {training: its variable})."""
    global_step = tf.train.get_or_create_global_step()
    quarters = [steps * i // 4 for i in (1, 2, 3)]
    # TensorFlow changes the value behind the last step that is named
    learning_rate = tf.train.piecewise_constant(global_step, [q - 1 for q in quarters], LEARNING_RATES)
    variables, updates = {}, []
    for training in itertools.product(OPTIMIZERS, KINDS, BACKENDS, DTYPES):
        optimizer, kind, backend, dtype = training
        with tf.variable_scope("_".join(training), use_resource=kind == "resource"):
            w = tf.get_variable("w", initializer=tf.constant(W0, dtype))
            loss = 0.5 * tf.reduce_sum(
                tf.square(w - tf.gather(tf.constant(BATCHES, dtype), global_step % len(BATCHES)))
            )
            minimize = {
                "Adam": lambda: tf.train.AdamOptimizer(learning_rate, epsilon=EPSILON).minimize,
                "Momentum": lambda: tf.train.MomentumOptimizer(learning_rate, MOMENTUM).minimize,
            }[optimizer]()
            decays = tf1_wd.decoupled_weight_decay(rates=rate, scale="learning_rate", backend=backend)
            updates.append(decays(minimize)(loss, var_list=[w]))
            variables[training] = w
    with tf.control_dependencies(updates):
        return tf.assign_add(global_step, 1).op, variables


def resident():
    """The bytes of this process that are in memory and come from no file."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) * 1024


def slope_of(samples):
    """(slope, its standard error) of the line through (x, y) by least squares."""
    x, y = np.array(samples, np.float64).T
    x, y = x - x.mean(), y - y.mean()
    slope = (x * y).sum() / (x * x).sum()
    return slope, np.sqrt(((y - slope * x) ** 2).sum() / (len(x) - 2) / (x * x).sum())


def expected(optimizer, steps):
    """The weights after these steps, in float64: the optimizer's step, and what is left of it after the decay."""
    w, m, v = W0, np.zeros_like(W0), np.zeros_like(W0)
    # TensorFlow keeps the betas and their powers in float32, whatever the weights are
    betas = np.float32([0.9, 0.999])
    powers, (beta1, beta2) = np.ones(2, np.float32), betas.astype(np.float64)
    quarters = [steps * i // 4 for i in (1, 2, 3)]
    for t in range(steps):
        lr = LEARNING_RATES[sum(t >= quarter for quarter in quarters)]
        g = w - BATCHES[t % len(BATCHES)]
        if optimizer == "Momentum":
            m = MOMENTUM * m + g
            step = lr * m
        else:
            powers = powers * betas
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            step = lr * np.sqrt(1 - np.float64(powers[1])) / (1 - np.float64(powers[0])) * m / (np.sqrt(v) + EPSILON)
        w = (1 - RATE * lr) * (w - step)
    return w


def compare(weights, steps):
    """Prints how far each training is from NumPy's, and returns how many are too far."""
    wanted, wrong = {optimizer: expected(optimizer, steps) for optimizer in OPTIMIZERS}, 0
    for training, got in weights.items():
        want = wanted[training[0]]
        units = np.abs(got - want).max() / np.abs(want).max() / np.finfo(got.dtype).eps
        allowed = UNITS_A_STEP / (RATE * LEARNING_RATES[-1])
        wrong += not units <= allowed
        words = "right" if units <= allowed else "WRONG"
        print(
            "%s: %.1f units of precision from NumPy, of %.0f allowed: %s" % (" ".join(training), units, allowed, words)
        )
    return wrong


if __name__ == "__main__":
    sys.exit(main())
