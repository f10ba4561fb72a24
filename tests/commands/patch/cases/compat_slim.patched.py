# options: --to-compat-v1
# Every spelling of slim and layers that has a move; a program starts here.
# imports
from __future__ import print_function

import tf1_wd.legacy
tf1_wd.legacy.install()
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
import tf_slim
import tf1_wd
import tf_slim as slim
import tf_slim as layers
from tf_slim import arg_scope, get_variables_to_restore as to_restore
from tensorflow.python.platform import gfile


def network(images, reg=tf_slim.l2_regularizer(0.1)):
    with arg_scope([slim.conv2d, layers.fully_connected], weights_regularizer=reg):
        return layers.fully_connected(slim.flatten(images), 10, activation_fn=None)


def main(_):
    loss = tf.reduce_mean(network(tf.zeros([2, 4, 4, 1]))) + tf.losses.get_regularization_loss()
    with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
        train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer(1e-3))
    return train_op, to_restore()


if __name__ == '__main__':
    tf.app.run()
