"""The slim_digits example trained three ways, and the weight decay that each really applied; returns plain data.

The rule of a method is measured, not asserted: from the state that training left, one more step is taken, and the
example's plain step on the data loss from the same state; NumPy then tells which formula connects the two.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import time

import numpy as np

from tf1_wd._tf import tf
from tf1_wd.errors import InvalidOptionError
from tf1_wd.legacy import install
from tf1_wd.scope import decoupled_weight_decay

COUPLED, SNIPPET, TRUE_DECAY = "L2 in the loss", "pasted snippet", "true decay"
UPDATED, OLD, NEITHER = "decays the updated weights", "decays the old weights", "neither"

_BATCH_SIZE = 64
_EVALUATIONS = 40  # points of a curve
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

    Raises: InvalidOptionError, InvalidRateError; NativeOpError for backend="native"; ImportError without tf-slim.
    """
    if steps < 1:
        raise InvalidOptionError("steps=%r: the demo needs at least one" % steps)
    with install():
        example = load_example("slim_digits")
        train = functools.partial(_train, example, seed, weight_decay, backend)
        histories, rules, plan, op = train(steps, use_resource=False, on_step=on_step)
        _, resource_rules, _, _ = train(min(steps, _RESOURCE_STEPS), use_resource=True)
    return {
        "tensorflow": tf.version.VERSION,
        "steps": steps,
        "seed": seed,
        "weight_decay": weight_decay,
        "test_images": len(example.load_digits()[1][1]),
        "op": op,
        "plan": str(plan),
        "methods": [
            dict(
                name=name,
                test_accuracy=history["test_accuracy"][-1],
                weight_norm=history["weight_norm"][-1],
                milliseconds_per_step=1e3 * float(np.median(seconds)),
                rules=rules[name],
                resource_rules=resource_rules[name],
                curves=history,
            )
            for name, (history, seconds) in histories.items()
        ],
    }


def load_example(name):
    """The module of a script of legacy_examples, which lies in an installed package, or beside it in a checkout."""
    here = os.path.dirname(os.path.abspath(__file__))
    places = (os.path.join(here, "legacy_examples"), os.path.join(os.path.dirname(here), "legacy_examples"))
    path = next(p for p in (os.path.join(place, name + ".py") for place in places) if os.path.exists(p))
    return _load_script(path)


@functools.lru_cache(maxsize=None)
def _load_script(path):  # once: a second time its flags would be defined already
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(path))[0], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def applied_rule(before, stepped, after, rate):
    """Which formula of weight decay took a weight from `before` to `after`.

    before, after: float32 arrays around the step; stepped: what the optimizer alone makes of `before`. rate: per step.
    Returns UPDATED, (1-r) stepped; OLD, stepped - r before; or NEITHER. The formulas must differ by more than rounding.
    """
    before, stepped, after = (np.asarray(w, np.float64) for w in (before, stepped, after))
    rounding = 4 * np.finfo(np.float32).eps * np.maximum(np.abs(before), np.abs(stepped))
    formulas = {UPDATED: (1 - rate) * stepped, OLD: stepped - rate * before}
    fitting = [rule for rule, value in formulas.items() if np.all(np.abs(after - value) <= rounding)]
    return fitting[0] if len(fitting) == 1 else NEITHER


# --- the three ways to build the train_op


def _as_written(example, loss):
    return example.build_train_op(loss, tf.train.get_or_create_global_step())


def _on_data_loss(example, loss):
    return _as_written(example, tf.losses.get_total_loss(add_regularization_losses=False))


def _with_snippet(example, loss):
    train_op = _on_data_loss(example, loss)
    with tf.control_dependencies([train_op]):
        sgd = tf.train.GradientDescentOptimizer(learning_rate=1.0)
        return sgd.minimize(tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


class _Model:
    """The example's network with one of the train_ops: a graph and its session."""

    def __init__(self, example, build_train_op, seed, weight_decay, use_resource):
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
            self.op_types = {op.type for op in graph.get_operations()}
            self._session = tf.Session()
            self._session.run(tf.global_variables_initializer())

    def step(self, images, labels, **more):
        """One step of training; returns the data loss before it."""
        feed = {self._images: images, self._labels: labels, self._is_training: True}
        return self._session.run([self._train_op, self._data_loss], feed)[1]

    def step_without_dropout(self, images, labels):
        feed = {self._images: images, self._labels: labels, self._is_training: True, self._keep_prob: 1.0}
        self._session.run(self._train_op, feed)

    def accuracy(self, images, labels):
        return float(self._session.run(self._accuracy, {self._images: images, self._labels: labels}))

    @property
    def state(self):
        """{name: value} of every variable, those of the optimizer included."""
        return self._session.run(self._variables)

    @state.setter
    def state(self, values):
        initializers = {name: v.initializer for name, v in self._variables.items()}
        self._session.run(
            list(initializers.values()), {op.inputs[1]: values[name] for name, op in initializers.items()}
        )


# --- training and measuring


def _train(example, seed, weight_decay, backend, steps, use_resource, on_step=None):
    """({method: (history, seconds of each step)}, {method: {weight: rule}}, plan, op)."""
    def build(build_train_op):
        return _Model(example, build_train_op, seed, weight_decay, use_resource)

    decayed = decoupled_weight_decay(backend=backend)(_as_written)
    models = {COUPLED: build(_as_written), SNIPPET: build(_with_snippet), TRUE_DECAY: build(decayed)}
    plan = decayed.decay.plan
    weights = [d.name for d in plan.decaying]
    train, test = example.load_digits()
    batches = example.batches(*train, _BATCH_SIZE, seed)
    n=0
    import collections
    hist=collections.defaultdict(lambda: (collections.defaultdict(list), []))
    losses=collections.defaultdict(list)
    every=max(1,steps//_EVALUATIONS)
    for step in range(1,steps+1):
        b=next(batches)
        for name, m in models.items():
            t=time.perf_counter()
            losses[name].append(m.step(*b))
            hist[name][1].append(time.perf_counter()-t)
            if step%every==0 or step==steps:
                h=hist[name][0]
                st=m.state
                h["step"].append(step); h["training_loss"].append(float(np.mean(losses[name][-every:])))
                h["test_accuracy"].append(m.accuracy(*test))
                h["weight_norm"].append(float(np.sqrt(sum(np.sum(np.square(st[w],dtype=np.float64)) for w in weights))))
        if on_step: on_step()
    plain=build(_on_data_loss)
    b=next(batches)
    rules={}
    for name,m in models.items():
        before=m.state
        m.step_without_dropout(*b); after=m.state
        plain.state=before; plain.step_without_dropout(*b); stepped=plain.state
        plain.state=before; plain.step_without_dropout(*b); stepped2=plain.state
        rules[name]={w:applied_rule(before[w],stepped[w],after[w],weight_decay) for w in weights}
        for w in weights:
            B,S,A=[np.float64(x[w]) for x in (before,stepped,after)]
            r=weight_decay
            rd=6e-8*np.maximum(abs(B),abs(S))
            print(name,w,"noise",abs(stepped2[w]-stepped[w]).max(),"step",abs(S-B).max(),"upd",(abs(A-(1-r)*S)/rd).max(),"old",(abs(A-S+r*B)/rd).max(), "upd abs",(abs(A-(1-r)*S)).max(),"old",(abs(A-S+r*B)).max(),"w",abs(B).max())
    return hist, rules, plan, "native" if any(t.startswith("Tf1Wd") for t in models[TRUE_DECAY].op_types) else "tensorflow"
