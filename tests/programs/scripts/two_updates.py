"""Actor and critic, trained in turns: each loss has the penalties of its scope, and its own L2 of shared features."""

import numpy as np
import tensorflow as tf


def l1(w):
    return tf.multiply(0.25, tf.reduce_sum(tf.abs(w)), name="l1")


start = np.array([[1.0], [-2.0]], np.float32)
x = tf.placeholder(tf.float32, [None, 2])
shared = tf.get_variable("features", initializer=start)
train_ops, variables = [], [shared]
for name, rate in (("actor", 0.3), ("critic", 0.1)):
    with tf.variable_scope(name):
        w = tf.get_variable("w", initializer=start, regularizer=l1)
        b = tf.get_variable(
            "b", initializer=np.array([2.0], np.float32), regularizer=tf.contrib.layers.l2_regularizer(rate)
        )
        scoped = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES, scope=name)
    loss = tf.reduce_mean(tf.matmul(x, w + shared) + b) + tf.add_n(scoped) + 2.0 * rate * tf.nn.l2_loss(shared)
    train_ops.append(tf.train.GradientDescentOptimizer(0.1).minimize(loss, var_list=[w, b, shared]))
    variables += [w, b]
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for step in range(3):
        session.run(train_ops[step % 2], {x: [[1.0, 2.0]]})
    weights = {v.op.name: value for v, value in zip(variables, session.run(variables))}
