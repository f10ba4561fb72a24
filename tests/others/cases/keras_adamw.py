"""What Keras AdamW does to weights of 1 without data gradient, in JSON: each decay multiplies by 1 - 0.5 * 0.5."""

from __future__ import annotations

import json
import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.pop("TF_USE_LEGACY_KERAS", None)

import keras
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def adamw(**options):
    return keras.optimizers.AdamW(learning_rate=0.5, weight_decay=0.5, **options)


def ones(shape=(2,)):
    return tf.Variable(tf.ones(shape))


def step(optimizer, *variables, **kwargs):
    optimizer.apply_gradients([(tf.zeros_like(v), v) for v in variables], **kwargs)


def value(variable):
    array = np.unique(np.asarray(variable))
    return array[0].item() if len(array) == 1 else np.asarray(variable).tolist()


def model(**options):
    """Two layers, of which the first is frozen."""
    layers = [keras.layers.Dense(2, use_bias=False, kernel_initializer="ones", **options) for _ in range(2)]
    layers[0].trainable = False
    return keras.Sequential([keras.Input((2,)), *layers])


def frozen():
    net = model()
    net.compile(adamw(), lambda y, p: 0.0 * tf.reduce_sum(p, axis=-1))
    net.fit(np.ones((4, 2)), np.ones((4, 2)), batch_size=4, epochs=2, verbose=0)
    return [value(layer.kernel) for layer in net.layers]


def frozen_later():
    v, optimizer = [ones(), ones()], adamw()
    step(optimizer, *v)
    step(optimizer, v[1])
    return [value(w) for w in v]


def two_optimizers():
    v = {"D": ones(), "G": ones()}
    step(adamw(), v["D"])
    return {name: value(w) for name, w in v.items()}


def skipped():
    v, inner = ones(), adamw()
    wrapper = keras.mixed_precision.LossScaleOptimizer
    optimizer = wrapper(inner)
    optimizer.apply_gradients([(tf.fill(v.shape, np.inf), v)])
    after_skip = value(v)
    step(optimizer, v)
    return [after_skip, value(v)]


def mirrored():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        v, optimizer = ones(), adamw()
        optimizer.build([v])

    @tf.function
    def train():
        strategy.run(lambda: step(optimizer, v))

    train()
    return [value(copy) for copy in strategy.experimental_local_results(v)]


def accumulated():
    v, optimizer, count = ones(), adamw(), tf.Variable(0)
    if hasattr(optimizer, "build"):
        optimizer.build([v])

    @tf.function
    def micro_step():
        count.assign_add(1)
        tf.cond(count % 2 == 0, lambda: (step(optimizer, v), True)[1], lambda: False)

    for _ in range(4):
        micro_step()
    return value(v)


def accumulated_by_keras():
    try:
        v, optimizer = ones(), adamw(gradient_accumulation_steps=2)
    except (TypeError, ValueError):
        return None
    for _ in range(4):
        step(optimizer, v)
    return value(v)


def average():
    v, optimizer = ones(), adamw(use_ema=True, ema_momentum=0.75)
    step(optimizer, v)
    step(optimizer, v)
    return [value(v), value(optimizer._model_variables_moving_average[0])]


def rows():
    table, optimizer = ones((3, 1)), adamw()
    with tf.GradientTape() as tape:
        loss = 0.0 * tf.reduce_sum(tf.nn.embedding_lookup(table, [0, 0]))
    gradient = tape.gradient(loss, table)
    optimizer.apply_gradients([(gradient, table)])
    return [type(gradient).__name__, value(table)]


def every_optimizer():
    """The weights after a step without a gradient, with weight_decay= of each optimizer whose step is then 0."""
    found = []
    for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "Nadam", "Lion"):
        v = ones()
        step(getattr(keras.optimizers, name)(learning_rate=0.5, weight_decay=0.5), v)
        found.append(value(v))
    return found


def clipped():
    """What a decay adds to a step whose gradient is clipped; and a step of nothing but an L2 regularizer."""
    found = []
    for weight_decay in (0.0, 0.5):
        v = ones()
        optimizer = keras.optimizers.AdamW(0.5, weight_decay=weight_decay, global_clipnorm=1e-3)
        optimizer.apply_gradients([(tf.fill(v.shape, 100.0), v)])
        found.append(value(v))
    net = model(kernel_regularizer=keras.regularizers.L2(0.25))
    net.compile(
        keras.optimizers.AdamW(0.5, weight_decay=1e-9, global_clipnorm=1e-3), lambda y, p: 0.0 * tf.reduce_sum(p)
    )
    net.fit(np.ones((4, 2)), np.ones((4, 2)), batch_size=4, verbose=0)
    return [found[1] - found[0], value(net.layers[1].kernel)]


def restart():
    def train(v, optimizer, steps):
        for t in steps:
            optimizer.apply_gradients([(tf.sin(v * (t + 1.0)), v)])

    v, optimizer = ones(), adamw()
    checkpoint = tf.train.Checkpoint(v=v, optimizer=optimizer)
    train(v, optimizer, range(3))
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint.save(folder + "/x")
        train(v, optimizer, range(3, 6))
        again, fresh = ones(), adamw()
        fresh.build([again])
        tf.train.Checkpoint(v=again, optimizer=fresh).restore(path)
        train(again, fresh, range(3, 6))
    return bool(np.array_equal(v.numpy(), again.numpy()))


FACTS = [frozen, frozen_later, two_optimizers, skipped, mirrored, accumulated, accumulated_by_keras, average, rows]
FACTS += [every_optimizer, clipped, restart]

if __name__ == "__main__":
    found = {fact.__name__: fact() for fact in FACTS}
    json.dump(dict(found, version=keras.__version__), sys.stdout)
