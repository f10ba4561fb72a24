"""What NumPy and tf.data took once: names that are gone, penalties summed by np.sum, int32 for the threads of a map."""

import numpy as np
import tensorflow as tf

threads = tf.constant(2, dtype=tf.int32)
batch = np.reshape(np.fromstring(np.arange(1, 5, dtype=np.float32).tostring(), np.float32), newshape=[2, 2])
data = tf.data.Dataset.from_tensor_slices(batch).map(lambda row: 2.0 * row, num_parallel_calls=threads)
x = data.batch(2).repeat().make_one_shot_iterator().get_next()
w = tf.get_variable("w", initializer=np.ones([2, 1], np.float32))
u = tf.get_variable("u", initializer=np.array([4.0], np.float32))
loss = tf.reduce_mean(tf.matmul(x, w) + u) + 0.3 * np.sum([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
train_op = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in np.arange(3, dtype=np.int0):
        session.run(train_op)
    weights = {"w": session.run(w), "u": session.run(u)}
