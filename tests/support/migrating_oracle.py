"""The net of docs/migrating-to-tf2 in NumPy, float64, under the rules of its pages."""

from __future__ import annotations

import numpy as np

from support import oracle

LR, STEPS = 0.1, 20
_random = np.random.RandomState(0)
INPUTS, TARGETS = [_random.normal(size=(STEPS, 8, n)).astype(np.float32).astype(np.float64) for n in (4, 2)]
START = [_random.normal(size=shape).astype(np.float32).astype(np.float64) for shape in ((4, 5), (5,), (5, 2), (2,))]
KERNELS = [True, False, True, False]


def of_net(weights, x, y):
    """Gradients of the mean squared error of the net, by its kernels and biases."""
    kernel1, bias1, kernel2, bias2 = weights
    hidden = np.tanh(x @ kernel1 + bias1)
    error = 2.0 * (hidden @ kernel2 + bias2 - y) / y.size
    inside = error @ kernel2.T * (1.0 - hidden**2)
    return [x.T @ inside, inside.sum(0), hidden.T @ error, error.sum(0)]


def ids_of(x):
    return np.minimum(np.abs(2.0 * x[:, 0]).astype(int), 3)


def of_embedding(weights, x, y):
    """Gradients by the table, and by the kernel and bias of the layer on it."""
    table, kernel, bias = weights
    ids, slopes = ids_of(x), np.zeros_like(table)
    error = 2.0 * (table[ids] @ kernel + bias - y) / y.size
    np.add.at(slopes, ids, error @ kernel.T)
    return [slopes, table[ids].T @ error, error.sum(0)]


def squares_of_rows(weights, x, y):
    """The gradient by the table, but each occurrence of a row squared by itself."""
    table, kernel, bias = weights
    squares, error = np.zeros_like(table), 2.0 * (table[ids_of(x)] @ kernel + bias - y) / y.size
    np.add.at(squares, ids_of(x), (error @ kernel.T) ** 2)
    return squares


def train(
    optimizers,
    lr=LR,
    l2=0.0,
    rates=0.0,
    order="after",
    scale=1.0,
    clip=None,
    micro_steps=1,
    skipped=(),
    gradients=of_net,
    start=START,
    touched=False,
    squares=None,
):
    """The weights after each of the steps.

    optimizers: a name, or one for each weight; None: it is not trained. lr: a number, one for each weight, or a
    function of the step's number. l2, rates: for the kernels, or one for each weight. scale: a number, "lr", or a
    function of the step's number. touched: of the first weight only rows that are looked up decay. squares: what Adam
    takes for the squared gradient by the first weight, a function of the weights and the batch.
    """
    weights = [w.copy() for w in start]
    of_kernels = KERNELS[: len(weights)]
    l2, rates = [value if isinstance(value, list) else [value * k for k in of_kernels] for value in (l2, rates)]
    names = optimizers if isinstance(optimizers, list) else [optimizers] * len(weights)
    steps = [name and oracle.Optimizer(name, lr) for name in names]
    sums, trajectory, t = [0.0] * len(weights), [], 0
    for i, (x, y) in enumerate(zip(INPUTS, TARGETS)):
        if squares:
            of_first = squares(weights, x, y)
            steps[0].square = lambda _, of_first=of_first: of_first
        if i not in skipped:
            slopes = [g + c * w for g, c, w in zip(gradients(weights, x, y), l2, weights)]
            sums = [s + g / micro_steps for s, g in zip(sums, slopes)]
        if i not in skipped and (i + 1) % micro_steps == 0:
            norm = np.sqrt(sum(np.sum(s**2) for s in sums))
            for k, optimizer in enumerate(steps):
                if optimizer:
                    w, g = weights[k], sums[k] if clip is None else sums[k] * min(1.0, clip / norm)
                    optimizer.lr = lr(t) if callable(lr) else lr[k] if isinstance(lr, list) else lr
                    r = rates[k] * (optimizer.lr if scale == "lr" else scale(t) if callable(scale) else scale)
                    if touched and k == 0:
                        r = r * np.isin(np.arange(len(w)), ids_of(x))[:, None]
                    step = optimizer.step(w, g)
                    weights[k] = (1 - r) * (w - step) if order == "after" else w - step - r * w
            sums, t = [0.0] * len(weights), t + 1
        trajectory.append(list(weights))
    return trajectory


def averages(trajectory, decay=0.9):
    """The exponential moving average of each weight, from the start."""
    means = START
    for weights in trajectory:
        means = [decay * mean + (1 - decay) * w for mean, w in zip(means, weights)]
    return means


def off(got, want):
    """How far the weights are from those wanted: the largest distance in a weight, as a part of its largest number."""
    return max(np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b)) for a, b in zip(got, want))
