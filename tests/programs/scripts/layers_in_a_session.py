"""Layers of tf.keras in session code: one's regularizer is in the loss, the others' are in none."""

import numpy as np
import tensorflow as tf


def dense(name):
    l2 = tf.keras.regularizers.l2(0.15)
    return tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", kernel_regularizer=l2, name=name)


x = tf.placeholder(tf.float32, [None, 2])
added, forgotten = dense("added"), dense("forgotten")
loss = tf.reduce_mean(added(x) + forgotten(x)) + tf.add_n(added.losses)
train_op = tf.train.AdamOptimizer(0.1).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(train_op, {x: np.array([[1.0, 2.0]])})
    weights = dict(zip(("added/kernel", "forgotten/kernel"), session.run([added.kernel, forgotten.kernel])))
