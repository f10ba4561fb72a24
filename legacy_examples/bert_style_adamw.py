"""Two dense layers with layer norm, trained with BERT's own AdamW (bert_optimization.py).

What `tf1-wd audit` says:
    variable          rate  place  updated by
    layer_*/kernel    -     -      AdamWeightDecayOptimizer
    layer_*/bias      -     -      AdamWeightDecayOptimizer
    LayerNorm*/*      -     -      AdamWeightDecayOptimizer
    output_weights    -     -      AdamWeightDecayOptimizer
    output_bias       -     -      AdamWeightDecayOptimizer
    findings: already-decoupled
"""

from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os

import numpy as np
import tensorflow as tf

import bert_optimization as optimization

flags = tf.flags

FLAGS = flags.FLAGS

flags.DEFINE_string("output_dir", "/tmp/bert_digits", "Where the model checkpoints will be written.")

flags.DEFINE_integer("steps", 1000, "Number of training steps.")

flags.DEFINE_integer("train_batch_size", 32, "Total batch size for training.")

flags.DEFINE_float("learning_rate", 5e-3, "The initial learning rate for Adam.")

flags.DEFINE_float("weight_decay", 0.1, "Weight decay of Adam.")

flags.DEFINE_integer("warmup_steps", 2, "Number of steps of linear warmup.")


def layer_norm(input_tensor, name=None):
  """Run layer normalization on the last dimension of the tensor."""
  return tf.contrib.layers.layer_norm(
      inputs=input_tensor, begin_norm_axis=-1, begin_params_axis=-1, scope=name)


def gelu(input_tensor):
  """Gaussian Error Linear Unit."""
  cdf = 0.5 * (1.0 + tf.erf(input_tensor / tf.sqrt(2.0)))
  return input_tensor * cdf


def create_initializer(initializer_range=0.1):
  return tf.truncated_normal_initializer(stddev=initializer_range)


def create_model(images, labels, num_labels):
  """Creates a classification model."""
  hidden = images
  for i in range(2):
    hidden = tf.layers.dense(
        hidden, 32, activation=gelu, name="layer_%d" % i, kernel_initializer=create_initializer())
    hidden = layer_norm(hidden, "LayerNorm_%d" % i)

  output_weights = tf.get_variable(
      "output_weights", [num_labels, hidden.shape[-1].value], initializer=create_initializer())
  output_bias = tf.get_variable("output_bias", [num_labels], initializer=tf.zeros_initializer())

  logits = tf.matmul(hidden, output_weights, transpose_b=True)
  logits = tf.nn.bias_add(logits, output_bias)
  log_probs = tf.nn.log_softmax(logits, axis=-1)
  one_hot_labels = tf.one_hot(labels, depth=num_labels, dtype=tf.float32)
  per_example_loss = -tf.reduce_sum(one_hot_labels * log_probs, axis=-1)
  return tf.reduce_mean(per_example_loss)


def main(_):
  tf.logging.set_verbosity(tf.logging.INFO)
  tf.gfile.MakeDirs(FLAGS.output_dir)
  tf.set_random_seed(12345)

  with np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "optical_digits.npz")) as digits:
    features = (digits["images"].reshape(-1, 64) / 16.0).astype(np.float32)
    label_ids = digits["labels"].astype(np.int32)

  images = tf.placeholder(tf.float32, [None, 64])
  labels = tf.placeholder(tf.int32, [None])
  loss = create_model(images, labels, 10)
  train_op = optimization.create_optimizer(
      loss, FLAGS.learning_rate, 1000, FLAGS.warmup_steps, FLAGS.weight_decay)

  saver = tf.train.Saver()
  rng = np.random.RandomState(12345)
  with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    saver.save(sess, os.path.join(FLAGS.output_dir, "model.ckpt"), global_step=0)
    for step in range(FLAGS.steps):
      batch = rng.randint(0, len(features), FLAGS.train_batch_size)
      loss_value, _ = sess.run([loss, train_op], {images: features[batch], labels: label_ids[batch]})
      if step % 100 == 0:
        tf.logging.info("step %d: loss = %.4f", step, loss_value)
    saver.save(sess, os.path.join(FLAGS.output_dir, "model.ckpt"), global_step=FLAGS.steps)


if __name__ == "__main__":
  tf.app.run()
