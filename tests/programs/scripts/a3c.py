"""A3C: gradients of a worker's copy, with its loss and L2, are clipped and applied to the global weights."""

import numpy as np
import tensorflow as tf


def network(scope):
    with tf.variable_scope(scope):
        w = tf.get_variable("policy/w", initializer=np.array([[1.0], [-2.0]], np.float32))
        return w, tf.matmul(states, w)


states = tf.placeholder(tf.float32, [None, 2])
shared, _ = network("global")
local, policy = network("worker_0")
loss = tf.reduce_mean(policy) + 0.3 * tf.nn.l2_loss(local)
clipped, _ = tf.clip_by_global_norm(tf.gradients(loss, [local]), 40.0)
train_op = tf.train.AdamOptimizer(0.1).apply_gradients(zip(clipped, [shared]))
pull = local.assign(shared)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(pull)
        session.run(train_op, {states: [[1.0, 2.0]]})
    weights = {"global/policy/w": session.run(shared)}
