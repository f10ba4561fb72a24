"""The slim_digits example trained three ways, and the weight decay that each really applied; returns plain data.

The rule of a method is measured, not asserted: from the state that training left, one more step is taken, and the
example's plain step on the data loss from the same state; NumPy then tells which formula connects the two.
"""

from __future__ import annotations

import collections
import functools
import importlib.util
import os
import time
from typing import Any

import numpy as np

import tf1_wd
from tf1_wd._tf import tf
from tf1_wd.decay.scope.scope import decoupled_weight_decay
from tf1_wd.errors import InvalidOptionError
from tf1_wd.legacy import install

COUPLED, SNIPPET, TRUE_DECAY = "L2 in the loss", "pasted snippet", "true decay"
UPDATED, OLD, NEITHER = "decays updated weights", "decays old weights", "no decay"
UNTOLD = "cannot be told"

BATCH_SIZE = 64
_POINTS = 40  # of a curve
_RESOURCE_STEPS = 20


def run(steps=600, seed=0, weight_decay=1e-3, backend="auto", on_step=None):
    """Trains slim_digits with L2 in the loss, with the pasted snippet and with true decay, on the same batches.

    Args:
      steps: of each training. seed: of initial weights, dropout and batches.
      weight_decay: the coefficient of slim's l2_regularizer, which a decay takes as the rate per step.
      backend: of decoupled_weight_decay.
      on_step: called without arguments whenever all three have made a step.

    Returns: a dict of plain values: tensorflow (its version), steps, seed, weight_decay, test_images, op ("native" or
      "tensorflow"), plan (text), methods. Each method is a dict: name, test_accuracy, weight_norm (of all weights with
      a penalty), milliseconds_per_step (median), rules ({weight: rule} on reference variables), resource_rules (the
      same on resource variables, after a short training), curves (step, training_loss, test_accuracy, weight_norm).
      The example disables v2 behavior for the whole process, as TF1 code does.

    Raises: InvalidOptionError, InvalidRateError; NativeOpError for backend="native"; ImportError without tf-slim.
    """
    if steps < 1:
        raise InvalidOptionError("steps=%r: the demo needs at least one" % steps)
    with install():
        example = load_example("slim_digits")
        train, test = example.load_digits()

        def trained(steps, points, use_resource, on_step=None):
            build = functools.partial(_Model, example, seed, weight_decay, use_resource)
            true_decay = decoupled_weight_decay(backend=backend)(_as_written)
            models = {COUPLED: build(_as_written), SNIPPET: build(_with_snippet), TRUE_DECAY: build(true_decay)}
            plan = true_decay.decay.plan
            weights = [decay.name for decay in plan.decaying]
            batches = example.batches(*train, BATCH_SIZE, seed)
            histories = _train(models, weights, batches, test, steps, points, on_step)
            plain, batch = build(_on_data_loss), next(batches)
            rules = {name: _measure(model, plain, batch, weights, weight_decay) for name, model in models.items()}
            return models, plan, histories, rules

        models, plan, histories, rules = trained(steps, _POINTS, False, on_step)
        resource_rules = trained(min(steps, _RESOURCE_STEPS), 1, True)[-1]
    return {
        "tensorflow": tf.version.VERSION,
        "steps": steps,
        "seed": seed,
        "weight_decay": weight_decay,
        "test_images": len(test[1]),
        "op": "native" if models[TRUE_DECAY].has_native_op else "tensorflow",
        "plan": str(plan),
        "methods": [
            {
                "name": name,
                "test_accuracy": history["test_accuracy"][-1],
                "weight_norm": history["weight_norm"][-1],
                "milliseconds_per_step": 1e3 * float(np.median(history.pop("seconds"))),
                "rules": rules[name],
                "resource_rules": resource_rules[name],
                "curves": dict(history),
            }
            for name, history in histories.items()
        ],
    }


@functools.lru_cache(maxsize=None)  # once: a second time, its flags would be defined already
def load_example(name):
    """The module of a script in legacy_examples: inside an installed package, beside it in a checkout."""
    package = os.path.abspath(tf1_wd.__path__[0])
    paths = [os.path.join(place, "legacy_examples", name + ".py") for place in (package, os.path.dirname(package))]
    spec: Any = importlib.util.spec_from_file_location(name, next(filter(os.path.exists, paths)))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def applied_rule(before, stepped, after, rate):
    """Which formula of weight decay took a weight from `before` to `after`.

    before, after: float32 arrays around the step. stepped: what the optimizer alone makes of `before`. rate: per step.

    Returns: UPDATED if after = (1 - r) stepped, OLD if after = stepped - r before, each to the rounding of float32;
      NEITHER; or UNTOLD where the two differ by no more than rounding.
    """
    before, stepped, after = (np.asarray(array, np.float64) for array in (before, stepped, after))
    rounding = 4 * np.finfo(np.float32).eps * np.maximum(np.abs(before), np.abs(stepped))
    formulas = {UPDATED: (1 - rate) * stepped, OLD: stepped - rate * before}
    fitting = [rule for rule, value in formulas.items() if np.all(np.abs(after - value) <= rounding)]
    return {0: NEITHER, 1: "".join(fitting), 2: UNTOLD}[len(fitting)]


# --- the ways to build the train_op


def _as_written(example, loss):
    return example.build_train_op(loss, tf.train.get_or_create_global_step())


def _on_data_loss(example, _):
    return _as_written(example, tf.losses.get_total_loss(add_regularization_losses=False))


def _with_snippet(example, loss):
    train_op = _on_data_loss(example, loss)
    with tf.control_dependencies([train_op]):
        sgd = tf.train.GradientDescentOptimizer(learning_rate=1.0)
        return sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


class _Model:
    """The example's network with one of the train_ops: a graph and its session."""

    def __init__(self, example, seed, weight_decay, use_resource, build_train_op):
        with tf.Graph().as_default() as graph, tf.variable_scope(tf.get_variable_scope(), use_resource=use_resource):
            tf.set_random_seed(seed)
            self._images = tf.placeholder(tf.float32, [None, 8, 8, 1])
            self._labels = tf.placeholder(tf.int64, [None])
            self._is_training = tf.placeholder_with_default(False, [])
            self._keep_prob = tf.placeholder_with_default(0.5, [])
            logits = example.inference(self._images, self._is_training, self._keep_prob, weight_decay)
            loss = example.build_loss(logits, self._labels)
            self._train_op = build_train_op(example, loss)
            self._data_loss = tf.losses.get_total_loss(add_regularization_losses=False)
            self._accuracy = example.build_accuracy(logits, self._labels)
            self._variables = {v.op.name: v for v in tf.global_variables()}
            self._session = tf.Session()
            self._session.run(tf.global_variables_initializer())
        self.has_native_op = any(op.type.startswith("Tf1Wd") for op in graph.get_operations())

    def step(self, images, labels):
        """One step of training; returns the data loss on its batch."""
        feed = {self._images: images, self._labels: labels, self._is_training: True}
        return self._session.run([self._data_loss, self._train_op], feed)[0]

    def step_from(self, state, images, labels):
        """The state after one step from `state` without dropout, which alone is not the same twice."""
        initializers = {name: variable.initializer for name, variable in self._variables.items()}
        values = {op.inputs[1]: state[name] for name, op in initializers.items()}
        self._session.run(list(initializers.values()), values)
        feed = {self._images: images, self._labels: labels, self._is_training: True, self._keep_prob: 1.0}
        self._session.run(self._train_op, feed)
        return self.state()

    def state(self):
        """{name: value} of every variable, those of the optimizer included."""
        return self._session.run(self._variables)

    def accuracy(self, images, labels):
        return float(self._session.run(self._accuracy, {self._images: images, self._labels: labels}))


# --- training and measuring


def _train(models, weights, batches, test, steps, points, on_step):
    """{method: history}; the models take turns, so that a busy machine slows all of them."""
    histories: dict = {name: collections.defaultdict(list) for name in models}
    losses: dict = {name: [] for name in models}
    for step in range(1, steps + 1):
        batch = next(batches)
        for name, model in models.items():
            start = time.perf_counter()
            losses[name].append(model.step(*batch))
            histories[name]["seconds"].append(time.perf_counter() - start)
        if step % max(1, steps // points) == 0 or step == steps:
            for name, model in models.items():
                histories[name]["step"].append(step)
                histories[name]["training_loss"].append(float(np.mean(losses[name])))
                histories[name]["test_accuracy"].append(model.accuracy(*test))
                histories[name]["weight_norm"].append(_norm(model.state(), weights))
                losses[name].clear()
        if on_step is not None:
            on_step()
    return histories


def _norm(state, weights):
    return float(np.sqrt(sum(np.sum(np.square(state[name], dtype=np.float64)) for name in weights)))


def _measure(model, plain, batch, weights, rate):
    """{weight: rule}: one more step of the model against the plain step from the same state."""
    before = model.state()
    after, stepped = model.step_from(before, *batch), plain.step_from(before, *batch)
    return {name: applied_rule(before[name], stepped[name], after[name], rate) for name in weights}
