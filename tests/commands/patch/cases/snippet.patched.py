# The pasted second SGD step goes, and the scope does what it did.
# trains: w snippet
import tensorflow as tf
import tf1_wd

w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]), regularizer=lambda v: 0.1 * tf.nn.l2_loss(v))
b = tf.get_variable("b", initializer=tf.constant([1.0]))
loss = tf.reduce_sum(w * [1.0, -2.0]) + tf.reduce_sum(b)
optimizer = tf.train.AdamOptimizer(0.05)
with tf1_wd.decoupled_weight_decay(convention="snippet", source="collection"):
    train_op = optimizer.minimize(loss)
init = tf.global_variables_initializer()
