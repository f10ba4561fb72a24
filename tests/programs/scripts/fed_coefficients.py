"""Two coefficients of one variable that are known at run time alone: one fed in float64, one a float32 variable."""

import numpy as np
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 2])
fed = tf.placeholder(tf.float64, [])
w = tf.get_variable("w", initializer=np.array([[1.0], [-2.0]], np.float32))
own = tf.get_variable("own", initializer=0.1, trainable=False)
loss = tf.reduce_mean(tf.matmul(x, w)) + own * tf.nn.l2_loss(w)
loss += tf.cast(fed * tf.nn.l2_loss(tf.cast(-w, tf.float64)), tf.float32)
train_op = tf.train.AdamOptimizer(0.1).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for coefficient in (0.2, 0.4, 0.0):
        session.run(train_op, {x: [[1.0, 2.0]], fed: coefficient})
    weights = {"w": session.run(w)}
