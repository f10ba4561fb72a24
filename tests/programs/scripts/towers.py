"""The mean of two towers' gradients, clipped together; and a gradient of the first tower's loss, for a log alone."""

import numpy as np
import tensorflow as tf

x = tf.placeholder(tf.float32, [4, 2])
optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
towers = []
for i, part in enumerate(tf.split(x, 2)):
    with tf.variable_scope("net", reuse=i > 0):
        w = tf.get_variable("w", initializer=np.array([[1.0], [-2.0]], np.float32))
    loss = tf.reduce_mean(tf.matmul(part, w)) + 0.3 * tf.nn.l2_loss(w)
    if i == 0:
        logged = tf.gradients(loss, [w])[0]
    towers.append(optimizer.compute_gradients(loss))
means = []
for pairs in zip(*towers):
    stacked = tf.concat([tf.expand_dims(gradient, 0) for gradient, _ in pairs], 0)
    means.append((tf.reduce_mean(stacked, 0), pairs[0][1]))
gradients, variables = zip(*means)
gradients, _ = tf.clip_by_global_norm(gradients, 100.0)
train_op = optimizer.apply_gradients(zip(gradients, variables))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    batch = {x: [[1.0, 2.0], [3.0, 2.0], [0.0, 1.0], [0.0, -1.0]]}
    first = session.run(logged, batch)
    for _ in range(3):
        session.run(train_op, batch)
    weights = {"net/w": session.run(w), "logged": first}
