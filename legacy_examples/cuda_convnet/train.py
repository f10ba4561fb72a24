"""Trains the digits as cuda-convnet would: the numbers of each layer stand in a layer parameter file.

    python train.py                    # wc inside the momentum, as in cuda-convnet
    python train.py --decoupled        # the same numbers, wc beside the momentum
"""

import argparse
import os

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(os.path.dirname(HERE), "data", "optical_digits.npz")
BATCH = 64


def layer(name, shape, random):
    """(weights, biases) with the names that the file's sections are looked up by."""
    weights = random.randn(*shape) / np.sqrt(np.prod(shape[:-1]))
    with tf.variable_scope(name):
        return (
            tf.get_variable("weights", initializer=weights.astype(np.float32)),
            tf.get_variable("biases", initializer=np.zeros(shape[-1:], np.float32)),
        )


def network(images, random):
    net = images
    for name, shape in (("conv1", [3, 3, 1, 16]), ("conv2", [3, 3, 16, 16])):
        weights, biases = layer(name, shape, random)
        net = tf.nn.relu(tf.nn.conv2d(net, weights, [1, 1, 1, 1], "SAME") + biases)
        net = tf.nn.max_pool(net, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    weights, biases = layer("fc10", [64, 10], random)
    return tf.matmul(tf.reshape(net, [-1, 64]), weights) + biases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer-params", default=os.path.join(HERE, "layer-params.cfg"))
    parser.add_argument("--decoupled", action="store_true", help="decay the weights beside the momentum")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", help="write the weights at the start and at the end there (.npz)")
    args = parser.parse_args()

    tf.disable_v2_behavior()
    with np.load(DATA) as data:
        images, labels = data["images"].astype(np.float32)[..., np.newaxis] / 16, data["labels"].astype(np.int64)
    x, y = tf.placeholder(tf.float32, [None, 8, 8, 1]), tf.placeholder(tf.int64, [None])
    logits = network(x, np.random.RandomState(1))
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
    correct = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))

    step = tf.train.get_or_create_global_step()
    scale = tf.where(step < args.steps * 4 // 5, tf.constant(1.0), tf.constant(0.1))
    optimizer = tf1_wd.CudaConvnetOptimizer(args.layer_params, decoupled=args.decoupled, scale=scale)
    train_op = optimizer.minimize(loss, step)
    print(optimizer)

    train, weights = len(labels) - 300, {v.op.name: v for v in tf.trainable_variables()}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        saved = {"start/" + name: value for name, value in session.run(weights).items()}
        for i in range(args.steps):
            batch = np.arange(BATCH * i, BATCH * (i + 1)) % train
            session.run(train_op, {x: images[batch], y: labels[batch]})
        accuracy = session.run(correct, {x: images[train:], y: labels[train:]})
        saved.update(("end/" + name, value) for name, value in session.run(weights).items())
    print("test accuracy: %.1f %%" % (100 * accuracy))
    if args.out:
        np.savez(args.out, **saved)


if __name__ == "__main__":
    main()
