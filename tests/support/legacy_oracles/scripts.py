"""The examples, one by one: the model, the batches, the optimizers and the rates, as the script's text has them.

Each oracle is a function (weights at the start {name: array}, steps, rates, coupled) -> weights at the end.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import numpy as np

from support.legacy_oracles import layers, tape
from support.legacy_oracles.training import Adagrad, Adam, Momentum, RMSProp, update
from support.paths import ROOT

DATA = str(ROOT / "legacy_examples" / "data" / "optical_digits.npz")


class Oracle(NamedTuple):
    """rates: {name: rate}, those of the author. train: see above."""

    rates: dict[str, float]
    train: Callable[..., dict[str, Any]]


def _digits():
    with np.load(DATA) as data:
        return data["images"].astype(np.float64), data["labels"].astype(int)


def _start(weights):
    return {name: np.array(w, np.float64) for name, w in weights.items()}


def slim_queue_train(weights, steps, rates, coupled):
    images, labels = _digits()
    w = _start(weights)
    optimizers = {name: RMSProp(0.01, 0.9, momentum=0.9, epsilon=1.0) for name in w}
    for t in range(steps):
        batch = np.arange(32 * t, 32 * t + 32) % 1440

        def loss(v, batch=batch):
            def conv(x, name):
                beta = v["DigitsNet/%s/BatchNorm/beta" % name]
                return tape.relu(layers.batch_norm(layers.conv(x, v["DigitsNet/%s/weights" % name]), 0.001, beta))

            net = layers.max_pool(conv(tape.node(images[batch, :, :, None] / 16 - 0.5), "conv1"))
            net = layers.flatten(layers.avg_pool(conv(net, "conv2")))
            logits = net @ v["DigitsNet/logits/weights"] + v["DigitsNet/logits/biases"]
            return layers.cross_entropy(logits, labels[batch])

        update(w, loss, optimizers, rates, coupled)
    return w


def tf_layers_cnn(weights, steps, rates, coupled):
    images, labels = _digits()
    random = np.random.RandomState(7)
    w = _start(weights)
    optimizers = {name: Adam(0.01, 1e-3) for name in w}
    for _ in range(steps):
        batch = random.randint(0, 1500, 32)

        def loss(v, batch=batch):
            net = tape.node(images[batch, :, :, None] / 16)
            for name in ("conv1", "conv2"):
                net = layers.max_pool(tape.relu(layers.conv(net, v[name + "/kernel"]) + v[name + "/bias"]))
            net = tape.tanh(layers.flatten(net) @ v["fc/kernel"] + v["fc/bias"])
            return layers.cross_entropy(net @ v["out/kernel"] + v["out/bias"], labels[batch])

        update(w, loss, optimizers, rates, coupled)
    return w


def lazy_property_mlp(weights, steps, rates, coupled):
    images, labels = _digits()
    w = _start(weights)
    optimizers = {name: Adagrad(0.05) for name in w}
    for t in range(steps):
        batch = np.arange(t * 50, (t + 1) * 50) % 1500

        def loss(v, batch=batch):
            def layer(x, name):
                return x @ v["prediction/%s/weights" % name] + v["prediction/%s/biases" % name]

            net = tape.sigmoid(layer(tape.node(images[batch].reshape(-1, 64) / 16), "hidden1"))
            net = tape.tanh(layer(net, "hidden2"))
            return layers.cross_entropy(layer(net, "output"), labels[batch])

        update(w, loss, optimizers, rates, coupled)
    return w


def _cifar_model(v, images, labels):
    net = tape.relu(layers.conv(tape.node(images[..., None] / 16), v["conv1/weights"]) + v["conv1/biases"])
    net = layers.flatten(layers.max_pool(net))
    net = tape.relu(net @ v["local2/weights"] + v["local2/biases"])
    return layers.cross_entropy(net @ v["softmax_linear/weights"] + v["softmax_linear/biases"], labels)


def cifar_train(weights, steps, rates, coupled):
    images, labels = _digits()
    w = _start(weights)
    averages = dict(w)
    optimizers = {name: Momentum(0.1, 0.9) for name in w}
    for t in range(steps):
        batch = np.arange(32 * t, 32 * t + 32) % len(labels)
        for optimizer in optimizers.values():
            optimizer.lr = 0.1 * 0.8 ** (t // 2)
        update(w, lambda v, batch=batch: _cifar_model(v, images[batch], labels[batch]), optimizers, rates, coupled)
        averages = _average(averages, w, t)
    return _with_averages(w, averages)


def _average(averages, w, t):
    keep = min(0.9, (1 + t + 1) / (10 + t + 1))  # the averages count the step that has just been taken
    return {name: keep * averages[name] + (1 - keep) * w[name] for name in w}


def _with_averages(w, averages):
    return dict(w, **{name + "/ExponentialMovingAverage": average for name, average in averages.items()})


def cifar10_tutorial(weights, steps, rates, coupled):
    images, labels = _digits()
    random = np.random.RandomState(3)
    w = _start(weights)
    averages = dict(w)
    optimizers = {name: Adam(0.01, 1e-3) for name in w}
    for t in range(steps):
        batch = random.randint(0, len(labels), 32)

        def loss(v, batch=batch):
            def conv(x, name):
                return tape.relu(layers.conv(x, v[name + "/weights"]) + v[name + "/biases"])

            norm = dict(radius=4, bias=1.0, alpha=0.001 / 9, beta=0.75)
            net = layers.lrn(layers.max_pool(conv(tape.node(images[batch, :, :, None] / 16), "conv1")), **norm)
            net = layers.flatten(layers.max_pool(layers.lrn(conv(net, "conv2"), **norm)))
            net = tape.relu(net @ v["local3/weights"] + v["local3/biases"])
            return layers.cross_entropy(net @ v["softmax_linear/weights"] + v["softmax_linear/biases"], labels[batch])

        update(w, loss, optimizers, rates, coupled)
        averages = _average(averages, w, t)
    return _with_averages(w, averages)


def cifar_multi_gpu_train(weights, steps, rates, coupled):
    images, labels = _digits()
    w = _start(weights)
    optimizers = {name: Adam(0.01, 1e-3) for name in w}
    for t in range(steps):
        towers = [np.arange(32 * t + 16 * i, 32 * t + 16 * i + 16) % len(labels) for i in range(2)]

        def loss(v, towers=towers):
            return sum(_cifar_model(v, images[b], labels[b]) for b in towers) * 0.5

        update(w, loss, optimizers, rates, coupled)
    return w


def estimator_resnet(weights, steps, rates, coupled):
    images, labels = _digits()
    w = _start(weights)
    optimizers = {name: Adam(0.02, 1e-3) for name in w}
    for t in range(steps):
        batch = np.arange(32 * t, 32 * t + 32) % 1400
        for optimizer in optimizers.values():
            optimizer.lr = 0.02 if t <= 2 else 0.01 if t <= 4 else 0.005

        def loss(v, batch=batch):
            def block(x, i):
                x, norm = layers.conv(x, v["resnet/conv%d/kernel" % i]), "resnet/batch_norm%d/" % i
                return layers.batch_norm(x, 1e-5, v[norm + "beta"], v[norm + "gamma"])

            net = shortcut = tape.elu(block(tape.node(images[batch, :, :, None] / 16 - 0.5), 1))
            net = tape.elu(block(net, 2) + shortcut)
            net = layers.flatten(net.mean((1, 2)))
            return layers.cross_entropy(net @ v["resnet/dense/kernel"] + v["resnet/dense/bias"], labels[batch])

        update(w, loss, optimizers, rates, coupled, clip_norm=0.5)
    return w


def text_cnn(weights, steps, rates, coupled):
    images, labels = _digits()
    words = ((images > 8) * 2 ** np.arange(8)).sum(axis=2)
    random = np.random.RandomState(10)
    w = _start(weights)
    optimizers = {name: Adam(5e-3, 1e-3) for name in w}
    for _ in range(steps):
        batch = random.randint(0, len(words) - 300, 64)

        def loss(v, batch=batch):
            sentence = v["embedding/W"][words[batch]]
            sentence = sentence.reshape((*sentence.shape, 1))
            pooled = []
            for size in (2, 3):
                scope = "conv-maxpool-%d/" % size
                h = tape.relu(layers.conv(sentence, v[scope + "W"], "VALID") + v[scope + "b"])
                pooled.append(h.max(1).reshape(len(batch), -1))
            return layers.cross_entropy(tape.concat(pooled) @ v["output/W"] + v["output/b"], labels[batch])

        update(w, loss, optimizers, rates, coupled)
    return w


def three_optimizers(weights, steps, rates, coupled):
    images, labels = _digits()
    random = np.random.RandomState(1234)
    w = _start(weights)
    times = {name: 1 if name.startswith("conv") else 10 if name.endswith("weights") else 20 for name in w}
    optimizers = {name: Momentum(None, 0.9) for name in w}
    for t in range(steps):
        batch = random.choice(len(labels), 40, replace=False)
        for name, optimizer in optimizers.items():
            optimizer.lr = times[name] * 5e-3 * (1 - t / 1000) ** 0.9

        def loss(v, batch=batch):
            net = tape.node(images[batch, :, :, None] / 16)
            for name in ("conv1", "conv2"):
                net = layers.max_pool(tape.relu(layers.conv(net, v[name + "/weights"]) + v[name + "/biases"]))
            net = tape.relu(layers.flatten(net) @ v["fc3/weights"] + v["fc3/biases"])
            return layers.cross_entropy(net @ v["fc4/weights"] + v["fc4/biases"], labels[batch])

        update(w, loss, optimizers, rates, coupled)
    return w


def gan(weights, steps, rates, coupled):
    images = _digits()[0].reshape(-1, 64) / 16
    random = np.random.RandomState(42)
    w = _start(weights)
    d = {name: Adam(5e-3, 1e-3, beta1=0.5) for name in w if name.startswith("D")}
    g = {name: Adam(2.5e-3, 1e-3, beta1=0.5) for name in w if name.startswith("G")}

    def generator(v, z):
        return tape.sigmoid(tape.relu(tape.node(z) @ v["G_W1"] + v["G_b1"]) @ v["G_W2"] + v["G_b2"])

    def discriminator(v, x):
        return tape.tanh(x @ v["D_W1"] + v["D_b1"]) @ v["D_W2"] + v["D_b2"]

    for _ in range(steps):
        real = tape.node(images[random.randint(0, len(images), 64)])
        z1, z2 = random.uniform(-1.0, 1.0, [64, 16]), random.uniform(-1.0, 1.0, [64, 16])

        def d_loss(v, real=real, z=z1):
            fake = discriminator(v, generator(v, z))
            return layers.sigmoid_cross_entropy(discriminator(v, real), 1.0) + layers.sigmoid_cross_entropy(fake, 0.0)

        def g_loss(v, z=z2):
            return layers.sigmoid_cross_entropy(discriminator(v, generator(v, z)), 1.0)

        update(w, d_loss, d, rates, coupled)
        update(w, g_loss, g, rates, coupled)
    return w


def pasted_snippet(weights, steps, rates, coupled):
    """The snippet on reference variables: it decays what the step has left, and the frozen layer with it."""
    images, labels = _digits()
    w = _start(weights)
    optimizers = {name: Adam(0.01, 1e-3) for name in w if name.startswith("fc")}
    for t in range(steps):
        batch = (t * 30) % 1500 + np.arange(30)

        def loss(v, batch=batch):
            net = tape.node(images[batch, :, :, None] / 16)
            net = layers.flatten(layers.avg_pool(tape.relu(layers.conv(net, v["conv1/weights"]) + v["conv1/biases"])))
            net = tape.relu(net @ v["fc2/weights"] + v["fc2/biases"])
            return layers.cross_entropy(net @ v["fc3/weights"] + v["fc3/biases"], labels[batch])

        update(w, loss, optimizers, {}, coupled)
        w = {name: (1 - rates.get(name, 0.0)) * value for name, value in w.items()}
    return w


def forgotten_regularizers(weights, steps, rates, coupled):
    """No decay at all: the penalties are in no loss."""
    images, labels = _digits()
    order = np.random.RandomState(5).permutation(len(labels))
    w = _start(weights)
    optimizers = {name: Adam(0.01, 1e-3) for name in w}
    for t in range(steps):
        batch = order[48 * t : 48 * t + 48]

        def loss(v, batch=batch):
            net = tape.node(images[batch].reshape(-1, 64) / 16)
            for name in ("fc1", "fc2"):
                net = tape.elu(net @ v[name + "/weights"] + v[name + "/biases"])
            return layers.cross_entropy(net @ v["fc3/weights"] + v["fc3/biases"], labels[batch])

        update(w, loss, optimizers, {}, coupled)
    return w


def doubly_regularized(weights, steps, rates, coupled):
    images, labels = _digits()
    random = np.random.RandomState(8)
    w = _start(weights)
    optimizers = {name: RMSProp(0.05, 0.95) for name in w}
    for _ in range(steps):
        batch = random.randint(len(labels), size=25)

        def loss(v, batch=batch):
            cell = "rows/basic_lstm_cell/"
            h = layers.lstm(images[batch] / 16, v[cell + "kernel"], v[cell + "bias"])
            return layers.cross_entropy(h @ v["classes/kernel"] + v["classes/bias"], labels[batch])

        update(w, loss, optimizers, rates, coupled)
    return w


_CIFAR = {"local2/weights": 0.01, "softmax_linear/weights": 0.005}

ORACLES = {
    train.__name__: Oracle(rates, train)
    for train, rates in (
        (slim_queue_train, dict.fromkeys(["DigitsNet/%s/weights" % n for n in ("conv1", "conv2", "logits")], 0.02)),
        (tf_layers_cnn, dict.fromkeys([n + "/kernel" for n in ("conv1", "conv2", "fc", "out")], 0.005)),
        (
            lazy_property_mlp,
            dict.fromkeys(["prediction/%s/weights" % n for n in ("hidden1", "hidden2", "output")], 0.005),
        ),
        (cifar_train, _CIFAR),
        (cifar10_tutorial, {"local3/weights": 0.02}),
        (cifar_multi_gpu_train, _CIFAR),
        (
            estimator_resnet,
            dict.fromkeys(
                ["resnet/conv%d/kernel" % i for i in (1, 2)]
                + ["resnet/batch_norm%d/%s" % (i, n) for i in (1, 2) for n in ("beta", "gamma")]
                + ["resnet/dense/kernel", "resnet/dense/bias"],
                0.005,
            ),
        ),
        (text_cnn, {"embedding/W": 0.01, "output/W": 0.01, "output/b": 0.01}),
        (three_optimizers, dict.fromkeys([n + "/weights" for n in ("conv1", "conv2", "fc3", "fc4")], 0.02)),
        (gan, {"D_W1": 0.02, "D_W2": 0.02}),
        (pasted_snippet, {"conv1/weights": 0.002, "fc2/weights": 0.002, "fc3/weights": 0.002}),
        (forgotten_regularizers, {"fc1/weights": 0.5, "fc2/weights": 0.5, "fc3/weights": 0.5}),
        (
            doubly_regularized,
            {
                "rows/basic_lstm_cell/kernel": 0.01,
                "rows/basic_lstm_cell/bias": 0.01,
                "classes/kernel": 0.05,
                "classes/bias": 0.01,
            },
        ),
    )
}
