# A GAN: two optimizers, one scope.
# trains: w
import tensorflow as tf

w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]))
b = tf.get_variable("b", initializer=tf.constant([1.0]))
d_loss = tf.reduce_sum(w * [1.0, -2.0]) + 0.1 * tf.nn.l2_loss(w) + tf.reduce_sum(b)
g_loss = 3.0 * tf.reduce_sum(b)

with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    d_optim = tf.train.AdamOptimizer(0.05) \
              .minimize(d_loss, var_list=[w])
    g_optim = tf.train.AdamOptimizer(0.05) \
              .minimize(g_loss, var_list=[b])
train_op = tf.group(d_optim, g_optim)
