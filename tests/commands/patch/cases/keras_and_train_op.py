# refused: and builds a train_op too
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
