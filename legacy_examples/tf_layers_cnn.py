#!/usr/bin/env python
"""Digit recognition with tf.layers.

    python tf_layers_cnn.py --steps 1000 --logdir ./log

What `tf1-wd audit` says:
    variable        rate   place  updated by
    conv*/kernel    0.005  loss   AdamOptimizer
    conv*/bias      -      -      AdamOptimizer
    fc/kernel       0.005  loss   AdamOptimizer
    fc/bias         -      -      AdamOptimizer
    out/kernel      0.005  loss   AdamOptimizer
    out/bias        -      -      AdamOptimizer
    findings: coupled
"""
import argparse
import os
import sys

import numpy as np
import tensorflow as tf


def load_data():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "optical_digits.npz")
    d = np.load(path)
    x = d["images"].astype("float32")[:, :, :, None] / 16.
    y = d["labels"].astype("int32")
    return (x[:1500], y[:1500]), (x[1500:], y[1500:])


def build_model(x):
    # scale 1 here, the real coefficient comes in when the losses are added up
    reg = tf.contrib.layers.l2_regularizer(scale=1.0)
    init = tf.contrib.layers.xavier_initializer()
    h = tf.layers.conv2d(x, 8, 3, padding="same", activation=tf.nn.relu,
                         kernel_initializer=init, kernel_regularizer=reg, name="conv1")
    h = tf.layers.max_pooling2d(h, 2, 2)
    h = tf.layers.conv2d(h, 12, 3, padding="same", activation=tf.nn.relu,
                         kernel_initializer=init, kernel_regularizer=reg, name="conv2")
    h = tf.layers.max_pooling2d(h, 2, 2)
    h = tf.layers.flatten(h)
    h = tf.layers.dense(h, 24, activation=tf.nn.tanh, kernel_initializer=init,
                        kernel_regularizer=reg, name="fc")
    return tf.layers.dense(h, 10, kernel_initializer=init, kernel_regularizer=reg, name="out")


def main(args):
    np.random.seed(args.seed)
    tf.set_random_seed(args.seed)
    (x_train, y_train), (x_test, y_test) = load_data()

    x = tf.placeholder(tf.float32, [None, 8, 8, 1], name="x")
    y = tf.placeholder(tf.int32, [None], name="y")
    logits = build_model(x)

    xent = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    loss = xent + args.weight_decay * tf.losses.get_regularization_loss()
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1, output_type=tf.int32), y), tf.float32))

    global_step = tf.Variable(0, trainable=False, name="global_step")
    optimizer = tf.train.AdamOptimizer(args.lr, epsilon=1e-3)
    train_op = optimizer.minimize(loss, global_step=global_step)

    tf.summary.scalar("xent", xent)
    tf.summary.scalar("loss", loss)
    merged = tf.summary.merge_all()
    saver = tf.train.Saver()

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        writer = tf.summary.FileWriter(args.logdir, sess.graph)
        saver.save(sess, os.path.join(args.logdir, "model"), global_step=0)
        for i in range(1, args.steps + 1):
            idx = np.random.randint(0, len(x_train), args.batch_size)
            feed = {x: x_train[idx], y: y_train[idx]}
            _, summary = sess.run([train_op, merged], feed_dict=feed)
            writer.add_summary(summary, i)
            if i % 200 == 0:
                acc = sess.run(accuracy, feed_dict={x: x_test, y: y_test})
                print("step", i, "test accuracy", acc)
        saver.save(sess, os.path.join(args.logdir, "model"), global_step=args.steps)
        writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--logdir", default="./log")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--weight_decay", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=7)
    sys.exit(main(parser.parse_args()))
