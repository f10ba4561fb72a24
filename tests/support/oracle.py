"""The rules in NumPy, float64: what each optimizer of TensorFlow 1 does, and what each decay does to it."""

from __future__ import annotations

import numpy as np


class Optimizer:
    """Applies TensorFlow 1's formula for one variable; `step(w, g)` is what it takes off the weights."""

    square = staticmethod(np.square)  # what Adam makes of a gradient

    def __init__(self, name, lr):
        self.name, self.lr, self.slots = name, lr, {}

    def _slot(self, name, like, value=0.0):
        return self.slots.setdefault(name, np.full_like(like, value))

    def step(self, w, g):
        return getattr(self, "_" + self.name)(w, g)

    def _sgd(self, w, g):
        return self.lr * g

    def _momentum(self, w, g):
        self.slots["m"] = 0.9 * self._slot("m", w) + g
        return self.lr * self.slots["m"]

    def _adam(self, w, g):
        # TensorFlow keeps the betas and their powers in float32, whatever the weights are
        b1, b2 = np.float32(0.9), np.float32(0.999)
        power1 = self.slots["power1"] = np.float32(self.slots.get("power1", np.float32(1)) * b1)
        power2 = self.slots["power2"] = np.float32(self.slots.get("power2", np.float32(1)) * b2)
        b1, b2, power1, power2 = map(np.float64, (b1, b2, power1, power2))
        self.slots["m"] = b1 * self._slot("m", w) + (1 - b1) * g
        self.slots["v"] = b2 * self._slot("v", w) + (1 - b2) * self.square(g)
        rate = self.lr * np.sqrt(1 - power2) / (1 - power1)
        return rate * self.slots["m"] / (np.sqrt(self.slots["v"]) + 1e-8)

    def _rmsprop(self, w, g):
        self.slots["ms"] = 0.9 * self._slot("ms", w, 1.0) + 0.1 * g * g
        return self.lr * g / np.sqrt(self.slots["ms"] + 1e-10)

    def _adagrad(self, w, g):
        self.slots["acc"] = self._slot("acc", w, 0.1) + g * g
        return self.lr * g / np.sqrt(self.slots["acc"])

    def _ftrl(self, w, g):
        old = self._slot("acc", w, 0.1)
        new = self.slots["acc"] = old + g * g
        self.slots["linear"] = self._slot("linear", w) + g - (np.sqrt(new) - np.sqrt(old)) / self.lr * w
        return w + self.slots["linear"] * self.lr / np.sqrt(new)


OPTIMIZERS = ("sgd", "momentum", "adam", "rmsprop", "adagrad", "ftrl")


def tf_optimizer(tf, name, lr):
    """TensorFlow's optimizer of the same name and settings."""
    return {
        "sgd": tf.train.GradientDescentOptimizer,
        "momentum": lambda rate: tf.train.MomentumOptimizer(rate, 0.9),
        "adam": tf.train.AdamOptimizer,
        "rmsprop": tf.train.RMSPropOptimizer,
        "adagrad": tf.train.AdagradOptimizer,
        "ftrl": tf.train.FtrlOptimizer,
    }[name](lr)


def train(name, lr, weights, gradient, steps, order, rate, scale=1.0):
    """`steps` updates with decay: rate * scale of the weights, after the step or beside it.

    gradient: function of the weights. scale: float, or function of the step's number from 0.
    """
    optimizer, w = Optimizer(name, lr), np.array(weights, np.float64)
    for t in range(steps):
        r = rate * (scale(t) if callable(scale) else scale)
        step = optimizer.step(w, gradient(w))
        w = (1 - r) * (w - step) if order == "after" else w - step - r * w
    return w
