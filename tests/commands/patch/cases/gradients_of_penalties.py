# The gradients of the penalties are added to others, clipped on their own, before all are applied.
# trains: w
import tensorflow as tf

w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]), regularizer=lambda v: 0.1 * tf.nn.l2_loss(v))
b = tf.get_variable("b", initializer=tf.constant([1.0]))
loss = tf.reduce_sum(w * [1.0, -2.0]) + tf.reduce_sum(b)
penalty = tf.add_n(tf.losses.get_regularization_losses())
optimizer = tf.train.AdamOptimizer(0.05)
gradients = [(tf.clip_by_norm(g, 1.0), v) for g, v in optimizer.compute_gradients(loss, [w, b])]
decay = optimizer.compute_gradients(penalty, [w])
train_op = optimizer.apply_gradients([(gradients[0][0] + decay[0][0], w), gradients[1]])
