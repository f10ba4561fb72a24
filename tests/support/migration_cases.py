"""Small programs of TensorFlow 1, each with the TF2 arguments that its migrated code asks for.

Imported by the tests, which build and train them in a graph, and by cases/migrated.py, which trains what tf1_wd has
written of them in TensorFlow 2; `tf` is of the one or of the other.
"""

from __future__ import annotations

import numpy as np

STEPS = 20
LR = 0.05
# weights, the point that the loss pulls them to, and how strongly
SHAPES = {"a/kernel": (2, 3), "a/bias": (3,), "b/kernel": (3, 2)}


def _random(name, kind):
    return np.random.RandomState(sum(map(ord, name + kind))).uniform(0.5, 1.5, SHAPES[name])


def initial(name):
    """The first value of a variable, float32."""
    return _random(name, "initial").astype(np.float32)


def batch(step):
    """What the loss of a step takes: a number."""
    return np.float32(1.0 + 0.5 * np.sin(step))


def data_loss(tf, variables, x):
    """A loss of the variables given, at the batch x."""
    terms = []
    for name, variable in variables.items():
        target, curvature = (tf.constant(_random(name, kind), tf.float32) for kind in ("target", "curvature"))
        terms.append(tf.reduce_sum(curvature * tf.square(tf.convert_to_tensor(variable) - x * target)))
    return 0.5 * tf.add_n(terms)


def loss_of(name, tf, variables, x):
    """The loss without L2 of a case: of the variables given, at the batch x."""
    if "a table" not in name:
        return data_loss(tf, variables, x)
    others = {n: v for n, v in variables.items() if n != "b/kernel"}
    rows = tf.gather(variables["b/kernel"], [1, 1, 2])  # one of them twice
    return data_loss(tf, others, x) + 0.5 * tf.reduce_sum(tf.square(rows - x))


def parts(name, variables):
    """The variables that each loss of a case depends on: one loss, but for the case of two."""
    if name == "adam, of one part alone":
        return [{"a/kernel": variables["a/kernel"]}]
    if name == "two optimizers in one run":
        return [variables, variables]
    if name != "two losses in turn":
        return [variables]
    return [{n: v for n, v in variables.items() if n.startswith(part)} for part in ("a/", "b/")]


def halves(tf):
    """A learning rate as a function of the step."""
    return lambda step: LR * 0.5 ** (tf.cast(step, tf.float32) // 5)


def fades(tf):
    """What multiplies a decay, as a function of the step."""
    return lambda step: 1.0 / (1.0 + tf.cast(step, tf.float32))


def asked(name, tf):
    """What make_train_step of a case is given besides variables and data_loss."""
    base = name.split(": ")[-1]
    return ASKED[base](tf) if base in ASKED else []


# the same, of those that ask -> what make_train_step is given besides variables and data_loss
ASKED = {
    "a learning rate in a variable": lambda tf: [lambda step: LR],
    "a weighted loss": lambda tf: [lambda gradients: {name: 3.0 * g for name, g in gradients.items()}],
    "a gradient times two": lambda tf: [lambda gradients: {name: 2.0 * g for name, g in gradients.items()}],
}
