# The snippet in a function with the training loop, its comment above it; names that are assigned in pairs around it.
import tensorflow as tf


def main(_):
    images, labels = load_batch()
    loss = tf.losses.softmax_cross_entropy(labels, network(images))
    train_op = tf.train.AdamOptimizer(0.01).minimize(loss, var_list=last_layers())

    # decoupled weight decay, see "Fixing Weight Decay Regularization in Adam"
    with tf.control_dependencies([train_op]):
        sgd = tf.train.GradientDescentOptimizer(learning_rate=1.0)
        train_op = sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))

    with tf.Session() as sess:
        sess.run(train_op)
