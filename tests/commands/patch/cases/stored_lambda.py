# refused: a lambda that runs elsewhere
import tensorflow as tf

train_fn = lambda loss: tf.train.AdamOptimizer(1e-3).minimize(loss)
