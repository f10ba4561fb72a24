# A helper is called with L2 and without: one scope around both calls.
# trains: w
import tensorflow as tf


def get_train_op(loss, variables, l2):
    if l2:
        loss += l2 * tf.add_n([tf.reduce_sum(v ** 2) for v in variables])
    gradients = tf.gradients(loss, variables)
    return tf.train.AdamOptimizer(0.05).apply_gradients(zip(gradients, variables))


w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]))
b = tf.get_variable("b", initializer=tf.constant([1.0]))
first = get_train_op(tf.reduce_sum(w * [1.0, -2.0]), [w], 0.05)
second = get_train_op(tf.reduce_sum(b), [b], 0.0)
train_op = tf.group(first, second)
