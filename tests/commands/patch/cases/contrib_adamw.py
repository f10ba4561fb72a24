# left alone: AdamWOptimizer
import tensorflow as tf

optimizer = tf.contrib.opt.AdamWOptimizer(weight_decay=1e-4, learning_rate=1e-3)
train_op = optimizer.minimize(loss)
