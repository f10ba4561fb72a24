# Copyright 2016. All rights reserved.
"""Trains a small slim network on the optical digits, fed by queues.

Usage:
python slim_queue_train.py --train_dir=/tmp/digits --steps=2000

What `tf1-wd audit` says:
    variable                          rate  place  updated by
    DigitsNet/conv*/weights           0.02  loss   RMSPropOptimizer
    DigitsNet/conv*/BatchNorm/beta    -     -      RMSPropOptimizer
    DigitsNet/logits/weights          0.02  loss   RMSPropOptimizer
    DigitsNet/logits/biases           -     -      RMSPropOptimizer
    findings: coupled
"""

from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os

import numpy as np
import tensorflow as tf

slim = tf.contrib.slim

tf.app.flags.DEFINE_string(
    'train_dir', '/tmp/slim_digits/', 'Directory where checkpoints and event logs are written to.')
tf.app.flags.DEFINE_string(
    'dataset_dir', os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data'),
    'The directory where optical_digits.npz is stored.')
tf.app.flags.DEFINE_integer('steps', 2000, 'The maximum number of training steps.')
tf.app.flags.DEFINE_integer('batch_size', 32, 'The number of samples in each batch.')
tf.app.flags.DEFINE_float('weight_decay', 0.02, 'The weight decay on the model weights.')
tf.app.flags.DEFINE_float('learning_rate', 0.01, 'Initial learning rate.')
tf.app.flags.DEFINE_float('rmsprop_decay', 0.9, 'Decay term for RMSProp.')
tf.app.flags.DEFINE_float('momentum', 0.9, 'The momentum for the RMSPropOptimizer.')
tf.app.flags.DEFINE_float('opt_epsilon', 1.0, 'Epsilon term for the optimizer.')

FLAGS = tf.app.flags.FLAGS

_NUM_CLASSES = 10
_NUM_TRAIN = 1440


def get_batch():
  """Reads the digits in the order of the file, by queues."""
  with np.load(os.path.join(FLAGS.dataset_dir, 'optical_digits.npz')) as data:
    images = data['images'][:_NUM_TRAIN, :, :, np.newaxis].astype(np.float32)
    labels = data['labels'][:_NUM_TRAIN].astype(np.int64)
  with tf.device('/cpu:0'):
    image, label = tf.train.slice_input_producer([images, labels], shuffle=False)
    image = image / 16.0 - 0.5
    return tf.train.batch(
        [image, label], batch_size=FLAGS.batch_size, num_threads=1, capacity=5 * FLAGS.batch_size)


def digits_arg_scope(weight_decay, is_training=True):
  batch_norm_params = {
      'is_training': is_training,
      'decay': 0.95,
      'epsilon': 0.001,
  }
  with slim.arg_scope([slim.conv2d, slim.fully_connected],
                      weights_regularizer=slim.l2_regularizer(weight_decay)):
    with slim.arg_scope([slim.conv2d],
                        weights_initializer=slim.variance_scaling_initializer(),
                        activation_fn=tf.nn.relu,
                        normalizer_fn=slim.batch_norm,
                        normalizer_params=batch_norm_params) as sc:
      return sc


def digits_net(images, scope='DigitsNet'):
  """Builds the network; returns the logits and the end points."""
  end_points = {}
  with tf.variable_scope(scope, 'DigitsNet', [images]):
    net = slim.conv2d(images, 8, [3, 3], scope='conv1')
    net = slim.max_pool2d(net, [2, 2], scope='pool1')
    net = slim.conv2d(net, 12, [3, 3], scope='conv2')
    net = slim.avg_pool2d(net, [2, 2], scope='pool2')
    net = slim.flatten(net)
    end_points['PreLogits'] = net
    logits = slim.fully_connected(net, _NUM_CLASSES, activation_fn=None, scope='logits')
  end_points['Logits'] = logits
  return logits, end_points


def main(_):
  tf.logging.set_verbosity(tf.logging.INFO)
  with tf.Graph().as_default():
    tf.set_random_seed(1)
    global_step = slim.create_global_step()

    images, labels = get_batch()
    with slim.arg_scope(digits_arg_scope(FLAGS.weight_decay)):
      logits, _ = digits_net(images)

    slim.losses.softmax_cross_entropy(logits, slim.one_hot_encoding(labels, _NUM_CLASSES))
    total_loss = slim.losses.get_total_loss()

    optimizer = tf.train.RMSPropOptimizer(
        FLAGS.learning_rate,
        decay=FLAGS.rmsprop_decay,
        momentum=FLAGS.momentum,
        epsilon=FLAGS.opt_epsilon)
    train_op = slim.learning.create_train_op(total_loss, optimizer, global_step=global_step)

    saver = tf.train.Saver(max_to_keep=2)

    def init_fn(sess):
      saver.save(sess, os.path.join(FLAGS.train_dir, 'init.ckpt'))

    final_loss = slim.learning.train(
        train_op,
        logdir=FLAGS.train_dir,
        init_fn=init_fn,
        number_of_steps=FLAGS.steps,
        log_every_n_steps=100,
        summary_op=None,  # its thread would take batches out of the queue
        save_interval_secs=600)
    print('Finished training. Loss of the last batch: %.4f' % final_loss)


if __name__ == '__main__':
  tf.app.run()
