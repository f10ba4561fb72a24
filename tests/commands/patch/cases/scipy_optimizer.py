# refused: ScipyOptimizerInterface is no optimizer of tf.train
import tensorflow as tf

optimizer = tf.contrib.opt.ScipyOptimizerInterface(loss, options={'maxiter': 100})
with tf.Session() as sess:
    optimizer.minimize(sess)
