"""L2 in many words, each of a layer of its own: of all weights, of a part of them, of a distance from others."""

import numpy as np
import tensorflow as tf


def layer(name):
    return tf.get_variable(name, initializer=np.array([[1.0], [-2.0], [4.0]], np.float32))


def itself(flat):
    return tf.reduce_sum(flat * flat)


kept = np.array([[1.0], [0.0], [1.0]], np.float32)
old = np.array([[3.0], [0.0], [2.0]], np.float32)
penalties = {
    "minus": lambda w: tf.nn.l2_loss(-w),
    "reshape": lambda w: itself(tf.reshape(w, [-1])),
    "tensordot": lambda w: tf.tensordot(w, w, 2),
    "einsum": lambda w: tf.einsum("ij,ij->", w, w),
    "trace": lambda w: tf.trace(tf.matmul(w, w, transpose_b=True)),
    "prior": lambda w: -tf.reduce_sum(tf.distributions.Normal(0.0, 2.0).log_prob(w)),
    "mask": lambda w: tf.nn.l2_loss(kept * w, name="of_mask"),
    "slice": lambda w: tf.nn.l2_loss(w[1:], name="of_slice"),
    "gather": lambda w: tf.nn.l2_loss(tf.gather(w, [2, 0, 2]), name="of_rows"),
    "anchor": lambda w: tf.nn.l2_loss(w - old, name="distance"),
}
x = tf.placeholder(tf.float32, [None, 3])
layers = {name: layer(name) for name in [*penalties, "left", "right"]}
loss = tf.add_n([tf.reduce_mean(tf.matmul(x, w)) for w in layers.values()])
for name, penalty in penalties.items():
    loss += 0.25 * penalty(layers[name])
loss += 0.25 * tf.norm(tf.concat([layers["left"], layers["right"]], 0)) ** 2
train_op = tf.train.AdamOptimizer(0.1).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(train_op, {x: [[1.0, 2.0, 3.0]]})
    weights = session.run(layers)
