"""Reads digits row by row with an LSTM cell; the train op returns the loss.

The dense layer brings its own regularizer, and the loop over the trainable variables takes everything once more.

What `tf1-wd audit` says:
    variable          rate  place  updated by
    rows/*/kernel     0.01  loss   RMSPropOptimizer
    rows/*/bias       0.01  loss   RMSPropOptimizer
    classes/kernel    0.05  loss   RMSPropOptimizer
    classes/bias      0.01  loss   RMSPropOptimizer
    findings: coupled, double-counted, bias-decayed
"""
from __future__ import print_function

import os
import time

import numpy as np
import tensorflow as tf
from tensorflow.contrib.training import HParams

flags = tf.app.flags
flags.DEFINE_string('hparams', '', 'Comma separated list of name=value.')
flags.DEFINE_string('logdir', '/tmp/rows', 'Where the weights are written.')
flags.DEFINE_integer('steps', 1000, 'How long to train.')
FLAGS = flags.FLAGS


def default_hparams():
    return HParams(batch_size=25, units=16, lr=0.05, l2=0.01, dense_l2=0.04, seed=8)


def build_graph(hps):
    images = tf.placeholder(tf.float32, [None, 8, 8], name='images')
    labels = tf.placeholder(tf.int32, [None], name='labels')

    # every row is a time step
    cell = tf.nn.rnn_cell.BasicLSTMCell(hps.units)
    outputs, state = tf.nn.dynamic_rnn(cell, images, dtype=tf.float32, scope='rows')
    logits = tf.layers.dense(state.h, 10, name='classes',
                             kernel_regularizer=tf.contrib.layers.l2_regularizer(hps.dense_l2))

    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    loss += sum(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
    for v in tf.trainable_variables():
        loss += hps.l2 * tf.nn.l2_loss(v)

    opt = tf.train.RMSPropOptimizer(hps.lr, decay=0.95)
    apply_op = opt.minimize(loss, global_step=tf.train.get_or_create_global_step())
    with tf.control_dependencies([apply_op]):
        train_loss = tf.identity(loss, name='train_loss')
    return images, labels, train_loss


class SaveWeights(tf.train.SessionRunHook):
    """np.savez of all trainable variables, before the first step and after the last."""

    def __init__(self, logdir):
        self.logdir = logdir

    def begin(self):
        self.variables = {v.op.name: v for v in tf.trainable_variables()}

    def _save(self, session, name):
        if not os.path.isdir(self.logdir):
            os.makedirs(self.logdir)
        np.savez(os.path.join(self.logdir, name), **session.run(self.variables))

    def after_create_session(self, session, coord):
        self._save(session, 'start.npz')

    def end(self, session):
        self._save(session, 'end.npz')


def main(argv):
    hps = default_hparams().parse(FLAGS.hparams)
    data = np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data/optical_digits.npz'))
    x, y = data['images'] / 16.0, data['labels']

    tf.set_random_seed(hps.seed)
    random = np.random.RandomState(hps.seed)
    images, labels, train_loss = build_graph(hps)

    start = time.time()
    hooks = [tf.train.StopAtStepHook(FLAGS.steps), SaveWeights(FLAGS.logdir)]
    with tf.train.MonitoredTrainingSession(hooks=hooks) as sess:
        while not sess.should_stop():
            batch = random.randint(len(y), size=hps.batch_size)
            loss = sess.run(train_loss, feed_dict={images: x[batch], labels: y[batch]})
    print('loss %.4f after %d steps in %.1f s' % (loss, FLAGS.steps, time.time() - start))


if __name__ == '__main__':
    tf.app.run(main)
