# A script: everything in the module, the training loop behind it.
# trains: w
import numpy as np
import tensorflow as tf
import tf1_wd

x = tf.constant([[1.0, -2.0]])
w = tf.get_variable("w", initializer=tf.constant([[2.0], [3.0]]))
b = tf.get_variable("b", initializer=tf.constant([1.0]))
data_loss = tf.reduce_sum(tf.matmul(x, w) + b)
loss = data_loss + 0.1 * tf.nn.l2_loss(w)  # the author's weight decay

# Adam, as always
with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
    train_op = tf.train.AdamOptimizer(0.05).minimize(loss)  # one step

if __name__ == "__main__":
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for step in range(100):
            sess.run(train_op)
