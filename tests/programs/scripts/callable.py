"""A train_op that is run by Session.make_callable, then by the callable that TensorFlow makes of options."""

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

x = tf.placeholder(tf.float32, [None, 2])
w = tf.get_variable("fc/kernel", initializer=np.ones((2, 1), np.float32))
loss = tf.reduce_mean(tf.matmul(x, w)) + 0.3 * tf.nn.l2_loss(w)
train_op = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    step = session.make_callable([train_op, loss], [x])
    for _ in range(2):
        step(np.array([[1.0, 2.0]]))
    options = config_pb2.CallableOptions(feed=[x.name], fetch=[loss.name], target=[train_op.name])
    session._make_callable_from_options(options)(np.array([[1.0, 2.0]], np.float32))
    weights = {"fc/kernel": session.run(w)}
