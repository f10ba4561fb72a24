# The pasted second SGD step goes, and the scope does what it did.
# trains: w snippet
import tensorflow as tf

w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]), regularizer=lambda v: 0.1 * tf.nn.l2_loss(v))
b = tf.get_variable("b", initializer=tf.constant([1.0]))
loss = tf.reduce_sum(w * [1.0, -2.0]) + tf.reduce_sum(b)
optimizer = tf.train.AdamOptimizer(0.05)
train_op = optimizer.minimize(loss)
with tf.control_dependencies([train_op]):
    sgd = tf.train.GradientDescentOptimizer(learning_rate=1.0)
    train_op = sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))
init = tf.global_variables_initializer()
