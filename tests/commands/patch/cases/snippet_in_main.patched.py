# The snippet in a function with the training loop, its comment above it; names that are assigned in pairs around it.
import tensorflow as tf
import tf1_wd


def main(_):
    images, labels = load_batch()
    loss = tf.losses.softmax_cross_entropy(labels, network(images))
    with tf1_wd.decoupled_weight_decay(convention="snippet", source="collection"):
        train_op = tf.train.AdamOptimizer(0.01).minimize(loss, var_list=last_layers())

    # decoupled weight decay, see "Fixing Weight Decay Regularization in Adam"

    with tf.Session() as sess:
        sess.run(train_op)
