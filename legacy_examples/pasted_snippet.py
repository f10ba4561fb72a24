"""Fine-tunes the last two layers, with the decoupled weight decay that someone found in a forum.

What `tf1-wd audit` says:
    variable         rate   place  updated by
    conv1/weights    0.002  loss   GradientDescentOptimizer
    conv1/biases     -      -      -
    fc*/weights      0.002  loss   AdamOptimizer, GradientDescentOptimizer
    fc*/biases       -      -      AdamOptimizer
    findings: already-decoupled, frozen-decayed
"""
import os
import sys

import numpy as np
import tensorflow as tf
import tensorflow.contrib.slim as slim
from tensorflow.contrib.framework import arg_scope

tf.app.flags.DEFINE_integer('steps', 500, 'steps to train')
tf.app.flags.DEFINE_string('save_path', '/tmp/finetuned', 'where the weights go')
tf.app.flags.DEFINE_float('l2', 0.002, 'scale of the regularizer')
FLAGS = tf.app.flags.FLAGS


def net(x):
    with arg_scope([slim.conv2d, slim.fully_connected],
                   weights_regularizer=slim.l2_regularizer(FLAGS.l2),
                   biases_initializer=tf.constant_initializer(0.1)):
        x = slim.conv2d(x, 8, 3, scope='conv1')
        x = slim.avg_pool2d(x, 2, scope='pool1')
        x = slim.flatten(x)
        x = slim.fully_connected(x, 24, scope='fc2')
        return slim.fully_connected(x, 10, activation_fn=None, scope='fc3')


def main(_):
    d = np.load(os.path.join(sys.path[0], 'data', 'optical_digits.npz'))
    X, Y = d['images'][..., None] / 16., d['labels'].astype(int)

    tf.set_random_seed(99)
    x = tf.placeholder('float32', [None, 8, 8, 1])
    y = tf.placeholder('int64', [None])
    logits = net(x)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    global_step = tf.train.get_or_create_global_step()

    # conv1 comes from a pretrained model and stays as it is
    train_vars = [v for v in tf.trainable_variables() if v.name.startswith('fc')]
    optimizer = tf.train.AdamOptimizer(0.01, epsilon=1e-3)
    train_op = optimizer.minimize(loss, global_step=global_step, var_list=train_vars)

    # decoupled weight decay, see "Fixing Weight Decay Regularization in Adam"
    with tf.control_dependencies([train_op]):
        sgd = tf.train.GradientDescentOptimizer(learning_rate=1.0)
        train_op = sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))

    saver = tf.train.Saver()
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        saver.save(sess, FLAGS.save_path, global_step=0)
        for i in range(FLAGS.steps):
            k = (i * 30) % 1500
            sess.run(train_op, {x: X[k:k + 30], y: Y[k:k + 30]})
        acc = np.mean(sess.run(tf.argmax(logits, 1), {x: X[1500:]}) == Y[1500:])
        print('accuracy on the rest: %.3f' % acc)
        saver.save(sess, FLAGS.save_path, global_step=FLAGS.steps)


if __name__ == '__main__':
    tf.app.run()
