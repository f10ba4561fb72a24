"""A recommender by matrix factorization: L2 of the rows that a batch looks up, by the batch's size, and of a bias."""

import numpy as np
import tensorflow as tf

users, wanted, other = (tf.placeholder(tf.int32, [None], name=name) for name in ("users", "wanted", "other"))
table = np.array([[1.0, -1.0], [2.0, 0.5], [-1.5, 1.0], [0.5, 3.0]], np.float32)
P = tf.get_variable("users/rows", initializer=table)
Q = tf.get_variable("items/rows", initializer=2.0 * table)
bias = tf.get_variable("bias", initializer=np.array([1.0, -2.0], np.float32))
p, q, r = (tf.nn.embedding_lookup(*pair) for pair in ((P, users), (Q, wanted), (Q, other)))
score = tf.reduce_sum(p * (q - r) + bias, 1)
size = tf.cast(tf.shape(users)[0], tf.float32)
penalty = 0.4 * (tf.nn.l2_loss(p) + tf.nn.l2_loss(q) + tf.nn.l2_loss(r)) / size
loss = tf.reduce_mean(score) + penalty + 0.2 * tf.nn.l2_loss(bias)
train_op = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(train_op, {users: [0, 2, 0, 1], wanted: [1, 1, 2, 3], other: [0, 2, 0, 0]})
    weights = dict(zip(("users/rows", "items/rows", "bias"), session.run([P, Q, bias])))
