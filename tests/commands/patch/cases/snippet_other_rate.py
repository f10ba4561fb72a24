# refused: a second optimizer decays the weights
import tensorflow as tf

train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.control_dependencies([train_op]):
    sgd = tf.train.GradientDescentOptimizer(learning_rate=0.1)
    train_op = sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))
