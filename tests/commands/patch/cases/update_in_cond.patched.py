# An update inside tf.cond, by a nested function that closes over the gradients.
import tensorflow as tf
import tf1_wd


def build(optimizer, loss):
    with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
        grads_and_vars = optimizer.compute_gradients(loss)
        is_finite = tf.reduce_all([tf.reduce_all(tf.is_finite(g)) for g, _ in grads_and_vars])

        def update():
            return optimizer.apply_gradients(grads_and_vars)

        train_op = tf.cond(is_finite, update, tf.no_op)
    return train_op
