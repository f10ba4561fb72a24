"""Each form of L2 is found with the factors of its gradient; what only looks like L2 is not found."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.programs import W0, weights
from tf1_wd import graph as reading
from tf1_wd.penalties.find import find_penalties
from tf1_wd.penalties.forms import FORMS, form_of

ROWS = W0.shape[0]

# what a program writes of the variables w and v -> {variable: factor}, where the gradient is factor * variable
PENALTIES = {
    "tf.nn.l2_loss": (lambda w, v: tf.nn.l2_loss(w), {"w": 1.0}),
    "of a cast": (lambda w, v: tf.nn.l2_loss(tf.cast(w, tf.float32)), {"w": 1.0}),
    "of a reshape": (lambda w, v: tf.nn.l2_loss(tf.reshape(w, [-1])), {"w": 1.0}),
    "of a transposed one": (lambda w, v: tf.nn.l2_loss(tf.transpose(w)), {"w": 1.0}),
    "of several": (lambda w, v: tf.nn.l2_loss(tf.concat([w, v], 0)), {"w": 1.0, "v": 1.0}),
    "of a stack": (lambda w, v: tf.nn.l2_loss(tf.stack([w, v])), {"w": 1.0, "v": 1.0}),
    "of one twice": (lambda w, v: tf.nn.l2_loss(tf.concat([w, w, v], 0)), {"w": 2.0, "v": 1.0}),
    "reduce_sum of tf.square": (lambda w, v: tf.reduce_sum(tf.square(w)), {"w": 2.0}),
    "reduce_sum of w * w": (lambda w, v: tf.reduce_sum(w * w), {"w": 2.0}),
    "reduce_sum of w ** 2": (lambda w, v: tf.reduce_sum(w**2), {"w": 2.0}),
    "reduce_sum of both": (lambda w, v: tf.reduce_sum(tf.square(tf.concat([w, v], 1))), {"w": 2.0, "v": 2.0}),
    "reduce_mean": (lambda w, v: tf.reduce_mean(tf.square(w)), {"w": 2.0 / W0.size}),
    "a sum of means": (lambda w, v: tf.reduce_sum(tf.reduce_mean(tf.square(w), axis=0)), {"w": 2.0 / ROWS}),
    "a mean of sums": (lambda w, v: tf.reduce_mean(tf.reduce_sum(tf.square(w), axis=1)), {"w": 2.0 / ROWS}),
    "a factor inside": (lambda w, v: tf.reduce_sum(0.25 * tf.square(w)), {"w": 0.5}),
    "a factor on the right": (lambda w, v: tf.reduce_sum(tf.square(w) * 0.25), {"w": 0.5}),
    "a quotient inside": (lambda w, v: tf.reduce_sum(tf.square(w) / 4.0), {"w": 0.5}),
    "a cast of the squares": (lambda w, v: tf.reduce_sum(tf.cast(tf.square(w), tf.float32)), {"w": 2.0}),
    "tf.norm squared": (lambda w, v: tf.square(tf.norm(w)), {"w": 2.0}),
    "tf.norm to the power of 2": (lambda w, v: tf.norm(w) ** 2, {"w": 2.0}),
    "tf.sqrt squared": (lambda w, v: tf.pow(tf.sqrt(tf.reduce_sum(tf.square(w))), 2.0), {"w": 2.0}),
    "a norm times itself": (lambda w, v: (lambda norm: norm * norm)(tf.norm(w)), {"w": 2.0}),
}
OTHERS = {
    "L1": lambda w, v: tf.reduce_sum(tf.abs(w)),
    "a distance": lambda w, v: tf.nn.l2_loss(w - v),
    "a distance from a number": lambda w, v: tf.reduce_sum(tf.square(w - 1.0)),
    "a product": lambda w, v: tf.reduce_sum(w * v),
    "a third power": lambda w, v: tf.reduce_sum(w**3),
    "a weight for each element": lambda w, v: tf.reduce_sum(tf.square(w) * W0),
    "a mask of the weights": lambda w, v: tf.nn.l2_loss(w * W0),
    "squares of no sum": lambda w, v: tf.square(w),
}


def penalties_of(tensor):
    return find_penalties(reading.ancestors([tensor]), [tensor])


@pytest.mark.parametrize("form", PENALTIES)
def test_the_gradient_of_a_penalty_is_its_factors_times_the_variables(form, kind):
    build, expected = PENALTIES[form]
    variables = {"w": weights("w"), "v": weights("v", value=2 * W0 + 1)}
    (penalty,) = penalties_of(0.125 * build(variables["w"], variables["v"]))
    assert {op.name: factor for op, factor in penalty.factors.items()} == pytest.approx(expected)
    gradients = tf.gradients(penalty.tensor, [variables[name] for name in expected])
    config = tf.ConfigProto()  # as it is built: rewriting loses the transpose of a gradient on 2.21.0
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Session(config=config) as session:
        session.run(tf.global_variables_initializer())
        for name, gradient in zip(expected, session.run(gradients)):
            np.testing.assert_allclose(gradient, expected[name] * session.run(variables[name]), rtol=1e-6)


@pytest.mark.parametrize("form", OTHERS)
def test_what_only_looks_like_l2_is_no_penalty(form, kind):
    assert penalties_of(OTHERS[form](weights("w"), weights("v", value=2 * W0 + 1))) == []


def test_each_row_of_the_table_of_forms_is_tried():
    w, v = weights("w"), weights("v")
    found = {form_of(penalties_of(build(w, v))[0].tensor.op) for build, _ in PENALTIES.values()}
    assert found == set(FORMS)


def test_each_op_type_belongs_to_one_form():
    op_types = [op_type for form in FORMS for op_type in form.ops]
    assert len(op_types) == len(set(op_types))
