"""The programs of legacy_examples in TensorFlow 2: models as their migrating authors would write them, on written code.

Arguments: the name of an example, the code that `tf1-wd migrate` wrote, the weights of the program at its start (a
checkpoint or an .npz file), and the .npz file for those after 20 steps.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


import numpy as np
import tensorflow as tf

STEPS = 20
ROOT = str(pathlib.Path(__file__).resolve().parents[4])
with np.load(os.path.join(ROOT, "legacy_examples", "data", "optical_digits.npz")) as data:
    IMAGES, LABELS = (data["images"] / 16.0).astype(np.float32)[..., None], data["labels"].astype(np.int32)


def cross_entropy(logits, labels):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def started(code, start):
    """The variables of the code, with the weights of the program at its start."""
    variables = code.pair([tf.Variable(tf.zeros(shape), name=name) for name, shape in code.VARIABLES.items()])
    if not start.endswith(".npz"):
        code.load(variables, start)
        return variables
    with np.load(start) as weights:
        for name, variable in variables.items():
            variable.assign(weights[name])
    return variables


def tf_layers_cnn(code, start):
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(24, activation="tanh"),
            layers.Dense(10),
        ]
    )
    model.build((None, 8, 8, 1))
    variables = code.pair(model.trainable_variables)
    code.load(variables, start)
    train_step = code.make_train_step(variables, lambda images, labels: cross_entropy(model(images), labels))
    random = np.random.RandomState(7)
    for _ in range(STEPS):
        batch = random.randint(0, 1500, 32)
        train_step(IMAGES[batch], LABELS[batch])
    return variables


def convolved(x, v, layers):
    for name in layers:
        x = tf.nn.relu(tf.nn.conv2d(x, v[name + "/weights"], 1, "SAME") + v[name + "/biases"])
        x = tf.nn.max_pool2d(x, 2, 2, "SAME")
    return tf.reshape(x, [x.shape[0], -1])


def cifar_train(code, start):
    v = started(code, start)

    def loss(images, labels):
        net = convolved(images, v, ["conv1"])
        net = tf.nn.relu(net @ v["local2/weights"] + v["local2/biases"])
        return cross_entropy(net @ v["softmax_linear/weights"] + v["softmax_linear/biases"], labels)

    train_step = code.make_train_step(v, loss)
    for t in range(STEPS):
        batch = np.arange(32 * t, 32 * t + 32) % len(LABELS)
        train_step(IMAGES[batch], LABELS[batch])
    return v


def three_optimizers(code, start):
    v = started(code, start)

    def loss(images, labels):
        net = tf.nn.relu(convolved(images, v, ["conv1", "conv2"]) @ v["fc3/weights"] + v["fc3/biases"])
        return cross_entropy(net @ v["fc4/weights"] + v["fc4/biases"], labels)

    rate = tf.Variable(0.0)  # fed in the program
    times_1, times_10, times_20 = (lambda step, n=n: n * rate for n in (1.0, 10.0, 20.0))
    train_step = code.make_train_step(v, loss, times_1, times_10, times_20)
    random = np.random.RandomState(1234)
    for t in range(STEPS):
        batch = random.choice(len(LABELS), 40, replace=False)
        rate.assign(5e-3 * (1 - t / 1000) ** 0.9)
        train_step(IMAGES[batch], LABELS[batch])
    return v


def gan(code, start):
    v = started(code, start)

    def generator(z):
        return tf.sigmoid(tf.nn.relu(z @ v["G_W1"] + v["G_b1"]) @ v["G_W2"] + v["G_b2"])

    def discriminator(x):
        return tf.tanh(x @ v["D_W1"] + v["D_b1"]) @ v["D_W2"] + v["D_b2"]

    def told(logits, real):
        labels = tf.ones_like(logits) if real else tf.zeros_like(logits)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))

    def loss_of_d(x, z):
        return told(discriminator(x), True) + told(discriminator(generator(z)), False)

    step_of_d = code.make_train_step_1(v, loss_of_d)
    step_of_g = code.make_train_step_2(v, lambda z: told(discriminator(generator(z)), True))
    random = np.random.RandomState(42)
    for _ in range(STEPS):
        images = IMAGES.reshape(-1, 64)[random.randint(0, len(IMAGES), 64)]
        z, other = (random.uniform(-1.0, 1.0, [64, 16]).astype(np.float32) for _ in range(2))
        step_of_d(images, z)
        step_of_g(other)
    return v


def main(name, path, start, out):
    spec = importlib.util.spec_from_file_location("migrated", path)
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    variables = globals()[name](code, start)
    np.savez(out, **{n: np.array(v) for n, v in variables.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
