"""What tf1_wd.keras makes of a model's own regularizers, as JSON: keras_regularizers.py MODE [architectures to train].

The mode is "graph", "eager" (tf.keras, tf-keras) or "keras3". The net is linear, with two kernels A and B and no bias;
tests/keras/test_regularizers.py has its gradients in NumPy.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings

import numpy as np
from keras_mode import MODE, K, Of, tf, v1

import tf1_wd
import tf1_wd.keras
from tf1_wd.graph import predecessors

L2, L1_L2 = K.regularizers.l2(0.15), K.regularizers.l1_l2(0.05, 0.1)
X = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25], [-1.0, 1.0]], np.float32)
Y = np.array([[0.5], [-1.0], [1.0], [0.0]], np.float32)
START = [np.array([[1.0, 0.5], [0.25, -1.0]]), np.array([[0.75], [-0.5]])]
LR, STEPS = 0.05, 4
OPTIMIZERS = {
    "sgd": lambda: Of.SGD(LR),
    "momentum": lambda: Of.SGD(LR, momentum=0.9),
    "adam": lambda: Of.Adam(LR, epsilon=1e-8),
}


def net(optimizer="sgd", of_a=L2, of_b=L1_L2, **options):
    K.backend.clear_session()
    layers = [
        K.layers.Dense(2, use_bias=False, kernel_regularizer=of_a, name="a", **options),
        K.layers.Dense(1, use_bias=False, kernel_regularizer=of_b, name="b"),
    ]
    model = K.Sequential([K.Input((2,)) if MODE == "keras3" else K.layers.InputLayer(input_shape=(2,)), *layers])
    model.compile(OPTIMIZERS[optimizer](), "mse")
    model.set_weights(START)
    return model


def decoupled(model, *args, **options):
    plan = tf1_wd.keras.plan(model, *args, **options)
    tf1_wd.keras.decouple(model, plan)
    return plan


def kernels(model):
    return [np.asarray(w).tolist() for w in model.get_weights()]


def train(model, steps=STEPS):
    found = []
    for _ in range(steps):
        model.train_on_batch(X, Y)
        found.append(kernels(model))
    return found


def outcome(action, *args, **options):
    try:
        return action(*args, **options)
    except tf1_wd.Tf1WdError as error:
        return [type(error).__name__, str(error)]


def trajectories():
    found = {}
    for optimizer in OPTIMIZERS:
        for convention in ("snippet", "adamw"):
            model = net(optimizer)
            decoupled(model, convention=convention)
            found["%s %s" % (optimizer, convention)] = train(model)
    return found


def fit():
    model = net()
    decoupled(model)
    model.fit(X, Y, batch_size=4, epochs=STEPS, verbose=0, shuffle=False)
    return kernels(model)


def plan():
    found = tf1_wd.keras.plan(net(), exclude="b/")
    return {"rates": [d.rate for d in found.decays], "printed": str(found)}


def excluded():
    model = net()
    decoupled(model, exclude="b/")
    return train(model)


def given_another_rate():
    model = net()
    decoupled(model, rates={"a/": 0.5})
    return train(model)


def value_of_the_loss():
    model = net()
    before = float(np.ravel(model.test_on_batch(X, Y))[0])
    decoupled(model)
    return [before, float(np.ravel(model.train_on_batch(X, Y))[0])]


def as_a_function():
    model = net(of_a=lambda w: 0.15 * tf.reduce_sum(tf.square(w)), of_b=None)
    decoupled(model)
    return train(model)


def not_l2():
    def root(w):
        return 0.1 * tf.sqrt(tf.reduce_sum(tf.square(w)))

    return {
        "of its own": outcome(tf1_wd.keras.plan, net(of_a=root, of_b=None)),
        "l1": outcome(tf1_wd.keras.plan, net(of_a=K.regularizers.l1(0.1), of_b=None)),
        "a role": outcome(tf1_wd.keras.plan, net(), bias=0.1),
        "a rate": outcome(decoupled, net(), 0.1),
    }


def absolute(w):
    return 0.1 * tf.reduce_sum(tf.abs(w))


def more_than_l2():
    """L1 and L2 in one function of one's own, on B."""
    model = net(of_b=lambda w: 0.5 * absolute(w) + 0.1 * tf.reduce_sum(tf.square(w)))
    found = decoupled(model)
    return {"trained": train(model), "printed": str(found), "of Keras": str(tf1_wd.keras.plan(net()))}


def advised_to_pass_a_rate():
    """A model whose regularizers are not L2, with the rate that the refusal asks for."""
    found = {}
    for name, regularizer in (("class", K.regularizers.l1(0.1)), ("function", absolute)):
        model = net(of_a=regularizer, of_b=None)
        refused = outcome(tf1_wd.keras.plan, model)
        printed = str(decoupled(model, 0.3))
        found[name] = {"refused": refused, "printed": printed, "trained": train(model)}
    model = net(of_a=absolute, of_b=None)
    decoupled(model, rates={"a/": 0.3})
    found["by name"] = {"trained": train(model)}
    return found


def coefficient_in_a_variable():
    coefficient = tf.Variable(0.15, trainable=False)

    def l2(w):
        return coefficient * tf.reduce_sum(tf.square(w))

    found = {}
    for name, regularizer in (("l2", l2), ("more", lambda w: l2(w) + 0.5 * absolute(w))):
        coefficient.assign(0.15)
        model = net(of_a=regularizer, of_b=None)
        plan = decoupled(model)
        first = train(model, 1)
        coefficient.assign(0.05)
        found[name] = {"trained": first + train(model, STEPS - 1), "printed": str(plan)}
    found["rates"] = outcome(tf1_wd.keras.rates, plan)
    model = net(of_a=l2, of_b=None)
    found["add_l2"] = outcome(tf1_wd.keras.add_l2, model, tf1_wd.keras.plan(model))
    return found


def excluded_from_a_rate():
    """What has L2 is excluded from a plan with a rate, as the refusal of that plan says."""
    model = net(of_a=None)
    refused = outcome(decoupled, model, 0.3)
    decoupled(model, 0.3, exclude="b/")
    return {"refused": refused, "trained": train(model)}


def added_twice():
    model = net()
    return outcome(tf1_wd.keras.add_l2, model, tf1_wd.keras.plan(model))


def compiled_anew():
    model = net()
    decoupled(model)
    model.train_on_batch(X, Y)
    model.compile(OPTIMIZERS["sgd"](), "mse")
    model.set_weights(START)
    coupled = train(model)
    model.set_weights(START)
    model.compile(OPTIMIZERS["sgd"](), "mse")
    decoupled(model)
    return {"coupled": coupled, "decoupled": train(model)}


def added_by_a_function():
    """L2 of A that model.add_loss has put into the loss, beside a plan; Keras 3 takes no functions there."""
    model = net(of_a=None, of_b=None)
    kernel = model.layers[-2].kernel
    model.add_loss(lambda: 0.3 * tf.nn.l2_loss(kernel))
    model.compile(OPTIMIZERS["sgd"](), "mse")

    def train_with(plan):
        tf1_wd.keras.decouple(model, plan)
        model.train_on_batch(X, Y)

    refused = outcome(train_with, tf1_wd.keras.plan(model, 0.25))
    return {"refused": refused, "weights": kernels(model), "started": [w.tolist() for w in START]}


def attribute_after_build():
    model = net(of_a=None, of_b=None)
    model.layers[-2].kernel_regularizer = L2  # changes nothing on a layer that is built, in any Keras
    decoupled(model, 0.3, exclude="b/")
    return train(model)


def saved():
    model = net()
    decoupled(model)
    path = os.path.join(tempfile.mkdtemp(), "model." + ("keras" if MODE == "keras3" else "h5"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.save(path)
        model.save(path)
    loaded = K.models.load_model(path)
    loaded.compile(OPTIMIZERS["sgd"](), "mse")
    decoupled(loaded)
    told = [str(w.message) for w in caught if issubclass(w.category, tf1_wd.errors.Tf1WdWarning)]
    return {"told": told, "trained": train(loaded)}


def schedules():
    def halves(step):
        return 0.5 ** tf.cast(step + 1, tf.float32)

    found = {}
    for name, scale in (
        ("function", halves),
        ("schedule", K.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)),
        ("number", lambda step: 0.5),
    ):
        for convention in ("snippet", "paper"):
            model = net()
            result = outcome(decoupled, model, scale=scale, **({} if convention == "snippet" else {"order": "before"}))
            found["%s %s" % (name, convention)] = result if isinstance(result, list) else train(model)
    return found


def refused_in_fit():
    """What comes out of the tf.function that fit makes, with the class of the error that went in."""
    model = net()
    decoupled(model)
    model.optimizer.weight_decay = 0.1
    try:
        model.fit(X, Y, verbose=0)
    except Exception as error:
        return [type(error).__name__, str(error)]


def scale_in_a_variable():
    model = net()
    scale = tf.Variable(0.5, trainable=False)
    decoupled(model, scale=scale)
    first = train(model, 1)
    scale.assign(0.25)
    return first + train(model, STEPS - 1)


def updates_wait_for_reads():
    """Whether the update of a kernel runs behind all that reads it for the penalties of the loss, in the graph."""
    model = net(of_b=None)
    decoupled(model)
    model.train_on_batch(X, Y)
    operations = v1.get_default_graph().get_operations()
    update = next(op for op in operations if op.type == "ResourceApplyGradientDescent" and "update_a/" in op.name)
    in_loss, before = (set(predecessors([op])) for op in (model.total_loss.op, update))
    reads = [op for op in in_loss if op.type == "ReadVariableOp" and op.inputs[0] is update.inputs[0]]
    reads = [op for op in reads if "Regularizer" in op.name]
    return {"reads": len(reads), "waits": all(op in before for op in reads)}


def real(name):
    """Weights of a real architecture after `fit`, against a loop of its own on the loss of the data."""
    K.backend.clear_session()
    K.backend.set_floatx("float64")  # normalization over few values makes much of rounding
    built = getattr(K.applications, name)(weights=None, input_shape=(32, 32, 3), classes=3)

    def regularized(layer):
        config = layer.get_config()
        for option in ("kernel_regularizer", "depthwise_regularizer"):
            if option in config:
                config[option] = {"class_name": "L2", "config": {"l2": 0.05}}
        if config.get("rate") and type(layer).__name__ == "Dropout":
            config["rate"] = 0.0  # so that two steps can be compared
        return type(layer).from_config(config)

    model = K.models.clone_model(built, clone_function=regularized)
    x = np.random.RandomState(1).normal(size=(8, 32, 32, 3)).astype(np.float64)
    y = np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]]
    start = model.get_weights()
    model.compile(Of.SGD(0.01), "mse")
    plan = decoupled(model)
    model.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False)
    fitted = model.get_weights()
    model.set_weights(start)
    rates = {id(d.variable): d.rate or 0.0 for d in plan.decays}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
    weights = list(model.trainable_weights)
    values = [w.value if not callable(w.value) else w for w in weights]
    for w, gradient in zip(weights, tape.gradient(loss, values)):
        w.assign((1.0 - rates[id(w)]) * (tf.convert_to_tensor(w) - 0.01 * gradient))
    looped = model.get_weights()
    errors = [np.max(np.abs(a - b)) / (np.max(np.abs(b)) + 1e-3) for a, b in zip(fitted, looped)]
    moved = sum(np.any(a != b) for a, b in zip(fitted, start))
    return {"worst": float(max(errors)), "moved": int(moved), "decaying": len(plan.decaying)}


FACTS = [trajectories, fit, plan, excluded, given_another_rate, value_of_the_loss, as_a_function, not_l2]
FACTS += [more_than_l2, advised_to_pass_a_rate, excluded_from_a_rate, added_twice]
FACTS += [compiled_anew, attribute_after_build, saved, schedules]
FACTS += (
    [updates_wait_for_reads] if MODE == "graph" else [refused_in_fit, scale_in_a_variable, coefficient_in_a_variable]
)
if MODE != "keras3":
    FACTS.append(added_by_a_function)
result = {}
for fact in FACTS:
    try:
        result[fact.__name__] = fact()
    except Exception as error:  # that of one fact is shown by its test
        result[fact.__name__] = {"failed": "%s: %s" % (type(error).__name__, error)}
for name in sys.argv[2:]:  # last, as they change the dtype of layers
    result[name] = real(name)
print(json.dumps(result))
