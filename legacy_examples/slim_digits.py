"""Trains a small convolutional network on the UCI optical digits.

python slim_digits.py --steps 600
"""

import os

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim

tf.disable_v2_behavior()

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "optical_digits.npz")
NUM_CLASSES = 10
NUM_TRAIN = 1000

tf.app.flags.DEFINE_integer("steps", 600, "Number of training steps.")
tf.app.flags.DEFINE_integer("batch_size", 64, "Images in a batch.")
tf.app.flags.DEFINE_float("learning_rate", 0.001, "Learning rate of Adam.")
tf.app.flags.DEFINE_float("weight_decay", 0.001, "Scale of the L2 regularizer.")
tf.app.flags.DEFINE_integer("seed", 0, "Random seed of graph and batches.")

FLAGS = tf.app.flags.FLAGS


def load_digits():
    """Returns (images, labels) for training and for test: the first 1,000 digits and the other 797."""
    with np.load(DATA) as data:
        images = data["images"].astype(np.float32)[..., np.newaxis] / 16.0
        labels = data["labels"].astype(np.int64)
    return (images[:NUM_TRAIN], labels[:NUM_TRAIN]), (images[NUM_TRAIN:], labels[NUM_TRAIN:])


def batches(images, labels, batch_size, seed):
    """Yields shuffled batches without end."""
    rng = np.random.RandomState(seed)
    while True:
        order = rng.permutation(len(labels))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield images[chosen], labels[chosen]


def arg_scope(is_training, weight_decay):
    """Returns the slim arg_scope of the network."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        normalizer_fn=slim.batch_norm,
        normalizer_params={"is_training": is_training, "decay": 0.95},
    ) as scope:
        return scope


def inference(images, is_training, keep_prob=0.5, weight_decay=0.001):
    """Builds the network up to the logits."""
    with slim.arg_scope(arg_scope(is_training, weight_decay)):
        net = slim.conv2d(images, 32, [3, 3], scope="conv1")
        net = slim.conv2d(net, 32, [3, 3], scope="conv2")
        net = slim.max_pool2d(net, [2, 2], scope="pool2")
        net = slim.conv2d(net, 64, [3, 3], scope="conv3")
        net = slim.max_pool2d(net, [2, 2], scope="pool3")
        net = slim.flatten(net)
        net = slim.fully_connected(net, 128, scope="fc4")
        net = slim.dropout(net, keep_prob, is_training=is_training, scope="dropout4")
        return slim.fully_connected(net, NUM_CLASSES, activation_fn=None, normalizer_fn=None, scope="logits")


def build_loss(logits, labels):
    """Cross entropy plus the L2 of the weights."""
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    return tf.losses.get_total_loss()


def build_train_op(loss, global_step, learning_rate=0.001):
    """One step of Adam, after the update of the batch-norm statistics."""
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(update_ops):
        return tf.train.AdamOptimizer(learning_rate).minimize(loss, global_step=global_step)


def build_accuracy(logits, labels):
    """Share of the images that get the right label."""
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))


def main(_):
    (train_images, train_labels), (test_images, test_labels) = load_digits()

    tf.set_random_seed(FLAGS.seed)
    images = tf.placeholder(tf.float32, [None, 8, 8, 1], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    is_training = tf.placeholder_with_default(False, [], name="is_training")

    logits = inference(images, is_training, weight_decay=FLAGS.weight_decay)
    loss = build_loss(logits, labels)
    train_op = build_train_op(loss, tf.train.get_or_create_global_step(), FLAGS.learning_rate)
    accuracy = build_accuracy(logits, labels)

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        train_batches = batches(train_images, train_labels, FLAGS.batch_size, FLAGS.seed)
        for step in range(1, FLAGS.steps + 1):
            batch_images, batch_labels = next(train_batches)
            feed = {images: batch_images, labels: batch_labels, is_training: True}
            _, loss_value = sess.run([train_op, loss], feed_dict=feed)
            if step % 100 == 0 or step == FLAGS.steps:
                print("step %d: loss %.4f" % (step, loss_value))
        test_accuracy = sess.run(accuracy, feed_dict={images: test_images, labels: test_labels})
        print("test accuracy %.4f" % test_accuracy)


if __name__ == "__main__":
    tf.app.run()
