"""What is for graphs of TensorFlow 1, in a process that executes eagerly; prints as JSON what is wrong, or null."""

from __future__ import annotations

import json
import os
import sys
import traceback

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.python.framework import function

import tf1_wd

if tf.__version__.startswith("1."):
    tf.enable_eager_execution()
    tf.enable_control_flow_v2()
START, RATE, LR, SLOPE = np.array([1.0, 2.0]), 0.0625, 0.25, 3.0
FILE = sys.argv[1]  # layer parameters of the layer "w"


def loss_of(w):
    return SLOPE * tf.reduce_sum(w)


def by_cuda_convnet(w, gradient):
    optimizer = tf1_wd.CudaConvnetOptimizer(FILE, decoupled=True)
    return optimizer.apply_gradients([(gradient, w)])


def by_sgdw(w, gradient):
    return tf1_wd.MomentumWOptimizer(RATE, LR, 0.0).apply_gradients([(gradient, w)], decay_var_list=[w])


def by_a_scope(w, gradient):
    with tf1_wd.decoupled_weight_decay(rates=RATE, order="before"):
        return tf.train.GradientDescentOptimizer(LR).apply_gradients([(gradient, w)])


def by_a_coupled_scope(w, gradient):
    with tf1_wd.coupled_weight_decay(rates=RATE / LR):
        return tf.train.GradientDescentOptimizer(LR).apply_gradients([(gradient, w)])


def by_l2_in_gradients(w, gradient):
    pairs = tf1_wd.add_decay_to_gradients([(gradient, w)], tf1_wd.plan_decay([w], RATE / LR))
    return tf.train.GradientDescentOptimizer(LR).apply_gradients(pairs)


UPDATES = [by_cuda_convnet, by_sgdw, by_a_scope, by_a_coupled_scope, by_l2_in_gradients]


def assert_refused(call):
    with pytest.raises(tf1_wd.EagerModeError, match=r"call tf1_wd\.tf2\.decay .*disable_v2_behavior"):
        call()


def check_an_update_is_refused_eagerly_and_in_a_function_and_changes_nothing():
    w = tf.Variable(START, name="w/weights")
    for update in UPDATES:
        call = lambda update=update: update(w, tf.ones_like(START))  # noqa: E731
        assert_refused(call)
        assert_refused(tf.function(call, autograph=False))
    np.testing.assert_array_equal(w.numpy(), START)


def check_minimize_and_gradients_are_refused_eagerly_and_in_a_function():
    w = tf.Variable(START, name="w/weights")
    sgd = tf.train.GradientDescentOptimizer(LR)
    calls = [
        lambda: tf1_wd.CudaConvnetOptimizer(FILE).minimize(lambda: loss_of(w), var_list=[w]),
        lambda: tf1_wd.MomentumWOptimizer(RATE, LR, 0.0).minimize(lambda: loss_of(w), var_list=[w], decay_var_list=[w]),
        tf1_wd.decoupled_weight_decay(lambda: sgd.minimize(lambda: loss_of(w), var_list=[w]), rates=RATE),
        tf1_wd.decoupled_weight_decay(lambda: tf.gradients(loss_of(w), [w]), rates=RATE),
        tf1_wd.decoupled_weight_decay(lambda: None, rates=RATE),
        lambda: tf1_wd.attach(tf.group(w), rates=RATE),
    ]
    for call in calls:
        assert_refused(call)
        assert_refused(tf.function(call, autograph=False))
    np.testing.assert_array_equal(w.numpy(), START)


def check_a_function_that_autograph_converts_tells_the_error():
    w = tf.Variable(START, name="w/weights")
    with pytest.raises(Exception, match=r"EagerModeError: weight decay is .*tf1_wd\.tf2\.decay"):  # AutoGraph quotes it
        tf.function(lambda: by_sgdw(w, tf.ones_like(START)))()


def in_a_branch(update):
    return tf.cond(tf.constant(True), update, tf.no_op)


def in_a_loop(update):
    def body(i):
        with tf.control_dependencies([update()]):
            return i + 1

    return tf.while_loop(lambda i: i < 1, body, [tf.constant(0)])


def in_a_function(update):
    return tf.function(lambda: _value_after(update()), autograph=False)()


def in_a_defun(update):
    return function.Defun(func_name="step")(lambda: _value_after(update()))()


def _value_after(op):
    with tf.control_dependencies([op]):
        return tf.constant(1.0)


def check_branches_loops_and_functions_of_a_graph_decay():
    for place in (in_a_branch, in_a_loop, in_a_function, in_a_defun):
        for update in UPDATES:
            with tf.Graph().as_default(), tf.Session() as session:
                w = tf.get_variable("w/weights", initializer=START, use_resource=True)
                with tf.variable_scope("", reuse=tf.AUTO_REUSE):
                    train_op = place(lambda update=update, w=w: tf.group(update(w, SLOPE * tf.ones_like(START))))
                session.run(tf.global_variables_initializer())
                session.run(train_op)
                want = START - LR * SLOPE - RATE * START
                np.testing.assert_allclose(session.run(w), want, rtol=1e-6, err_msg=str((place, update)))


if __name__ == "__main__":
    wrong = {}
    for name, check in [item for item in globals().items() if item[0].startswith("check_")]:
        try:
            check()
            wrong[name] = None
        except Exception:
            wrong[name] = traceback.format_exc()
    json.dump(wrong, sys.stdout)
