# done already: uses tf1_wd
import tensorflow as tf
import tf1_wd

with tf1_wd.decoupled_weight_decay():
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
