"""What a gradient is as a function of the weights, found by trying a copy of it: a table."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.programs import W0, weights
from tf1_wd import graph as reading
from tf1_wd.penalties import probe as module
from tf1_wd.penalties.linear_map import Kind
from tf1_wd.penalties.probe import probe

MASK = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


def fixed(value=W0):
    return weights("fixed", value=value, trainable=False)


# what a program writes of the variables w and v -> {variable: factor}, where the gradient is factor * variable
MULTIPLES = {
    "of minus w": (lambda w, v: tf.nn.l2_loss(-w), {"w": 1.0}),
    "of both": (lambda w, v: tf.nn.l2_loss(tf.concat([-w, 2.0 * v], 0)), {"w": 1.0, "v": 4.0}),
    "of w, and of v times 0": (lambda w, v: tf.nn.l2_loss(tf.concat([-w, 0.0 * v], 0)), {"w": 1.0}),
    "a norm of both, squared": (lambda w, v: tf.norm(tf.concat([-w, v], 0)) ** 2, {"w": 2.0, "v": 2.0}),
    "less a constant": (lambda w, v: 3.0 - tf.nn.l2_loss(-w), {"w": -1.0}),
    "float32": (lambda w, v: tf.nn.l2_loss(tf.cast(-w, tf.float32)), {"w": 1.0}),
    "bfloat16": (lambda w, v: tf.nn.l2_loss(-tf.cast(w, tf.bfloat16)), {"w": 1.0}),
    "float32 through identity_n": (
        lambda w, v: tf.nn.l2_loss(tf.identity_n([tf.cast(-w, tf.float32), tf.cast(v, tf.float32)])[0]),
        {"w": 1.0},
    ),
    "all rows": (lambda w, v: tf.nn.l2_loss(tf.gather(w, [1, 0])), {"w": 1.0}),
    "all rows by gather_nd": (lambda w, v: tf.nn.l2_loss(tf.gather_nd(w, [[1], [0]])), {"w": 1.0}),
    "by its size": (lambda w, v: tf.nn.l2_loss(-w) / tf.cast(tf.size(w), tf.float64), {"w": 1.0 / 6}),
    "einsum": (lambda w, v: tf.einsum("ij,ij->", w, w), {"w": 2.0}),
}
KINDS = {
    "a mask": (lambda w, v: tf.nn.l2_loss(w * MASK), Kind.LINEAR),
    "a factor that does not train": (lambda w, v: tf.reduce_sum(fixed(W0**2) * tf.square(w)), Kind.LINEAR),
    "a scalar that does not train": (lambda w, v: tf.reduce_sum(fixed(2.0) * tf.square(w)), Kind.LINEAR),
    "A w": (lambda w, v: tf.nn.l2_loss(tf.matmul(W0, w, transpose_a=True)), Kind.LINEAR),
    "a distance": (lambda w, v: tf.nn.l2_loss(w - 1.0), Kind.ANCHORED),
    "a distance from a variable": (lambda w, v: tf.nn.l2_loss(w - fixed()), Kind.ANCHORED),
    "a sum": (lambda w, v: tf.reduce_sum(w), Kind.CONSTANT),
    "a distance of two": (lambda w, v: tf.nn.l2_loss(w - v), Kind.OTHER),
    "a product": (lambda w, v: tf.reduce_sum(w * v), Kind.OTHER),
    "an indefinite form": (lambda w, v: tf.reduce_sum(w[0] * w[1]), Kind.OTHER),
    "a form with both signs": (lambda w, v: tf.reduce_sum(W0 * tf.square(w)), Kind.OTHER),
    "a projection that is tiny": (lambda w, v: tf.nn.l2_loss(1e-6 * tf.reduce_sum(w * W0)), Kind.LINEAR),
    "a mask and a slope": (lambda w, v: tf.reduce_sum(tf.square(w * MASK) + w), Kind.OTHER),
    "L1": (lambda w, v: tf.reduce_sum(tf.abs(w)), Kind.OTHER),
    "L1 of both and L2": (lambda w, v: tf.reduce_sum(tf.abs(w) + tf.square(w) + tf.square(v)), Kind.OTHER),
    "a norm": (lambda w, v: tf.norm(w), Kind.OTHER),
    "a logarithm": (lambda w, v: tf.log(1.0 + tf.nn.l2_loss(w)), Kind.OTHER),
    "Huber's loss": (lambda w, v: tf.losses.huber_loss(np.zeros([2, 3]), w), Kind.OTHER),
    "a hinge": (lambda w, v: tf.nn.relu(tf.nn.l2_loss(w) - 1000.0), Kind.OTHER),
    "one side": (lambda w, v: tf.reduce_sum(tf.square(tf.nn.relu(w))), Kind.OTHER),
    "a fourth power": (lambda w, v: tf.reduce_sum(w**4), Kind.OTHER),
    "rounded": (lambda w, v: tf.nn.l2_loss(w - tf.round(w)), Kind.OTHER),
    "random": (lambda w, v: tf.nn.l2_loss(w * tf.random_uniform([2, 3], dtype=tf.float64)), Kind.OTHER),
    "a loop": (lambda w, v: tf.reduce_sum(tf.map_fn(lambda row: tf.reduce_sum(row * row), w)), Kind.OTHER),
    "a branch": (lambda w, v: tf.cond(fixed(1.0) > 0.0, lambda: tf.nn.l2_loss(-w), lambda: 0.0 * w[0, 0]), Kind.OTHER),
    "no gradient": (lambda w, v: tf.nn.l2_loss(tf.stop_gradient(-w)), Kind.OTHER),
}


def probed(build):
    w, v = weights("w"), weights("v")
    tensor = build(w, v)
    nodes = len(tf.get_default_graph().get_operations())
    (found,) = probe([tensor], {reading.variable_op(w), reading.variable_op(v)})
    assert len(tf.get_default_graph().get_operations()) == nodes
    return found


@pytest.mark.parametrize("words", MULTIPLES)
def test_a_multiple_has_its_factors(words, kind):
    build, expected = MULTIPLES[words]
    found = probed(build)
    assert found.kind is Kind.MULTIPLE
    assert {op.name: factor for op, factor in found.factors.items()} == pytest.approx(expected)
    assert found.sign == np.sign(sum(expected.values()))


def test_terms_that_are_tried_together_are_told_apart(kind):
    w, v = weights("w"), weights("v")
    terms = [
        tf.nn.l2_loss(-w),
        tf.reduce_sum(tf.abs(w)),
        tf.nn.l2_loss(2.0 * w),
        tf.nn.l2_loss(3.0 * v),
        tf.nn.l2_loss(3.0 * fixed()),
        tf.nn.l2_loss(-v),
    ]
    found = probe(terms, {reading.variable_op(w), reading.variable_op(v)})
    factors = [{op.name: factor for op, factor in one.factors.items()} for one in found]
    assert factors == [{"w": 1.0}, {}, {"w": 4.0}, {"v": 9.0}, {}, {"v": 1.0}]
    assert [one.kind is Kind.MULTIPLE for one in found] == [True, False, True, True, False, True]


def test_an_empty_variable_has_no_factor(kind):
    w, empty = weights("w"), weights("empty", value=np.zeros([0, 3]))
    term = tf.nn.l2_loss(-tf.concat([w, empty], 0))
    (found,) = probe([term], {reading.variable_op(w), reading.variable_op(empty)})
    assert (found.kind, list(found.factors)) == (Kind.MULTIPLE, [reading.variable_op(w)])


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda p, w: p + tf.nn.l2_loss(-w), Kind.MULTIPLE),
        (lambda p, w: p * tf.nn.l2_loss(-w), Kind.OTHER),
        (lambda p, w: tf.sqrt(p), Kind.OTHER),
    ],
)
def test_a_penalty_that_is_known_already_stands_as_a_number(build, expected, kind):
    w, v = weights("w"), weights("v")
    known = tf.nn.l2_loss(v)
    (found,) = probe([build(known, w)], {reading.variable_op(w), reading.variable_op(v)}, {known.op})
    assert found.kind is expected
    assert [op.name for op in found.factors] == (["w"] if expected is Kind.MULTIPLE else [])


def test_a_product_with_a_matrix_of_usual_size_is_tried(kind):
    w = weights("w", value=np.zeros([16, 16]))
    (found,) = probe([tf.nn.l2_loss(tf.matmul(2.0 * np.eye(16), w))], {reading.variable_op(w)})
    assert (found.kind, list(found.factors.values())) == (Kind.MULTIPLE, [pytest.approx(4.0)])


@pytest.mark.parametrize("words", KINDS)
def test_what_is_no_multiple_has_its_kind(words, kind):
    build, expected = KINDS[words]
    assert probed(build).kind is expected


@pytest.mark.parametrize("bound", ["MAX_OPS", "MAX_WEIGHTS", "MAX_NUMBERS", "MAX_PRODUCTS"])
def test_what_is_too_large_is_not_tried(bound, kind, monkeypatch):
    build = KINDS["A w"][0]
    assert probed(build).kind is Kind.LINEAR
    monkeypatch.setattr(module, bound, 3 if bound != "MAX_OPS" else 1)
    with tf.Graph().as_default():
        assert probed(build).kind is Kind.OTHER


def test_a_global_random_seed_is_left_alone():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    probed(MULTIPLES["of minus w"][0])
    np.testing.assert_array_equal(np.random.get_state()[1], before)
