# A session runs between two updates: each gets its scope.
import tensorflow as tf
import tf1_wd

with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
    pretrain_op = tf.train.AdamOptimizer(1e-3).minimize(pretrain_loss)
sess = tf.Session()
sess.run(tf.global_variables_initializer())
for _ in range(100):
    sess.run(pretrain_op)
with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
    train_op = tf.train.AdamOptimizer(1e-4).minimize(loss)
