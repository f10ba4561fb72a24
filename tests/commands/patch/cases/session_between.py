# refused: a session runs between the gradients and the update
import tensorflow as tf

opt = tf.train.AdamOptimizer(1e-3)
grads = opt.compute_gradients(loss)
sess = tf.Session()
print(sess.run([g for g, _ in grads]))
train_op = opt.apply_gradients(grads)
