# A session runs between two updates: each gets its scope.
import tensorflow as tf

pretrain_op = tf.train.AdamOptimizer(1e-3).minimize(pretrain_loss)
sess = tf.Session()
sess.run(tf.global_variables_initializer())
for _ in range(100):
    sess.run(pretrain_op)
train_op = tf.train.AdamOptimizer(1e-4).minimize(loss)
