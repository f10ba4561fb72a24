"""A search for the best L2 in one process, a graph for each turn; in one turn the L2 is 0.0."""

import numpy as np
import tensorflow as tf

weights = {}
for rate in (0.3, 0.0, 0.1):
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None, 2])
    w = tf.get_variable("w", initializer=np.array([[1.0], [-2.0]], np.float32))
    loss = tf.reduce_mean(tf.matmul(x, w)) + rate * tf.nn.l2_loss(w)
    train_op = tf.train.AdamOptimizer(0.1).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train_op, {x: [[1.0, 2.0]]})
        weights["w of %s" % rate] = session.run(w)
