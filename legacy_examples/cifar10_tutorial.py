r"""The CIFAR-10 tutorial in one file, on the digits: weight decay on the local layer, none on the convolutions.

    python cifar10_tutorial.py --steps 1000 --train_dir /tmp/cifar10_train

Decay on the convolutions as well, without a change here:

    tf1-wd run --rate 'conv\d/weights=0.05' cifar10_tutorial.py

What `tf1-wd audit` says:
    variable                  rate   place  updated by
    conv1/weights             -      -      AdamOptimizer
    conv1/biases              -      -      AdamOptimizer
    conv2/weights             -      -      AdamOptimizer
    conv2/biases              -      -      AdamOptimizer
    local3/weights            0.02   loss   AdamOptimizer
    local3/biases             -      -      AdamOptimizer
    softmax_linear/weights    -      -      AdamOptimizer
    softmax_linear/biases     -      -      AdamOptimizer
    findings: coupled
"""
from __future__ import print_function

import os

import numpy as np
import tensorflow as tf

FLAGS = tf.app.flags.FLAGS

tf.app.flags.DEFINE_string('data_dir', os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data'),
                           """Path to the data directory.""")
tf.app.flags.DEFINE_string('train_dir', '/tmp/cifar10_train',
                           """Directory where to write checkpoints.""")
tf.app.flags.DEFINE_integer('steps', 1000,
                            """Number of batches to run.""")
tf.app.flags.DEFINE_integer('batch_size', 32,
                            """Number of images to process in a batch.""")

NUM_CLASSES = 10
MOVING_AVERAGE_DECAY = 0.9


def _variable_on_cpu(name, shape, initializer):
  with tf.device('/cpu:0'):
    return tf.get_variable(name, shape, initializer=initializer)


def _variable_with_weight_decay(name, shape, stddev, wd):
  """A variable from a truncated normal distribution; wd: L2Loss is multiplied by it, None: no weight decay."""
  var = _variable_on_cpu(name, shape, tf.truncated_normal_initializer(stddev=stddev))
  if wd is not None:
    weight_decay = tf.multiply(tf.nn.l2_loss(var), wd, name='weight_loss')
    tf.add_to_collection('losses', weight_decay)
  return var


def _conv(images, shape):
  kernel = _variable_with_weight_decay('weights', shape=shape, stddev=0.2, wd=None)
  biases = _variable_on_cpu('biases', shape[-1:], tf.constant_initializer(0.1))
  return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, [1, 1, 1, 1], padding='SAME'), biases))


def _pool(conv, name):
  return tf.nn.max_pool(conv, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding='SAME', name=name)


def inference(images):
  """Build the model; returns logits."""
  with tf.variable_scope('conv1'):
    conv1 = _conv(images, [3, 3, 1, 8])
  pool1 = _pool(conv1, 'pool1')
  norm1 = tf.nn.lrn(pool1, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75, name='norm1')

  with tf.variable_scope('conv2'):
    conv2 = _conv(norm1, [3, 3, 8, 8])
  norm2 = tf.nn.lrn(conv2, 4, bias=1.0, alpha=0.001 / 9.0, beta=0.75, name='norm2')
  pool2 = _pool(norm2, 'pool2')

  with tf.variable_scope('local3'):
    reshape = tf.reshape(pool2, [FLAGS.batch_size, -1])
    dim = reshape.get_shape()[1].value
    weights = _variable_with_weight_decay('weights', shape=[dim, 24], stddev=0.1, wd=0.02)
    biases = _variable_on_cpu('biases', [24], tf.constant_initializer(0.1))
    local3 = tf.nn.relu(tf.matmul(reshape, weights) + biases)

  with tf.variable_scope('softmax_linear'):
    weights = _variable_with_weight_decay('weights', [24, NUM_CLASSES], stddev=1 / 24.0, wd=None)
    biases = _variable_on_cpu('biases', [NUM_CLASSES], tf.constant_initializer(0.0))
    return tf.add(tf.matmul(local3, weights), biases)


def loss(logits, labels):
  """Cross entropy plus all of the weight decay terms."""
  cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  tf.add_to_collection('losses', tf.reduce_mean(cross_entropy, name='cross_entropy'))
  return tf.add_n(tf.get_collection('losses'), name='total_loss')


def train(total_loss, global_step):
  """One step of training; returns the op that also averages the weights."""
  opt = tf.train.AdamOptimizer(0.01, epsilon=1e-3)
  grads = opt.compute_gradients(total_loss)
  apply_gradient_op = opt.apply_gradients(grads, global_step=global_step)
  variable_averages = tf.train.ExponentialMovingAverage(MOVING_AVERAGE_DECAY, global_step)
  with tf.control_dependencies([apply_gradient_op]):
    variables_averages_op = variable_averages.apply(tf.trainable_variables())
  return variables_averages_op


def main(argv=None):  # pylint: disable=unused-argument
  with np.load(os.path.join(FLAGS.data_dir, 'optical_digits.npz')) as data:
    images = data['images'].astype(np.float32)[..., np.newaxis] / 16.0
    labels = data['labels'].astype(np.int64)
  random = np.random.RandomState(3)

  tf.set_random_seed(10)
  global_step = tf.train.get_or_create_global_step()
  x = tf.placeholder(tf.float32, [FLAGS.batch_size, 8, 8, 1])
  y = tf.placeholder(tf.int64, [FLAGS.batch_size])
  total_loss = loss(inference(x), y)
  train_op = train(total_loss, global_step)

  saver = tf.train.Saver(tf.global_variables())
  checkpoint_path = os.path.join(FLAGS.train_dir, 'model.ckpt')
  tf.gfile.MakeDirs(FLAGS.train_dir)
  with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    saver.save(sess, checkpoint_path, global_step=0)
    for step in range(FLAGS.steps):
      batch = random.randint(0, len(labels), FLAGS.batch_size)
      _, loss_value = sess.run([train_op, total_loss], feed_dict={x: images[batch], y: labels[batch]})
      assert not np.isnan(loss_value), 'Model diverged with loss = NaN'
      if step % 100 == 0:
        print('step %d, loss = %.2f' % (step, loss_value))
    saver.save(sess, checkpoint_path, global_step=FLAGS.steps)


if __name__ == '__main__':
  tf.app.run()
