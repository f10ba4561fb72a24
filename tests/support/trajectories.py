"""Twenty steps of one small problem, by the rule of each convention in NumPy, by tf1_wd, and by the system itself."""

from __future__ import annotations

import functools
import json
import subprocess

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.paths import ROOT
from tf1_wd.conventions import CONVENTIONS
from tf1_wd.conventions.convert import convert_rate
from tf1_wd.errors import NoEqualRateError

STEPS, LR, ETA = 20, 0.125, 0.5
SHRINK = 0.0625  # the fraction of each weight that leaves it in a step
W0 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.5]])
CURVATURE = np.array([[1.0, 0.5, 2.0], [0.25, 1.5, 1.0]])
TARGET = np.array([[0.3, 0.7, -0.2], [-1.0, 2.0, 0.1]])


def gradient(w):
    return CURVATURE * (w - TARGET)


def data_loss(w):
    curvature, target = (tf.constant(x, w.dtype.base_dtype) for x in (CURVATURE, TARGET))
    return 0.5 * tf.reduce_sum(curvature * tf.square(w - target))


class Optimizer(oracle.Optimizer):
    """With the betas of Adam in float64, as all others have them; TensorFlow's float32 is 3e-6 off."""

    def _adam(self, w, g):
        t = self.slots["t"] = self.slots.get("t", 0) + 1
        self.slots["m"] = 0.9 * self._slot("m", w) + (1 - 0.9) * g
        self.slots["v"] = 0.999 * self._slot("v", w) + (1 - 0.999) * g * g
        rate = self.lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return rate * self.slots["m"] / (np.sqrt(self.slots["v"]) + 1e-8)


def betas():
    return tf.constant(0.9, tf.float64), tf.constant(0.999, tf.float64)


def tf_optimizer(name, lr):
    if name == "adam":
        return tf.train.AdamOptimizer(lr, *betas())
    return oracle.tf_optimizer(tf, name, lr)


def by_numpy(name, optimizer, rate, lr=LR, eta=ETA):
    """The weights after each step. lr, eta: numbers, or one a step; rate: a number, or [n, 1, 1] for n at once."""
    rule, made, w, found = RULES[name], Optimizer(optimizer, LR), W0 + 0.0 * np.asarray(rate), []
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
    if made.name == "momentum":  # SGDW: eta is inside the momentum
        made.slots["m"] = 0.9 * made.slots.get("m", 0.0) + eta * made.lr * gradient(w)
        return w - made.slots["m"] - eta * rate * w
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

FRACTION = {"1": SHRINK, "learning_rate": SHRINK / LR, "eta": SHRINK / ETA}  # the rate that takes SHRINK off
SCHEDULE = {"constant": 1.0, "schedule": np.repeat([1.0, 0.5], STEPS // 2)}  # what multiplies learning rate and eta


def lines(*names, schedules=("constant",)):
    """Parametrizes a test by all lines of these conventions: name, optimizer, schedule."""
    found = []
    for name in names:
        for optimizer in CONVENTIONS[name].lines:
            for each in ("sgd", "momentum", "adam") if optimizer == "any" else (optimizer,):
                # with momentum, systems differ in whether an old gradient has the learning rate of then or of now
                found += [(name, each, s) for s in schedules if s == "constant" or each != "momentum"]
    return found


def rate_of(name):
    return FRACTION[CONVENTIONS[name].times] / CONVENTIONS[name].factor


def course(name, schedule):
    """(learning rate, eta) of one system, each a number or one a step: lr is eta times the alpha of the paper."""
    factor = SCHEDULE[schedule]
    return (LR / ETA if CONVENTIONS[name].times == "eta" else LR * factor), ETA * factor


@functools.lru_cache(None)
def by_system(program, python, cases):
    """{case: weights after each step} of cases/<program>.py, run by that Python; cases as lines() gives them."""
    asked = []
    for name, optimizer, schedule in cases:
        known = CONVENTIONS[name].lines
        lr, eta = (np.broadcast_to(x, STEPS).tolist() for x in course(name, schedule))
        line = known.get(optimizer) or known["any"]
        asked.append({"line": line, "optimizer": optimizer, "rate": rate_of(name), "lr": lr, "eta": eta})
    problem = {"w0": W0.tolist(), "curvature": CURVATURE.tolist(), "target": TARGET.tolist(), "cases": asked}
    script = str(ROOT / "tests" / "others" / "cases" / (program + ".py"))
    out = subprocess.run(
        [python, script], input=json.dumps(problem), stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    return dict(zip(cases, map(np.array, json.loads(out.stdout))))


def by_tensorflow(optimizer, rate, options, schedule="constant"):
    """The weights after each step of TensorFlow 1 with tf1_wd's options; with L2 in the loss and no scope for ""."""
    return _by_tensorflow(optimizer, rate, options, schedule, tf.get_variable_scope().use_resource)


@functools.lru_cache(None)  # systems that do the same ask for the same
def _by_tensorflow(optimizer, rate, options, schedule, use_resource):
    with tf.Graph().as_default(), tf.variable_scope("net", use_resource=use_resource):
        w = tf.get_variable("w", initializer=W0)
        now = tf.train.get_or_create_global_step()
        lr, eta = (tf.gather(np.broadcast_to(x * SCHEDULE[schedule], STEPS), now) for x in (LR, ETA))
        loss = data_loss(w) + rate * tf.nn.l2_loss(w)
        optimizer = tf_optimizer(optimizer, lr)
        if not options:
            return weights_after_each(optimizer.minimize(loss, now), w)
        with tf1_wd.decoupled_weight_decay(**eval("dict(%s)" % options, {"eta": eta})):
            train_op = optimizer.minimize(loss, now)
        return weights_after_each(train_op, w)


def weights_after_each(train_op, w):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = []
        for _ in range(STEPS):
            session.run(train_op)
            found.append(session.run(w))
        return np.array(found)


def assert_close(got, want, atol=1e-6):
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=atol)  # weights are about 1, and some pass 0


def assert_is_its_row(case, found, atol=1e-6):
    """The trajectory of a system is its row's: by the formula, by the options of tf1_wd, and by converted rates."""
    name, optimizer, schedule = case
    row, rate = CONVENTIONS[name], rate_of(name)
    assert_close(by_numpy(name, optimizer, rate, *course(name, schedule)), found, atol)
    assert_close(by_tensorflow(optimizer, row.factor * rate, row.options, schedule), found, atol)
    for options, rate in conversions(*case):
        assert_close(by_tensorflow(optimizer, rate, options, schedule), found, atol)


def conversions(name, optimizer, schedule):
    """(options of tf1_wd, rate) of the conventions to which a rate of this system can be converted."""
    for other in ("contrib", "adamw", "paper", "l2_loss"):
        lr, eta = course("paper" if "eta" in (CONVENTIONS[n].times for n in (name, other)) else name, schedule)
        try:
            yield CONVENTIONS[other].options, convert_rate(rate_of(name), name, other, lr, eta, optimizer)
        except NoEqualRateError:
            continue
