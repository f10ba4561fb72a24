# -*- coding: utf-8 -*-
"""slim network with regularizers on everything, but the loss that is minimized is the cross entropy alone.

What `tf1-wd audit` says:
    variable       rate  place       updated by
    fc*/weights    0.5   collection  AdamOptimizer
    fc*/biases     -     -           AdamOptimizer
    findings: inert
"""
import argparse
import os
import pickle

import numpy as np
import tensorflow as tf
from tensorflow.contrib import slim
from tensorflow.contrib.framework.python.ops import arg_scope
from tensorflow.contrib.layers.python.layers import regularizers

ap = argparse.ArgumentParser()
ap.add_argument('--steps', default=400, type=int)
ap.add_argument('--save', default='weights.pkl')
ap.add_argument('--wd', default=0.5, type=float)
opt = ap.parse_args()

os.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')


class Digits:
    def __init__(self, batch=48):
        d = np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'optical_digits.npz'))
        self.x = d['images'].reshape(-1, 64).astype('f4') / 16
        self.y = d['labels'].astype('i4')
        self.batch, self.at = batch, 0
        self.order = np.random.RandomState(5).permutation(len(self.y))

    def next(self):
        take = self.order[self.at:self.at + self.batch]
        self.at = (self.at + self.batch) % (len(self.y) - self.batch)
        return self.x[take], self.y[take]


if __name__ == '__main__':
    tf.reset_default_graph()
    tf.set_random_seed(5)
    x_ = tf.placeholder(tf.float32, [None, 64], 'x')
    y_ = tf.placeholder(tf.int32, [None], 'y')

    with arg_scope([slim.fully_connected],
                   weights_regularizer=regularizers.l2_regularizer(opt.wd),
                   activation_fn=tf.nn.elu):
        h = slim.fully_connected(x_, 32, scope='fc1')
        h = slim.fully_connected(h, 16, scope='fc2')
        logits = slim.fully_connected(h, 10, activation_fn=None, scope='fc3')

    loss = tf.losses.sparse_softmax_cross_entropy(y_, logits)
    step = tf.train.AdamOptimizer(1e-2, epsilon=1e-3).minimize(loss)

    data = Digits()
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        weights = {v.op.name: v for v in tf.trainable_variables()}
        history = {'before': sess.run(weights)}
        for i in range(opt.steps):
            x, y = data.next()
            l, _ = sess.run([loss, step], {x_: x, y_: y})
            if i % 100 == 0:
                print('%5d %.4f' % (i, l))
        history['after'] = sess.run(weights)
    with open(opt.save, 'wb') as f:
        pickle.dump(history, f)
