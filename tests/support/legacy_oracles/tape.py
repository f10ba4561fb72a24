"""Reverse differentiation of NumPy expressions, in the few operations that the example networks are made of."""

from __future__ import annotations

import numpy as np


class Node:
    """A value, and the pairs (node it was made from, function from its own gradient to that node's)."""

    __array_ufunc__ = None  # array + node is node.__radd__(array)

    def __init__(self, value, parents=()):
        self.value, self.parents = np.asarray(value, np.float64), parents

    @property
    def shape(self):
        return self.value.shape

    def __add__(self, other):
        other = node(other)
        return Node(
            self.value + other.value,
            [(self, lambda g: _as_shape(g, self.shape)), (other, lambda g: _as_shape(g, other.shape))],
        )

    def __mul__(self, other):
        other = node(other)
        return Node(
            self.value * other.value,
            [
                (self, lambda g: _as_shape(g * other.value, self.shape)),
                (other, lambda g: _as_shape(g * self.value, other.shape)),
            ],
        )

    def __matmul__(self, other):
        """(..., k) times (k, m)."""
        k, m = other.shape
        return Node(
            self.value @ other.value,
            [
                (self, lambda g: g @ other.value.T),
                (other, lambda g: self.value.reshape(-1, k).T @ g.reshape(-1, m)),
            ],
        )

    def __pow__(self, exponent):
        return Node(self.value**exponent, [(self, lambda g: g * exponent * self.value ** (exponent - 1))])

    def __getitem__(self, index):
        def scatter(g):
            total = np.zeros(self.shape)
            np.add.at(total, index, g)
            return total

        return Node(self.value[index], [(self, scatter)])

    def reshape(self, *shape):
        return Node(self.value.reshape(*shape), [(self, lambda g: g.reshape(self.shape))])

    def sum(self, axis=None):
        """Keeps the dimensions that it sums over, if axis says which."""
        value = self.value.sum(axis=axis, keepdims=axis is not None)
        return Node(value, [(self, lambda g: np.broadcast_to(g, self.shape))])

    def mean(self, axis=None):
        total = self.sum(axis)
        return total * (total.value.size / self.value.size)

    def max(self, axis):
        """The first of several equal values takes the gradient, as in TensorFlow."""
        chosen = np.expand_dims(self.value.argmax(axis), axis)

        def scatter(g):
            total = np.zeros(self.shape)
            np.put_along_axis(total, chosen, np.expand_dims(g, axis), axis)
            return total

        return Node(np.take_along_axis(self.value, chosen, axis).squeeze(axis), [(self, scatter)])

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -node(other)

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


def node(value):
    return value if isinstance(value, Node) else Node(value)


def _as_shape(g, shape):
    """Sums a gradient over what broadcasting repeated."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1), keepdims=True)


def _elementwise(value, slope, x):
    return Node(value, [(x, lambda g: g * slope)])


def relu(x):
    return _elementwise(np.maximum(x.value, 0.0), x.value > 0.0, x)


def elu(x):
    negative = np.exp(np.minimum(x.value, 0.0))
    return _elementwise(np.where(x.value > 0, x.value, negative - 1), np.where(x.value > 0, 1.0, negative), x)


def tanh(x):
    y = np.tanh(x.value)
    return _elementwise(y, 1 - y * y, x)


def sigmoid(x):
    y = 1 / (1 + np.exp(-x.value))
    return _elementwise(y, y * (1 - y), x)


def softplus(x):
    """log(1 + exp(x))"""
    return _elementwise(np.logaddexp(0.0, x.value), 1 / (1 + np.exp(-x.value)), x)


def concat(nodes, axis=-1):
    ends = np.cumsum([n.shape[axis] for n in nodes])[:-1]
    return Node(
        np.concatenate([n.value for n in nodes], axis),
        [(n, lambda g, i=i: np.split(g, ends, axis)[i]) for i, n in enumerate(nodes)],
    )


def pad(x, before, after):
    """Zeros around the second and third dimension."""
    width = [(0, 0), (before, after), (before, after), (0, 0)]
    rows, columns = x.shape[1:3]
    inner = np.s_[:, before : before + rows, before : before + columns]
    return Node(np.pad(x.value, width, "constant"), [(x, lambda g: g[inner])])


def gradients(loss, nodes):
    """{name: gradient of the scalar `loss`} for {name: node}; zeros where the loss does not depend on the node."""
    order, seen = [], set()

    def visit(n):
        if id(n) not in seen:
            seen.add(id(n))
            for parent, _ in n.parents:
                visit(parent)
            order.append(n)

    visit(loss)
    known = {id(loss): np.ones(())}
    for n in reversed(order):
        for parent, back in n.parents:
            known[id(parent)] = known.get(id(parent), 0.0) + back(known[id(n)])
    return {name: known.get(id(n), np.zeros(n.shape)) for name, n in nodes.items()}
