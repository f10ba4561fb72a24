"""Twenty steps of one small problem, by the rule of each convention in NumPy, by tf1_wd, and by the system itself."""

from __future__ import annotations

import numpy as np
import oracle

STEPS, LR, ETA = 20, 0.125, 0.5
SHRINK = 0.0625  # the fraction of each weight that leaves it in a step
W0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.5]])
CURVATURE = np.array([[1.0, 0.5, 2.0], [0.25, 1.5, 1.0]])
TARGET = np.array([[0.3, 0.7, -0.2], [-1.0, 2.0, 0.1]])


def gradient(w):
    return CURVATURE * (w - TARGET)


def by_numpy(name, optimizer, rate, lr=LR, eta=ETA):
    """The weights after each step. lr, eta: numbers, or one a step; rate: a number, or [n, 1, 1] for n at once."""
    rule, made, w, found = RULES[name], oracle.Optimizer(optimizer, LR), W0 + 0.0 * np.asarray(rate), []
    for made.lr, eta_now in zip(np.broadcast_to(lr, STEPS), np.broadcast_to(eta, STEPS)):
        w = rule(made, w, rate, eta_now)
        found.append(w)
    return np.array(found)


def _snippet(made, w, rate, _):
    updated = w - made.step(w, gradient(w))
    return updated - rate * updated


def _once(made, w, rate, _):
    return w - made.step(w, gradient(w)) - rate * w


def _paper(made, w, rate, eta):
    return w - eta * (made.step(w, gradient(w)) + rate * w)


def _adamw(made, w, rate, _):
    decayed = w * (1 - made.lr * rate)
    return decayed - made.step(w, gradient(w))


def _coupled(made, w, rate, _):
    return w - made.step(w, gradient(w) + rate * w)


def _keras_l2(made, w, rate, _):
    return w - made.step(w, gradient(w) + 2 * rate * w)


def _cuda_convnet(made, w, rate, _):
    if made.name == "adam":  # which cuda-convnet does not have; the decay would come in as it does there
        return _coupled(made, w, rate, _)
    momentum = 0.9 if made.name == "momentum" else 0.0
    made.slots["inc"] = momentum * made.slots.get("inc", 0.0) - rate * made.lr * w - made.lr * gradient(w)
    return w + made.slots["inc"]


RULES = {
    "snippet": _snippet,
    "snippet_resource": _once,
    "paper": _paper,
    "contrib": _once,
    "tf_addons": _once,
    "keras": _adamw,
    "adamw": _adamw,
    "keras_l2": _keras_l2,
    "l2_loss": _coupled,
    "pytorch": _adamw,
    "pytorch_l2": _coupled,
    "optax": _adamw,
    "optax_l2": _coupled,
    "chainer": _paper,
    "chainer_l2": _coupled,
    "cuda_convnet": _cuda_convnet,
    "bert": _adamw,
}
