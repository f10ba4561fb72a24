"""`attach` knows L2 of the loss in all words that the scope knows, by the names of the gradients' ops."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.looked_up import Feeds, lookup
from support.other_words import COEFFICIENTS, COUPLED, MULTIPLES, OTHERS, RATE, fed_loss, run
from support.programs import LR, W0, assert_close, gradient, weights
from support.tables import table
from tf1_wd import errors

L2 = {**{name: words[0] for name, words in MULTIPLES.items()}, **{name: words[0] for name, words in OTHERS.items()}}


@pytest.mark.parametrize("optimizer", [tf.train.GradientDescentOptimizer, tf.train.AdamOptimizer])
@pytest.mark.parametrize("words", L2)
def test_attach_refuses_l2_in_any_words(words, optimizer, kind):
    w = weights()
    train_op = optimizer(LR).minimize(fed_loss(w) + RATE * L2[words](w))
    with pytest.raises(errors.CoupledPenaltyError, match="holds L2 of w, and a decay would come on top"):
        tf1_wd.attach(train_op, rates=0.25)


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_attach_refuses_l2_of_any_coefficient(coefficient, kind):
    w, c = weights(), COEFFICIENTS[coefficient]()
    train_op = tf.train.AdamOptimizer(LR).minimize(fed_loss(w) + c * tf.nn.l2_loss(-w))
    with pytest.raises(errors.CoupledPenaltyError, match="holds L2 of w"):
        tf1_wd.attach(train_op, rates=0.25)


def test_attach_refuses_l2_of_looked_up_rows(kind):
    w, feeds = table(), Feeds()
    rows = lookup(w, feeds)
    train_op = tf.train.AdamOptimizer(LR).minimize(feeds.loss(rows) + RATE * tf.nn.l2_loss(rows))
    with pytest.raises(errors.CoupledPenaltyError, match="holds L2 of table"):
        tf1_wd.attach(train_op, rates=0.25)


# an elastic net holds L2, and is refused
@pytest.mark.parametrize("words", [words for words in COUPLED if words not in ("map_fn", "elastic net")])
def test_attach_takes_a_loss_with_what_is_no_l2(words, kind):
    w = weights()
    build, of_term = COUPLED[words]
    train_op = tf.train.GradientDescentOptimizer(LR).minimize(fed_loss(w) + RATE * build(w))
    stepped = W0 - LR * (gradient(W0) + RATE * of_term(W0))
    assert_close(run(tf1_wd.attach(train_op, rates=0.25), w, 1), 0.75 * stepped)


def test_attach_takes_a_loss_with_l2_of_other_variables(kind):
    w, other = weights(), weights("other")
    train_op = tf.train.GradientDescentOptimizer(LR).minimize(fed_loss(w) + fed_loss(other) + tf.nn.l2_loss(-other))
    got = run(tf1_wd.attach(train_op, rates={"^w$": 0.25}), w, 1)
    assert_close(got, 0.75 * (W0 - LR * gradient(W0)))
