# refused: compiled with an optimizer of tf.train
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(10)])
model.compile(optimizer=tf.train.AdamOptimizer(1e-3), loss='mse')
model.fit(x, y)
