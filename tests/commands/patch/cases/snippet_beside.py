# refused: a second optimizer decays the weights
import tensorflow as tf

train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
decay_op = tf.train.GradientDescentOptimizer(learning_rate=1.0).minimize(tf.losses.get_regularization_loss())
train_op = tf.group(train_op, decay_op)
