# Towers: from the loop that computes gradients to what applies their average. Comments and blank lines stay.
# trains: w
import tensorflow as tf


def average_gradients(tower_grads):
    average_grads = []
    for grad_and_vars in zip(*tower_grads):
        grads = [tf.expand_dims(g, 0) for g, _ in grad_and_vars]
        average_grads.append((tf.reduce_mean(tf.concat(grads, 0), 0), grad_and_vars[0][1]))
    return average_grads


def tower_loss(i):
    w = tf.get_variable("w", initializer=tf.constant([2.0, 3.0]))
    b = tf.get_variable("b", initializer=tf.constant([1.0]))
    return tf.reduce_sum(w * [1.0, -2.0]) + (i + 1.0) * tf.reduce_sum(b) + 0.1 * tf.nn.l2_loss(w)


opt = tf.train.AdamOptimizer(0.05)

# Calculate the gradients for each model tower.
tower_grads = []
with tf.variable_scope(tf.get_variable_scope()):
    for i in range(2):
        with tf.name_scope('tower_%d' % i) as scope:
            loss = tower_loss(i)

            # Reuse variables for the next tower.
            tf.get_variable_scope().reuse_variables()
            grads = opt.compute_gradients(loss)
            tower_grads.append(grads)

# We must calculate the mean of each gradient.
grads = average_gradients(tower_grads)

# Apply the gradients to adjust the shared variables.
apply_gradient_op = opt.apply_gradients(grads)
variable_averages = tf.train.ExponentialMovingAverage(0.9999)
train_op = tf.group(apply_gradient_op, variable_averages.apply(tf.trainable_variables()))
