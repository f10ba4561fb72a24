"""A model as a class whose parts are built when they are first asked for.

$ python lazy_property_mlp.py --steps 500 --out weights.npz

What `tf1-wd audit` says:
    variable                rate   place  updated by
    prediction/*/weights    0.005  loss   AdagradOptimizer
    prediction/*/biases     -      -      AdagradOptimizer
    findings: coupled
"""
import argparse
import functools
import os

import numpy as np
import tensorflow as tf
from tensorflow.contrib.layers import l2_regularizer, xavier_initializer


def define_scope(function):
    attribute = '_cache_' + function.__name__
    name = function.__name__

    @property
    @functools.wraps(function)
    def decorator(self):
        if not hasattr(self, attribute):
            with tf.variable_scope(name):
                setattr(self, attribute, function(self))
        return getattr(self, attribute)

    return decorator


class Model(object):

    def __init__(self, image, label, weight_decay=0.005, learning_rate=0.05):
        self.image = image
        self.label = label
        self.regularizer = l2_regularizer(weight_decay)
        self.learning_rate = learning_rate
        self.prediction
        self.optimize
        self.error

    def _layer(self, x, size, name):
        with tf.variable_scope(name):
            w = tf.get_variable('weights', [x.get_shape()[1].value, size],
                                initializer=xavier_initializer(), regularizer=self.regularizer)
            b = tf.get_variable('biases', [size], initializer=tf.constant_initializer(0.1))
            return tf.matmul(x, w) + b

    @define_scope
    def prediction(self):
        x = tf.sigmoid(self._layer(self.image, 32, 'hidden1'))
        x = tf.tanh(self._layer(x, 24, 'hidden2'))
        return self._layer(x, 10, 'output')

    @define_scope
    def cost(self):
        cross_entropy = tf.nn.softmax_cross_entropy_with_logits(labels=self.label, logits=self.prediction)
        penalties = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
        return tf.reduce_mean(cross_entropy) + tf.add_n(penalties)

    @define_scope
    def optimize(self):
        return tf.train.AdagradOptimizer(self.learning_rate).minimize(self.cost)

    @define_scope
    def error(self):
        mistakes = tf.not_equal(tf.argmax(self.label, 1), tf.argmax(self.prediction, 1))
        return tf.reduce_mean(tf.cast(mistakes, tf.float32))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--steps', type=int, default=500)
    parser.add_argument('--out', default='weights.npz')
    parser.add_argument('--weight_decay', type=float, default=0.005)
    args = parser.parse_args()

    here = os.path.dirname(os.path.abspath(__file__))
    digits = np.load(os.path.join(here, 'data', 'optical_digits.npz'))
    images = digits['images'].reshape(-1, 64) / 16.0
    labels = np.eye(10)[digits['labels']]

    tf.set_random_seed(2017)
    image = tf.placeholder(tf.float32, [None, 64])
    label = tf.placeholder(tf.float32, [None, 10])
    model = Model(image, label, args.weight_decay)

    sess = tf.Session()
    sess.run(tf.global_variables_initializer())
    initial = sess.run({v.op.name: v for v in tf.trainable_variables()})
    for step in range(args.steps):
        batch = np.arange(step * 50, (step + 1) * 50) % 1500
        sess.run(model.optimize, {image: images[batch], label: labels[batch]})
        if step % 100 == 99:
            error = sess.run(model.error, {image: images[1500:], label: labels[1500:]})
            print('Test error {:6.2f}%'.format(100 * error))
    final = sess.run({v.op.name: v for v in tf.trainable_variables()})
    np.savez(args.out, **final)
    np.savez(args.out.replace('.npz', '_init.npz'), **initial)


if __name__ == '__main__':
    main()
