"""The layers and losses of the example networks, on the tape."""

from __future__ import annotations

import numpy as np

from support.legacy_oracles import tape


def conv(x, w, padding="SAME"):
    """Convolution of stride 1: (n, rows, columns, channels) with (height, width, channels, out)."""
    height, width = w.shape[:2]
    if padding == "SAME":
        assert height == width == 3
        x = tape.pad(x, 1, 1)
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    places = [(i, j) for i in range(height) for j in range(width)]
    return sum((x[:, i : i + rows, j : j + columns] @ w[i, j] for i, j in places), tape.node(0.0))


def _windows(x):
    """(n, rows, columns, c) as (n, rows / 2, columns / 2, 4, c)."""
    corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return tape.concat([c.reshape((*c.shape[:3], 1, c.shape[3])) for c in corners], axis=3)


def max_pool(x):
    return _windows(x).max(3)


def avg_pool(x):
    windows = _windows(x)
    n, rows, columns, _, channels = windows.shape
    return windows.mean(3).reshape(n, rows, columns, channels)


def lrn(x, radius, bias, alpha, beta):
    """Each channel, over the squares of its neighbours."""
    channel = np.arange(x.shape[-1])
    near = np.abs(channel[:, None] - channel) <= radius
    return x * (bias + alpha * ((x * x) @ tape.node(near.astype(float)))) ** -beta


def flatten(x):
    return x.reshape(x.shape[0], -1)


def batch_norm(x, epsilon, beta, gamma=1.0):
    """With the statistics of the batch, over all dimensions but the last."""
    axes = tuple(range(len(x.shape) - 1))
    centered = x - x.mean(axes)
    return centered * ((centered * centered).mean(axes) + epsilon) ** -0.5 * gamma + beta


def cross_entropy(logits, labels):
    """Mean over the batch; labels: integers."""
    shifted = logits - logits.value.max(-1, keepdims=True)
    exponentials = tape.Node(np.exp(shifted.value), [(shifted, lambda g: g * np.exp(shifted.value))])
    sums = exponentials.sum(-1)
    logs = tape.Node(np.log(sums.value), [(sums, lambda g: g / sums.value)])
    return (logs - shifted)[np.arange(len(labels)), labels].mean()


def sigmoid_cross_entropy(logits, label):
    """Mean over the batch; label: 0.0 or 1.0 for all."""
    return tape.softplus(logits if label == 0.0 else -logits).mean()


def lstm(inputs, kernel, bias):
    """The last output of a BasicLSTMCell over (n, time, features)."""
    n, units = inputs.shape[0], bias.shape[0] // 4
    c, h = tape.node(np.zeros((n, units))), tape.node(np.zeros((n, units)))
    for t in range(inputs.shape[1]):
        gates = tape.concat([tape.node(inputs[:, t]), h]) @ kernel + bias
        i, j, f, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
        c = c * tape.sigmoid(f + 1.0) + tape.sigmoid(i) * tape.tanh(j)
        h = tape.tanh(c) * tape.sigmoid(o)
    return h
