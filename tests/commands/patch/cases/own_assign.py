# left alone: v.assign(v * (1.0 - FLAGS.weight_decay))
import tensorflow as tf

train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
with tf.control_dependencies([train_op]):
    train_op = tf.group(*[v.assign(v * (1.0 - FLAGS.weight_decay)) for v in tf.trainable_variables()])
