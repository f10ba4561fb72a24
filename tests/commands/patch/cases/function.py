# A function that builds the train_op and returns it is decorated.
# trains: w
import tensorflow as tf


def build_train_op(loss, global_step):
    """Adam, and its summaries."""
    optimizer = tf.train.AdamOptimizer(learning_rate=0.05)
    train_op = optimizer.minimize(loss, global_step=global_step)
    tf.summary.scalar("loss", loss)
    return train_op


w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]))
b = tf.get_variable("b", initializer=tf.constant([1.0]))
loss = tf.reduce_sum(w * [1.0, -2.0]) + tf.reduce_sum(b) + 0.1 * tf.nn.l2_loss(w)
train_op = build_train_op(loss, tf.train.get_or_create_global_step())
