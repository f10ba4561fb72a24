"""The rate that losses give a variable in an update, by what the program made of their gradients: a table."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.programs import RATE, W0, data_loss, weights
from tf1_wd import errors
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.decay.scope.net_rate import calls_behind, net_rate
from tf1_wd.penalties.gradient_call import GradientCall

FED = 0.75


class Program:
    """A variable, and the calls of tf.gradients that differentiate by it, as a scope sees them."""

    def __init__(self):
        self.w = weights("w")
        self.calls = []

    def gradient(self, loss):
        call = GradientCall(loss, [self.w], None)
        self.calls.append(call)
        return call.keep(tf.gradients(loss, [self.w], stop_gradients=call.constants))[0]

    def loss(self, rate=RATE):
        return data_loss(self.w) + rate * tf.nn.l2_loss(self.w)

    def rate(self, gradient):
        upstream = Upstream(self.calls)
        found = net_rate(gradient, self.w, "w", calls_behind(gradient, self.w, upstream), upstream)
        if not tf.is_tensor(found):
            return found
        with tf.Session() as session:
            return session.run(found)


def fed():
    return tf.placeholder_with_default(np.float64(FED), [])


def mean_of_squares(p):
    return p.gradient(data_loss(p.w) + tf.reduce_mean(tf.square(p.w)))


# what a program applies -> the rate
RATES = {
    "no L2": (lambda p: p.gradient(data_loss(p.w)), None),
    "L2": (lambda p: p.gradient(p.loss()), RATE),
    "L2 twice": (lambda p: p.gradient(p.loss() + 2 * RATE * tf.nn.l2_loss(p.w)), 3 * RATE),
    "the mean of squares": (mean_of_squares, 2.0 / W0.size),
    "L2 alone": (lambda p: p.gradient(RATE * tf.nn.l2_loss(p.w)), RATE),
    "a rate that is fed": (lambda p: p.gradient(p.loss(fed())), FED),
    "a multiple of the gradient": (lambda p: 0.5 * p.gradient(p.loss()), 0.5 * RATE),
    "a loss scale": (lambda p: p.gradient(8.0 * p.loss()) / 8.0, RATE),
    "a loss scale that is fed": (lambda p: p.gradient(fed() * p.loss()) / fed(), RATE),
    "a clip": (lambda p: tf.clip_by_norm(p.gradient(p.loss()), 0.5), RATE),
    "the sum of two losses": (lambda p: p.gradient(p.loss()) + p.gradient(p.loss(0.25)), RATE + 0.25),
    "the mean of two towers": (lambda p: (p.gradient(p.loss()) + p.gradient(p.loss())) / 2.0, RATE),
    "L2 in one of two losses": (lambda p: p.gradient(p.loss()) + p.gradient(data_loss(p.w)), RATE),
    "one of two losses": (lambda p: [p.gradient(p.loss()), p.gradient(p.loss(0.25))][1], 0.25),
    "None for the gradient": (lambda p: [p.gradient(p.loss()), None][1], RATE),
    "a gradient by hand": (lambda p: [p.gradient(data_loss(p.w)), tf.ones_like(p.w)][1], None),
}
REFUSED = {
    "None, of two losses": (
        lambda p: [p.gradient(p.loss()), p.gradient(p.loss()), None][2],
        errors.AmbiguousRateError,
        "no gradient in the update tells which",
    ),
    "gradients kept in a variable": (
        lambda p: tf.convert_to_tensor(weights("total", trainable=False).assign_add(p.gradient(p.loss()))),
        errors.AmbiguousRateError,
        "goes through variables",
    ),
    "a gradient from elsewhere": (
        lambda p: [p.gradient(p.loss()), tf.gradients(data_loss(p.w), p.w)[0]][1],
        errors.UnsupportedUpdateError,
        "not computed by tf.gradients inside the scope",
    ),
    "a gradient with L2 from elsewhere": (
        lambda p: tf.gradients(p.loss(), p.w)[0],
        errors.CoupledPenaltyError,
        "outside of the scope and holds L2",
    ),
}


@pytest.mark.parametrize("applied", RATES)
def test_the_net_rate_of_what_is_applied(applied, kind):
    build, rate = RATES[applied]
    program = Program()
    found = program.rate(build(program))
    assert found is None if rate is None else found == pytest.approx(rate)


@pytest.mark.parametrize("applied", REFUSED)
def test_a_net_rate_that_is_not_known_is_refused(applied, kind):
    build, error, words = REFUSED[applied]
    program = Program()
    gradient = build(program)
    with pytest.raises(error, match=words):
        program.rate(gradient)
