"""One update of some variables, by L2 in the gradient or by decoupled decay."""

from __future__ import annotations

import numpy as np

from support.legacy_oracles import tape


def update(weights, loss, optimizers, rates, coupled, clip_norm=None):
    """Updates `weights` in place: w <- w - step - lr * rate * w, or, coupled, with rate * w in the gradient.

    weights: {name: array}. loss: function of {name: tape.Node}, the data loss. optimizers: {name: optimizer}, for the
    variables of this update. rates: {name: rate}, without those of rate 0. clip_norm: of all gradients together.
    """
    nodes = {name: tape.Node(w) for name, w in weights.items()}
    gradients = tape.gradients(loss(nodes), {name: nodes[name] for name in optimizers})
    if coupled:
        gradients = {name: g + rates.get(name, 0.0) * weights[name] for name, g in gradients.items()}
    if clip_norm is not None:
        norm = np.sqrt(sum((g * g).sum() for g in gradients.values()))
        gradients = {name: g * min(1.0, clip_norm / norm) for name, g in gradients.items()}
    for name, optimizer in optimizers.items():
        decay = 0.0 if coupled else optimizer.lr * rates.get(name, 0.0) * weights[name]
        weights[name] = weights[name] - optimizer.step(gradients[name]) - decay


class Momentum:
    def __init__(self, lr, momentum):
        self.lr, self._momentum, self._sum = lr, momentum, 0.0

    def step(self, g):
        self._sum = self._momentum * self._sum + g
        return self.lr * self._sum


class Adagrad:
    def __init__(self, lr):
        self.lr, self._squares = lr, 0.1

    def step(self, g):
        self._squares = self._squares + g * g
        return self.lr * g / np.sqrt(self._squares)


class RMSProp:
    def __init__(self, lr, decay, momentum=0.0, epsilon=1e-10):
        self.lr, self._decay, self._momentum, self._epsilon = lr, decay, momentum, epsilon
        self._squares, self._step = 1.0, 0.0

    def step(self, g):
        self._squares = self._decay * self._squares + (1 - self._decay) * g * g
        self._step = self._momentum * self._step + self.lr * g / np.sqrt(self._squares + self._epsilon)
        return self._step


class Adam:
    def __init__(self, lr, epsilon, beta1=0.9):
        # TensorFlow keeps betas and their powers in float32, and 1 - 0.999 of float32 is 5e-5 away from 0.001
        self.lr, self._epsilon, self._betas = lr, epsilon, np.array([beta1, 0.999], np.float32)
        self._powers, self._mean, self._square = np.ones(2, np.float32), 0.0, 0.0

    def step(self, g):
        self._powers = self._powers * self._betas
        (b1, b2), (p1, p2) = self._betas.astype(np.float64), self._powers.astype(np.float64)
        self._mean = b1 * self._mean + (1 - b1) * g
        self._square = b2 * self._square + (1 - b2) * g * g
        return self.lr * np.sqrt(1 - p2) / (1 - p1) * self._mean / (np.sqrt(self._square) + self._epsilon)
