# refused: this is eager code (GradientTape)
import tensorflow as tf

optimizer = tf.train.AdamOptimizer(1e-3)
with tf.GradientTape() as tape:
    loss = model(x)
optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
