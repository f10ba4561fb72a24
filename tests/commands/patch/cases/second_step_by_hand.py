# refused: a second optimizer decays the weights
import tensorflow as tf

train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
sgd = tf.train.GradientDescentOptimizer(1.0)
decay = sgd.compute_gradients(tf.add_n(tf.losses.get_regularization_losses()))
decay_op = sgd.apply_gradients(decay)
