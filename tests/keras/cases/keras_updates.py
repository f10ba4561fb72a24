"""What an optimizer that decays does with updates and plans of other shapes, as JSON: keras_updates.py MODE.

The modes are those of keras_models.py, and "keras3 graph". The learning rate is 0: a weight changes by its decay alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys

import numpy as np
from keras_mode import IN_GRAPHS, MODE, K, Of, tf, v1

import tf1_wd
import tf1_wd.keras

RATE = 0.1
X, Y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)


def dense(units=2, **options):
    return K.layers.Dense(units, use_bias=False, kernel_initializer="ones", **options)


def model_of(*layers, compiled=True):
    model = K.Sequential(layers or [dense()])
    model.build((None, 3))
    if compiled:
        model.compile(Of.SGD(0.0), "mse")
    return model


def decoupled(*layers, **options):
    model = model_of(*layers)
    tf1_wd.keras.decouple(model, tf1_wd.keras.plan(model, RATE, **options))
    return model


def session():
    return K.backend.get_session() if hasattr(K.backend, "get_session") else v1.keras.backend.get_session()


def means(model):
    """The mean of each weight, all of which started as ones."""
    return [float(np.mean(value)) for value in model.get_weights()]


def underneath(weight):
    """The tf.Variable in a variable of Keras: what a tape has watched, and what the graph's collection holds."""
    if not callable(weight.value):
        return weight.value
    return getattr(weight, "_variable", weight)


def outcome(action, *args):
    try:
        return action(*args)
    except tf1_wd.Tf1WdError as error:
        return [type(error).__name__, str(error)]


def update(model, variables, call=None):
    """One update of these variables, with gradients of 0."""
    pairs = [(tf.zeros(v.shape, v.dtype), v) for v in variables]
    call = call or (lambda optimizer, pairs: optimizer.apply_gradients(pairs))
    op = call(model.optimizer, pairs)
    if IN_GRAPHS:
        session().run(op)
    return means(model)


# --- variables underneath


def half():
    """The dtype of layers that compute in float16 and keep float32; TensorFlow 1 has it by another name."""
    old = getattr(getattr(K.mixed_precision, "experimental", None), "Policy", None)
    return old("mixed_float16", loss_scale=None) if old and tf.__version__.startswith("1.") else "mixed_float16"


def variables_underneath():
    def of(**options):
        model = decoupled(dense(**options), dense())
        return update(model, [underneath(w) for w in model.trainable_weights])

    return {"float32": of(), "mixed_float16": of(dtype=half())}


def watched_variables():
    def of(wrap=lambda function: function, **options):
        model = decoupled(dense(**options), dense())
        model.optimizer.build([underneath(w) for w in model.trainable_weights])

        def train():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.cast(model(X), tf.float32))
            variables = tape.watched_variables()
            model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

        wrap(train)()
        return means(model)

    return {
        "float32": of(),
        "mixed_float16": of(dtype="mixed_float16"),
        "float32 in a function": of(tf.function),
        "mixed_float16 in a function": of(tf.function, dtype="mixed_float16"),
    }


def selected_underneath():
    """Which of two kernels a plan decays that excludes the tf.Variable in the first."""
    model = model_of(dense(dtype=half()), dense())
    plan = tf1_wd.keras.plan(model, RATE, exclude=[underneath(model.weights[0])])
    return [d.rate for d in plan.decays]


def foreign_updates():
    """Updates of another model's weights alone, and of weights of the plan that do not decay."""
    model, other = decoupled(K.layers.Dense(2, kernel_initializer="ones")), model_of()
    refused = outcome(lambda: update(model, other.trainable_weights))
    return {"refused": refused, "bias": update(model, model.trainable_weights[1:])[0]}


def keyword_calls():
    calls = {"apply_gradients": lambda optimizer, pairs: optimizer.apply_gradients(grads_and_vars=iter(pairs))}
    if MODE == "keras3":
        calls["apply"] = lambda optimizer, pairs: optimizer.apply(
            grads=[g for g, _ in pairs], trainable_variables=[v for _, v in pairs]
        )
        calls["apply, positional"] = lambda optimizer, pairs: optimizer.apply(*zip(*pairs))
    found = {}
    for name, call in calls.items():
        model = decoupled(dense(), dense())
        found[name] = update(model, model.trainable_weights, call)
    return found


# --- plans that are out of date


def stale_plans():
    """What decouple and add_l2 say of a plan made before a layer was unfrozen, or added; and of one made anew."""

    def unfrozen(use, base, freeze=True):
        model = model_of(base, dense(name="head"), compiled=use is tf1_wd.keras.decouple)
        base.trainable = not freeze
        plan = tf1_wd.keras.plan(model, RATE)
        base.trainable = True
        use(model, plan)

    def added(use):
        model = model_of(dense(name="first"), compiled=False)
        plan = tf1_wd.keras.plan(model, RATE)
        model.add(dense(name="second"))
        model.build((None, 3))
        if use is tf1_wd.keras.decouple:
            model.compile(Of.SGD(0.0), "mse")
        use(model, plan)

    found = {}
    for use in (tf1_wd.keras.decouple, tf1_wd.keras.add_l2):
        found["unfrozen " + use.__name__] = outcome(unfrozen, use, dense(name="base"))
        found["added " + use.__name__] = outcome(added, use)
        found["anew " + use.__name__] = outcome(unfrozen, use, dense(name="base"), False)
    return found


def excluded_on_purpose():
    """A weight that the plan excludes may be frozen or not when the plan is used."""
    base = dense(name="base")
    model = model_of(base, dense(name="head"))
    base.trainable = False
    plan = tf1_wd.keras.plan(model, RATE, exclude=base)
    base.trainable = True
    tf1_wd.keras.decouple(model, plan)
    return update(model, model.trainable_weights)


def unfrozen_later():
    """A weight that was frozen when the plan was made, updated by a loop of one's own after decouple."""
    base = dense(name="base")
    base.trainable = False
    model = decoupled(base, dense(name="head"))
    base.trainable = True
    return outcome(lambda: update(model, model.trainable_weights))


# --- settings changed afterwards


def weight_decay_set_later():
    model = decoupled()
    model.optimizer.weight_decay = 0.2
    refused = outcome(lambda: update(model, model.trainable_weights))
    kept = means(model)
    model.optimizer.weight_decay = None
    return {"refused": refused, "kept": kept, "after": update(model, model.trainable_weights)}


# --- L2 and shared layers


def shared_l2():
    """The kernel of a shared layer after a step of model b at learning rate 1, model a having the L2."""
    inputs, shared = K.Input((3,)), dense(name="shared")
    a, b = K.Model(inputs, shared(inputs)), K.Model(inputs, shared(inputs))
    tf1_wd.keras.add_l2(a, tf1_wd.keras.plan(a, RATE))
    found = {}
    for name, model in (("a", a), ("b", b)):
        model.compile(Of.SGD(1.0), "mse")
        model.set_weights([np.ones((3, 2))])
        model.train_on_batch(np.zeros((4, 3)), Y)  # no gradient but that of a penalty
        found[name] = means(model)[0]
    return found


# --- layers that are never called, and classes of layers


def unused_layers():
    class Block(K.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inside = K.layers.Dense(2, name="inside")

        def call(self, x):
            return self.inside(x)

    class Net(K.Model):
        def __init__(self):
            super().__init__()
            self.used = K.layers.Dense(2, name="used", kernel_initializer="ones")
            self.unused = Block(name="unused")

        def call(self, x):
            return self.used(x)

    model = Net()
    model(tf.constant(X))
    found = {
        name: outcome(lambda options=options: rows(tf1_wd.keras.plan(model, RATE, **options)))
        for name, options in {
            "refused": {},
            "layer": {"exclude": model.unused},
            "pattern": {"exclude": "unused"},
            "inside": {"exclude": ["inside", "bias"]},
            "wrong": {"exclude": [model.unused, "typo"]},
            "class": {"exclude": [Block, "bias"]},
        }.items()
    }
    model.compile(Of.SGD(0.0), "mse")
    tf1_wd.keras.decouple(model, tf1_wd.keras.plan(model, RATE, exclude=model.unused))
    found["trained"] = update(model, model.trainable_weights)[0]
    return found


def rows(plan):
    return [[d.name.split("/")[-1], d.rate, d.why] for d in plan.decays]


def classes():
    """The rates of a Dense and of a Conv2D kernel, by options that name a class of layers."""
    model = K.Sequential([K.layers.Conv2D(2, 1, use_bias=False), K.layers.Flatten(), dense()])
    model.build((None, 1, 1, 3))
    both = [K.layers.Conv2D, K.layers.Dense]
    options = {
        "exclude": {"exclude": K.layers.Dense},
        "include": {"include": [K.layers.Dense]},
        "rates": {"rates": {K.layers.Dense: 0.3}},
        "none": {"exclude": K.layers.LSTM},
        "not of layers": {"exclude": [int]},
        "all": {"exclude": both},
    }
    found = {}
    for name, given in options.items():
        found[name] = outcome(lambda given=given: [d.rate for d in tf1_wd.keras.plan(model, RATE, **given).decays])
    return found


# --- Keras 3 in graph mode


def keras3_in_graphs():
    """What docs/guide/keras.md says of Keras 3 in graph mode: the blocks that run, what they train, what is refused."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3, "docs", "guide", "keras.md")
    with open(path) as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    names: dict = {}
    with contextlib.redirect_stdout(sys.stderr):
        exec(compile(blocks[0], "docs/guide/keras.md", "exec"), names)
        decaying = len(names["plan"].decaying)
        refused = outcome(lambda: exec(compile(blocks[1], "docs/guide/keras.md", "exec"), names))
        exec(compile(blocks[-1], "docs/guide/keras.md", "exec"), names)
    model, opened = names["model"], v1.Session()
    opened.run(v1.global_variables_initializer())
    kernel = model.trainable_weights[0].value
    start = opened.run(kernel)
    opened.run(names["train_op"])
    try:
        model.compile("sgd", "mse")
        model.fit(np.ones((2, 4)), np.ones((2, 1)), verbose=0)
        fits = True
    except Exception as error:  # of Keras, of any kind
        fits = type(error).__name__
    return {
        "decaying": decaying,
        "refused": refused,
        "start": start.tolist(),
        "trained": opened.run(kernel).tolist(),
        "fits": fits,
    }


FACTS = [
    variables_underneath,
    selected_underneath,
    foreign_updates,
    keyword_calls,
    stale_plans,
    excluded_on_purpose,
    unfrozen_later,
    weight_decay_set_later,
    shared_l2,
    unused_layers,
    classes,
]
if MODE == "keras3 graph":
    FACTS = [keras3_in_graphs]
elif MODE != "graph":
    FACTS.append(watched_variables)
result = {}
for fact in FACTS:
    K.backend.clear_session()
    try:
        result[fact.__name__] = fact()
    except Exception as error:  # that of one fact is shown by its test
        result[fact.__name__] = {"failed": "%s: %s" % (type(error).__name__, error)}
print(json.dumps(result))
