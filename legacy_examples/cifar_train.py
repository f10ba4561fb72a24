"""A binary to train the digits network of cifar_model.py using a single GPU.

What `tf1-wd audit` says:
    variable                  rate   place  updated by
    conv1/weights             -      -      MomentumOptimizer
    conv1/biases              -      -      MomentumOptimizer
    local2/weights            0.01   loss   MomentumOptimizer
    local2/biases             -      -      MomentumOptimizer
    softmax_linear/weights    0.005  loss   MomentumOptimizer
    softmax_linear/biases     -      -      MomentumOptimizer
    findings: none
"""
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

from datetime import datetime
import time

import tensorflow as tf

import cifar_model

FLAGS = tf.app.flags.FLAGS

tf.app.flags.DEFINE_string('train_dir', '/tmp/cifar_train',
                           """Directory where to write event logs and checkpoint.""")
tf.app.flags.DEFINE_integer('steps', 1000,
                            """Number of batches to run.""")
tf.app.flags.DEFINE_boolean('log_device_placement', False,
                            """Whether to log device placement.""")
tf.app.flags.DEFINE_integer('log_frequency', 100,
                            """How often to log results to the console.""")


def train():
  """Train for a number of steps."""
  with tf.Graph().as_default():
    tf.set_random_seed(10)
    global_step = tf.train.get_or_create_global_step()

    # Force input pipeline to CPU:0 to avoid operations sometimes ending up on
    # GPU and resulting in a slow down.
    with tf.device('/cpu:0'):
      images, labels = cifar_model.inputs()

    # Build a Graph that computes the logits predictions from the
    # inference model.
    logits = cifar_model.inference(images)

    # Calculate loss.
    loss = cifar_model.loss(logits, labels)

    # Build a Graph that trains the model with one batch of examples and
    # updates the model parameters.
    train_op = cifar_model.train(loss, global_step)

    class _LoggerHook(tf.train.SessionRunHook):
      """Logs loss and runtime."""

      def begin(self):
        self._step = -1
        self._start_time = time.time()

      def before_run(self, run_context):
        self._step += 1
        return tf.train.SessionRunArgs(loss)  # Asks for loss value.

      def after_run(self, run_context, run_values):
        if self._step % FLAGS.log_frequency == 0:
          current_time = time.time()
          duration = current_time - self._start_time
          self._start_time = current_time

          loss_value = run_values.results
          format_str = '%s: step %d, loss = %.2f (%.3f sec)'
          print(format_str % (datetime.now(), self._step, loss_value, duration))

    with tf.train.MonitoredTrainingSession(
        checkpoint_dir=FLAGS.train_dir,
        hooks=[tf.train.StopAtStepHook(last_step=FLAGS.steps),
               tf.train.NanTensorHook(loss),
               _LoggerHook()],
        config=tf.ConfigProto(
            log_device_placement=FLAGS.log_device_placement)) as mon_sess:
      while not mon_sess.should_stop():
        mon_sess.run(train_op)


def main(argv=None):  # pylint: disable=unused-argument
  if tf.gfile.Exists(FLAGS.train_dir):
    tf.gfile.DeleteRecursively(FLAGS.train_dir)
  tf.gfile.MakeDirs(FLAGS.train_dir)
  train()


if __name__ == '__main__':
  tf.app.run()
