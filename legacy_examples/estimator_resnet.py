"""A tiny residual network on the optical digits, as a tf.estimator.

    python estimator_resnet.py --model_dir /tmp/resnet --steps 1000

What `tf1-wd audit` says:
    variable                    rate   place  updated by
    resnet/conv*/kernel         0.005  loss   AdamOptimizer
    resnet/batch_norm*/gamma    0.005  loss   AdamOptimizer
    resnet/batch_norm*/beta     0.005  loss   AdamOptimizer
    resnet/dense/kernel         0.005  loss   AdamOptimizer
    resnet/dense/bias           0.005  loss   AdamOptimizer
    findings: coupled, empty-filter, norm-decayed, bias-decayed
"""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import argparse
import os
import sys

import numpy as np
import tensorflow as tf

_BATCH_NORM_DECAY = 0.9
_BATCH_NORM_EPSILON = 1e-5

parser = argparse.ArgumentParser()

parser.add_argument('--data_dir', type=str,
                    default=os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data'),
                    help='The path to the data directory.')
parser.add_argument('--model_dir', type=str, default='/tmp/digits_model',
                    help='The directory where the model will be stored.')
parser.add_argument('--steps', type=int, default=1000,
                    help='The number of steps to train.')
parser.add_argument('--batch_size', type=int, default=32,
                    help='The number of images per batch.')
parser.add_argument('--weight_decay', type=float, default=0.005,
                    help='Weight decay of the convolutions.')


def batch_norm_elu(inputs, is_training, name, elu=True):
  """Performs a batch normalization followed by an ELU."""
  inputs = tf.layers.batch_normalization(
      inputs=inputs, axis=3, momentum=_BATCH_NORM_DECAY, epsilon=_BATCH_NORM_EPSILON,
      center=True, scale=True, training=is_training, fused=True, name=name)
  return tf.nn.elu(inputs) if elu else inputs


def conv2d(inputs, filters, name):
  return tf.layers.conv2d(
      inputs=inputs, filters=filters, kernel_size=3, padding='SAME', use_bias=False,
      kernel_initializer=tf.variance_scaling_initializer(), name=name)


def resnet(inputs, is_training):
  with tf.variable_scope('resnet'):
    inputs = conv2d(inputs, 8, 'conv1')
    inputs = shortcut = batch_norm_elu(inputs, is_training, 'batch_norm1')
    inputs = conv2d(inputs, 8, 'conv2')
    inputs = batch_norm_elu(inputs, is_training, 'batch_norm2', elu=False)
    inputs = tf.nn.elu(inputs + shortcut)
    inputs = tf.reduce_mean(inputs, [1, 2])
    return tf.layers.dense(inputs, 10, name='dense')


def digits_model_fn(features, labels, mode, params):
  """Model function for the digits."""
  tf.summary.image('images', features, max_outputs=6)
  logits = resnet(features, mode == tf.estimator.ModeKeys.TRAIN)

  predictions = {
      'classes': tf.argmax(logits, axis=1),
      'probabilities': tf.nn.softmax(logits, name='softmax_tensor')
  }
  if mode == tf.estimator.ModeKeys.PREDICT:
    return tf.estimator.EstimatorSpec(mode=mode, predictions=predictions)

  # Calculate loss, which includes softmax cross entropy and L2 regularization.
  cross_entropy = tf.losses.sparse_softmax_cross_entropy(logits=logits, labels=labels)
  tf.identity(cross_entropy, name='cross_entropy')

  # Add weight decay to the loss. We exclude the batch norm variables because
  # doing so leads to a small improvement in accuracy.
  loss = cross_entropy + params['weight_decay'] * tf.add_n(
      [tf.nn.l2_loss(tf.cast(v, tf.float32)) for v in tf.trainable_variables()
       if 'BatchNorm' not in v.name])

  if mode == tf.estimator.ModeKeys.TRAIN:
    global_step = tf.train.get_or_create_global_step()
    learning_rate = tf.train.piecewise_constant(global_step, [2, 4], [0.02, 0.01, 0.005])
    tf.identity(learning_rate, name='learning_rate')
    tf.summary.scalar('learning_rate', learning_rate)

    optimizer = tf.train.AdamOptimizer(learning_rate, epsilon=1e-3)

    # Batch norm requires update ops to be added as a dependency to the train_op
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.control_dependencies(update_ops):
      gradients, variables = zip(*optimizer.compute_gradients(loss))
      gradients, _ = tf.clip_by_global_norm(gradients, 0.5)
      train_op = optimizer.apply_gradients(zip(gradients, variables), global_step)
  else:
    train_op = None

  metrics = {'accuracy': tf.metrics.accuracy(labels, predictions['classes'])}
  return tf.estimator.EstimatorSpec(
      mode=mode, predictions=predictions, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def input_fn(is_training, data_dir, batch_size):
  with np.load(os.path.join(data_dir, 'optical_digits.npz')) as data:
    images = data['images'].astype(np.float32)[..., np.newaxis] / 16.0 - 0.5
    labels = data['labels'].astype(np.int32)
  part = slice(0, 1400) if is_training else slice(1400, None)
  dataset = tf.data.Dataset.from_tensor_slices((images[part], labels[part]))
  if is_training:
    dataset = dataset.repeat()
  return dataset.batch(batch_size).prefetch(1)


def main(unused_argv):
  config = tf.estimator.RunConfig(tf_random_seed=3, save_summary_steps=100, log_step_count_steps=100)
  classifier = tf.estimator.Estimator(
      model_fn=digits_model_fn, model_dir=FLAGS.model_dir, config=config,
      params={'weight_decay': FLAGS.weight_decay})
  classifier.train(input_fn=lambda: input_fn(True, FLAGS.data_dir, FLAGS.batch_size), steps=FLAGS.steps)
  print(classifier.evaluate(input_fn=lambda: input_fn(False, FLAGS.data_dir, FLAGS.batch_size)))


if __name__ == '__main__':
  tf.logging.set_verbosity(tf.logging.WARN)
  FLAGS, unparsed = parser.parse_known_args()
  tf.app.run(main=main, argv=[sys.argv[0]] + unparsed)
