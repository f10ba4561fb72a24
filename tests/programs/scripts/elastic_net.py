"""L1 beside the L2 of a regularizer, an elastic net in one sum, and a norm whose coefficient may be fed."""

import numpy as np
import tensorflow as tf

start = np.array([[1.0], [-2.0]], np.float32)
x = tf.placeholder(tf.float32, [None, 2])
strength = tf.placeholder_with_default(0.2, [])
dense = tf.get_variable("dense", initializer=start, regularizer=tf.contrib.layers.l2_regularizer(0.3))
sparse = tf.get_variable("sparse", initializer=start)
gate = tf.get_variable("gate", initializer=start)
loss = tf.add_n([tf.reduce_mean(tf.matmul(x, w)) for w in (dense, sparse, gate)]) + tf.losses.get_regularization_loss()
loss += 0.5 * tf.reduce_sum(tf.abs(dense), name="l1")
loss += tf.reduce_sum(0.25 * tf.abs(sparse) + 0.15 * tf.square(sparse), name="elastic_net")
loss += strength * tf.norm(gate, name="group")
train_op = tf.train.AdamOptimizer(0.1).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(train_op, {x: [[1.0, 2.0]]})
    weights = dict(zip(("dense", "sparse", "gate"), session.run([dense, sparse, gate])))
