"""What tf1_wd.keras makes of Keras models, as JSON: keras_models.py MODE [architectures to train].

The mode is "graph", "eager" (tf.keras, tf-keras) or "keras3".
The nets of the trajectories are linear, without biases: tests/keras/test_keras.py has their gradients in NumPy.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from keras_layers import every_layer
from keras_mode import MODE, K, Of, tf, v1

import tf1_wd
import tf1_wd.keras

RATE, LR, STEPS = 0.1, 0.05, 4
X = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25], [-1.0, 1.0]])
Y = np.array([[0.5, 1.0], [-1.0, 0.0], [1.0, 1.0], [0.0, -0.5]])
START = [[[1.0, 0.5], [0.25, -1.0]], [[0.75, -0.5], [1.0, 1.25]], [[1.5, 1.0], [-0.5, 2.0]]]
RATES = {"second": 0.2}  # a rate of its own; the first layer is frozen
Schedule = K.optimizers.schedules.ExponentialDecay
OPTIMIZERS = {
    "sgd": lambda lr: Of.SGD(lr),
    "momentum": lambda lr: Of.SGD(lr, momentum=0.9),
    "adam": lambda lr: Of.Adam(lr, epsilon=1e-8),
    "ftrl": lambda lr: Of.Ftrl(lr),
}


def fresh():
    K.backend.clear_session()


def net(**options):
    """Three kernels, of which the first is frozen."""
    fresh()
    layers = [K.layers.Dense(2, use_bias=False, name=name, **options) for name in ("first", "second", "third")]
    layers[0].trainable = False
    model = K.Sequential([K.layers.InputLayer(input_shape=(2,)) if MODE != "keras3" else K.Input((2,)), *layers])
    set_weights(model)
    return model


def set_weights(model):
    for layer, value in zip(model.layers[-3:], START):
        layer.set_weights([np.array(value)])


def kernels(model):
    return [np.asarray(layer.get_weights()[0]).tolist() for layer in model.layers[-3:]]


def train(model, steps=STEPS):
    found = []
    for _ in range(steps):
        model.train_on_batch(X, Y)
        found.append(kernels(model))
    return found


def plan_of(model, **options):
    return tf1_wd.keras.plan(model, RATE, rates=RATES, **options)


# --- plans


def application(name):
    fresh()
    build = getattr(K.applications, name)
    options = {"dropout": 0.0} if name == "MobileNet" else {}  # so that two steps can be compared
    return build(weights=None, input_shape=(32, 32, 3), classes=3, **options)


def counts(model, plan):
    """What decays, by the plan, and counted from the classes and shapes of a flat model's layers."""
    by_class = {}
    for layer in model.layers:
        if layer.get_weights():
            by_class.setdefault(type(layer).__name__, []).append([int(w.size) for w in layer.get_weights()])
    return {
        "plan": [len(plan.decaying), sum(d.size for d in plan.decaying)],
        "listed": [len(plan.decays), len(model.weights)],
        "by_class": by_class,
    }


def real(name):
    """Counts of a real architecture, and one step with decay beside the same step without."""
    model = application(name)
    plan = tf1_wd.keras.plan(model, RATE)
    found = counts(model, plan)
    found["depthwise"] = counts(model, tf1_wd.keras.plan(model, RATE, depthwise=0.05, bias=0.05))["plan"]
    if name in sys.argv[2:]:
        found.update(step_of(model, plan))
    return found


def step_of(model, plan):
    model.compile(Of.SGD(0.01), "mse")
    x = np.random.RandomState(1).normal(size=(4, 32, 32, 3)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    start = model.get_weights()
    model.train_on_batch(x, y)  # traced without decay first, and decoupled later
    plain = model.get_weights()
    model.set_weights(start)
    tf1_wd.keras.decouple(model, plan)
    model.train_on_batch(x, y)
    rates = {id(d.variable): d.rate or 0.0 for d in plan.decays}
    errors, moved = [], 0
    for variable, w0, w1, w2 in zip(model.weights, start, plain, model.get_weights()):
        errors.append(np.max(np.abs(w2 - (1.0 - rates[id(variable)]) * w1)) / (np.max(np.abs(w1)) + 1e-3))
        moved += int(np.any(w0 != w1))
    return {"worst": float(max(errors)), "moved": moved}


def kinds():
    fresh()
    model = every_layer(K)
    plan = tf1_wd.keras.plan(
        model, RATE, depthwise=0.02, bias=0.05, embeddings=0.03, recurrent=0.04, exclude=model.get_layer("transpose")
    )
    return {
        "plan": [[d.name, d.rate, d.why] for d in plan.decays],
        "weights": len(model.weights),
        "named": sum(d.rate == 0.3 for d in tf1_wd.keras.plan(model, RATE, rates={r"own.*/w$|^w$": 0.3}).decays),
        "defaults": sorted({d.why for d in tf1_wd.keras.plan(model, RATE).decays}),
    }


# --- training


def compiled(optimizer="sgd", lr=LR, dtype="float32", **options):
    model = net(dtype=dtype)
    model.compile(OPTIMIZERS[optimizer](lr), "mse")
    tf1_wd.keras.decouple(model, plan_of(model, **options))
    return model


def trajectories():
    found = {"momentum after": train(compiled("momentum")), "ftrl before": train(compiled("ftrl", order="before"))}
    for order in ("after", "before"):
        found["adam " + order] = train(compiled("adam", order=order))
        found["sgd float64 " + order] = train(compiled(lr=0.0625, dtype="float64", order=order, scale=0.7))
    found["sgd adamw"] = train(compiled(convention="adamw"))
    found["sgd half"] = train(compiled(scale=0.5))
    found["sgd schedule after"] = train(compiled(lr=Schedule(LR, 1, 0.5), scale="learning_rate"))
    found["sgd schedule before"] = train(compiled(lr=Schedule(LR, 1, 0.5), convention="adamw"))
    return found


def coupled():
    found = {}
    for name in ("sgd", "adam"):
        model = net()
        tf1_wd.keras.add_l2(model, plan_of(model))
        model.compile(OPTIMIZERS[name](LR), "mse")
        found[name] = train(model)
    return found


def constrained():
    """Norms of the columns, of which UnitNorm makes 1."""
    model = net(kernel_constraint="unit_norm")
    model.compile(OPTIMIZERS["sgd"](LR), "mse")
    tf1_wd.keras.decouple(model, plan_of(model, order="before"))
    return np.linalg.norm(train(model)[-1][1:], axis=1).tolist()


def error_of(action):
    try:
        action()
    except tf1_wd.Tf1WdError as error:
        return [type(error).__name__, str(error)]
    return None


def refused():
    def decouple(optimizer, twice=False, **options):
        model = net(**options)
        plan = plan_of(model)
        if optimizer is not None:
            model.compile(optimizer, "mse")
        tf1_wd.keras.decouple(model, plan)
        if twice:
            tf1_wd.keras.decouple(model, plan)

    def all_frozen():
        model = net()
        model.trainable = False
        tf1_wd.keras.plan(model, RATE)

    def both():
        model = net()
        tf1_wd.keras.add_l2(model, plan_of(model))
        model.compile("sgd", "mse")
        tf1_wd.keras.decouple(model, plan_of(model))

    def inside():
        inner = net()
        tf1_wd.keras.add_l2(inner, plan_of(inner))
        inputs = K.layers.Input(inner.input_shape[1:])
        outer = K.Model(inputs, inner(inputs))
        outer.compile("sgd", "mse")
        tf1_wd.keras.decouple(outer, plan_of(outer))

    def another_backend():
        model = net()
        model.compile("sgd", "mse")
        plan = plan_of(model)
        variable = SimpleNamespace(value=np.zeros(2), regularizer=None)
        tf1_wd.keras.decouple(model, replace(plan, decays=(replace(plan.decaying[0], variable=variable),)))

    def scale_of_a_number():
        model = net()
        model.compile("sgd", "mse")
        tf1_wd.keras.decouple(model, tf1_wd.keras.plan(model, RATE, scale=lambda step: 1.0))

    def l2_by_a_schedule():
        model = net()
        tf1_wd.keras.add_l2(model, plan_of(model, scale=Schedule(0.5, 1, 0.5)))

    cases = {
        "L2 by a schedule": l2_by_a_schedule,
        "backend": another_backend,
        "not built": lambda: tf1_wd.keras.plan(K.Sequential([K.layers.Dense(2)]), RATE),
        "no model": lambda: tf1_wd.keras.plan([1], RATE),
        "no match": lambda: tf1_wd.keras.plan(net(), RATE, exclude="secnd"),
        "rate": lambda: tf1_wd.keras.plan(net(), 1.5),
        "rate too": lambda: tf1_wd.keras.plan(net(), RATE, bias="much"),
        "option": lambda: tf1_wd.keras.plan(net(), RATE, depth_wise=0.1),
        "rates": lambda: tf1_wd.keras.plan(net(), RATE, rates=0.1),
        "scale": scale_of_a_number,
        "frozen": all_frozen,
        "not compiled": lambda: decouple(None),
        "twice": lambda: decouple("sgd", twice=True),
        "regularized": lambda: decouple("sgd", kernel_regularizer=K.regularizers.l2(0.1)),
        "own regularizer": lambda: decouple("sgd", kernel_regularizer=lambda w: 0.1 * tf.reduce_sum(tf.square(w))),
        "another model": lambda: tf1_wd.keras.decouple(compiled(), plan_of(net())),
        "another model too": lambda: tf1_wd.keras.add_l2(net(), plan_of(net())),
        "no plan": lambda: tf1_wd.keras.decouple(compiled(), 0.1),
        "inside": inside,
        "rates of lr": lambda: tf1_wd.keras.rates(plan_of(net(), convention="adamw")),
        "both": both,
    }
    if MODE == "graph":
        cases["tf.train"] = lambda: decouple(v1.train.GradientDescentOptimizer(LR))
        cases["decay="] = lambda: decouple(Of.SGD(LR, decay=0.1))

        def late():
            model = net()
            model.compile("sgd", "mse")
            tf1_wd.keras.add_l2(model, plan_of(model))

        cases["late"] = late
    else:
        cases["own"] = lambda: decouple(K.optimizers.AdamW(LR, weight_decay=0.1))
        cases["ema"] = lambda: decouple(K.optimizers.SGD(LR, use_ema=True))

        def mirrored():
            model = compiled()
            with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
                model.optimizer.apply_gradients([(tf.zeros((2, 2)), model.trainable_weights[0])])

        cases["strategy"] = mirrored
    if MODE == "keras3":
        cases["accumulates"] = lambda: decouple(K.optimizers.SGD(LR, gradient_accumulation_steps=2))
    return {name: error_of(action) for name, action in cases.items()}


# --- what graph mode alone has


def scope():
    """A tf.train optimizer on a Keras model, its rates from a plan: in the program's own graph, and compiled."""
    model = net()
    rates = tf1_wd.keras.rates(plan_of(model))
    x, y = tf.constant(X, tf.float32), tf.constant(Y, tf.float32)
    with tf1_wd.decoupled_weight_decay(rates=rates):
        loss = tf.reduce_mean(tf.square(model(x) - y))
        train_op = v1.train.AdamOptimizer(LR).minimize(loss, var_list=model.trainable_weights)
    session = K.backend.get_session() if hasattr(K.backend, "get_session") else v1.keras.backend.get_session()
    session.run(v1.global_variables_initializer())
    set_weights(model)
    own = []
    for _ in range(STEPS):
        session.run(train_op)
        own.append(kernels(model))
    model = net()
    model.compile(v1.train.AdamOptimizer(LR), "mse")
    with tf1_wd.decoupled_weight_decay(rates=tf1_wd.keras.rates(plan_of(model))):
        fitted = train(model)
    return {"own": own, "compiled": fitted}


def ops():
    """How many ops of each kind decay in the graph of a model with two decaying kernels."""
    model = compiled()
    train(model, 1)
    types = [op.type for op in v1.get_default_graph().get_operations()]
    return types.count("Tf1WdResourceDecay")


# --- what eager mode alone has


def own_loop():
    """A step of the third layer alone, then one of both, with gradients of 0, out of a tf.function and in it."""
    return [by_hand(lambda function: function), by_hand(tf.function)]


def by_hand(wrap):
    model = compiled()
    second, third = model.trainable_weights
    if hasattr(model.optimizer, "build"):
        model.optimizer.build(model.trainable_weights)
    found = []
    for variables in ([third], [second, third]):
        step(wrap, model.optimizer, variables)
        found.append(kernels(model))
    return found


def step(wrap, optimizer, variables):
    wrap(lambda: optimizer.apply_gradients([(tf.zeros((2, 2)), v) for v in variables]))()


def loss_scale():
    """Kernels after a step that a loss-scale optimizer skips, and after one that it takes."""
    model = net()
    wrapper = getattr(K.mixed_precision, "LossScaleOptimizer", None) or K.optimizers.LossScaleOptimizer
    model.compile(wrapper(K.optimizers.SGD(LR)), "mse")
    tf1_wd.keras.decouple(model, plan_of(model))
    found = []
    for value in (np.inf, 0.0):
        pairs = [(tf.fill((2, 2), np.float32(value)), v) for v in model.trainable_weights]
        model.optimizer.apply_gradients(pairs)
        found.append(kernels(model))
    return found


def late_coupling():
    model = net()
    model.compile(OPTIMIZERS["sgd"](LR), "mse")
    model.train_on_batch(X, Y)
    set_weights(model)
    tf1_wd.keras.add_l2(model, plan_of(model))
    return train(model)


def page():
    """Runs docs/guide/keras.md, and tells what it did to its models."""
    fresh()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3, "docs", "guide", "keras.md")
    with open(path) as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    names: dict = {}
    for block in blocks:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(block, "docs/guide/keras.md", "exec"), names)
    plan, rates = names["plan"], names.get("rates", {})
    return {"blocks": len(blocks), "decaying": len(plan.decaying), "rates": len(rates)}


FACTS = [page, kinds, trajectories, coupled, constrained, refused]
FACTS += [scope, ops] if MODE == "graph" else [own_loop, loss_scale, late_coupling]
result = {fact.__name__: fact() for fact in FACTS}
result["real"] = {name: real(name) for name in ("ResNet50", "MobileNet")}
print(json.dumps(result))
