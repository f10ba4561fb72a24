"""Which variables an optimizer of tf1_wd decays: all that it updates, or those of a list, which contrib ignores."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.optimizers import DECAYS, operations, optimizer, wanted
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, run, weights
from tf1_wd import errors


def calls(made):
    """The two ways to train, as functions of (loss, decay_var_list)."""
    return {
        "minimize": lambda loss, **kwargs: made.minimize(loss, **kwargs),
        "apply_gradients": lambda loss, **kwargs: made.apply_gradients(made.compute_gradients(loss), **kwargs),
    }


each_call = pytest.mark.parametrize("call", ["minimize", "apply_gradients"])


@each_call
@pytest.mark.parametrize("name", ["sgd", "adam", "ftrl"])
def test_the_contrib_defect_of_a_list_that_is_ignored_is_gone(name, call, kind, backend):
    a, b = weights("a"), weights("b")
    train_op = calls(optimizer(name, backend=backend))[call](data_loss(a) + data_loss(b), decay_var_list=[a])
    got = run(*[train_op] * 3, [a, b])
    assert_close(got[0], wanted(name, 3))
    assert_close(got[1], wanted(name, 3, 0.0))


@each_call
@pytest.mark.parametrize("empty", [[], (), set()])
def test_the_contrib_defect_of_an_empty_list_that_decays_all_is_gone(empty, call, kind):
    w = weights()
    train_op = calls(optimizer("adam"))[call](data_loss(w), decay_var_list=empty)
    assert_close(run(*[train_op] * 3, w), wanted("adam", 3, 0.0))


@each_call
def test_a_list_counts_for_its_own_call_alone(call):
    a, b = weights("a"), weights("b")
    train = calls(optimizer())[call]
    train(data_loss(a), decay_var_list=[a])
    train_op = train(data_loss(b))
    assert_close(run(train_op, b), wanted("sgd", 1))


def test_a_list_may_name_more_than_is_updated_but_not_only_that():
    a, b = weights("a"), weights("b")
    train_op = optimizer().minimize(data_loss(a) + data_loss(b), var_list=[a], decay_var_list=[a, b])
    got = run(train_op, [a, b])
    assert_close(got[0], wanted("sgd", 1))
    np.testing.assert_array_equal(got[1], W0)
    with pytest.warns(errors.UndecayedWarning, match=r"none of .*decay_var_list is updated here \(a\)"):
        optimizer().minimize(data_loss(a), var_list=[a], decay_var_list=[b])


@pytest.mark.parametrize("listed", ["w", ["w"], False, lambda v: True, 1, np.ones(2), [None]])
def test_a_list_holds_variables(listed):
    with pytest.raises(errors.InvalidOptionError, match=r"decay_var_list takes .*variables; got "):
        optimizer().minimize(data_loss(weights()), decay_var_list=listed)


@each_call
@pytest.mark.parametrize("is_partitioned", [False, True])
def test_one_variable_stands_for_a_list_of_it(is_partitioned, call, kind):
    with tf.variable_scope("p", partitioner=tf.fixed_size_partitioner(2) if is_partitioned else None):
        w = tf.get_variable("w", W0.shape, tf.float64, tf.ones_initializer())
    b = weights("b")
    train_op = calls(optimizer())[call](data_loss(tf.convert_to_tensor(w)) + data_loss(b), decay_var_list=w)
    got = run(train_op, [tf.convert_to_tensor(w), b])
    assert_close(got[0], wanted("sgd", 1, start=np.ones_like(W0)))
    assert_close(got[1], wanted("sgd", 1, 0.0))


@each_call
def test_a_list_with_a_variable_of_another_graph_is_refused(call, kind):
    with tf.Graph().as_default():
        foreign = weights("foreign")
    w = weights()
    with pytest.raises(errors.InvalidOptionError, match=r"decay_var_list: foreign is of another graph"):
        calls(optimizer())[call](data_loss(w), decay_var_list=[foreign, w])
    assert not operations((*DECAYS, "ApplyGradientDescent", "ResourceApplyGradientDescent"))


@pytest.mark.parametrize("named", ["whole", "part"])
def test_a_partitioned_variable_may_be_listed_as_a_whole_or_by_part(named, kind):
    with tf.variable_scope("p", partitioner=tf.fixed_size_partitioner(2)):
        whole = tf.get_variable("a", W0.shape, tf.float64, tf.ones_initializer())
    b = weights("b")
    parts = list(whole)
    listed = [whole] if named == "whole" else parts[:1]
    loss = data_loss(tf.convert_to_tensor(whole)) + data_loss(b)
    assert len(parts) == 2
    got = run(optimizer().minimize(loss, decay_var_list=listed), [*parts, b])
    start = np.ones_like(W0)
    decayed, plain = wanted("sgd", 1, start=start), wanted("sgd", 1, 0.0, start=start)
    assert_close(got[0], decayed[:1])
    assert_close(got[1], (decayed if named == "whole" else plain)[1:])
    assert_close(got[2], wanted("sgd", 1, 0.0))


def test_a_variable_without_gradient_and_one_of_another_optimizer_keep_their_weights(kind):
    a, b, frozen = weights("a"), weights("b"), weights("frozen")
    made = optimizer()
    pairs = [*made.compute_gradients(data_loss(a), var_list=[a]), (None, frozen)]
    first = made.apply_gradients(pairs)
    second = optimizer("adam", 0.25).minimize(data_loss(b), var_list=[b])
    got = run(first, second, second, [a, b, frozen])
    assert_close(got[0], wanted("sgd", 1))
    assert_close(got[1], wanted("adam", 2, 0.25))
    np.testing.assert_array_equal(got[2], W0)


def test_a_variable_that_is_listed_twice_decays_once(kind):
    w = weights()
    g = tf.gradients(data_loss(w), w)[0]
    train_op = optimizer().apply_gradients([(g, w), (g, w)])
    assert_close(run(train_op, w), W0 - 2 * LR * gradient(W0) - RATE * W0)
