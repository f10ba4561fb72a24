"""The programs of migration_cases.py in TensorFlow 1: how each is built, what it trains to, and what is read of it."""

from __future__ import annotations

import os

import tensorflow.compat.v1 as tf

import tf1_wd
from support import migration_cases as cases
from support.migration_cases import LR, STEPS, fades, halves
from support.watching import regularization
from tf1_wd.commands.audit.from_graph import structural_facts
from tf1_wd.commands.migrate.from_plan import from_plan
from tf1_wd.commands.migrate.program import MigrationListener, migrate_file
from tf1_wd.commands.migrate.reading.reader import from_facts
from tf1_wd.decay.scope import hooks
from tf1_wd.graph.walk import predecessors
from tf1_wd.plan.options import make_rules

# the rates leave 0.05 of a weight and more in every step, whatever multiplies them
RATE = 0.5
SMALL = 0.1


def kernels(v):
    return [v["a/kernel"], v["b/kernel"]]


def l2(v, rate=RATE):
    return rate * tf.add_n([tf.nn.l2_loss(w) for w in kernels(v)])


def two_rates(v):
    return 0.25 * tf.nn.l2_loss(v["a/kernel"]) + 1.0 * tf.reduce_sum(tf.square(v["b/kernel"]))


def step_number():
    return tf.train.get_or_create_global_step()


def other_words(v):
    return 0.25 * tf.norm(v["a/kernel"]) ** 2 + RATE * tf.nn.l2_loss(-v["b/kernel"])


def minimize(optimizer, penalty=l2):
    return lambda loss, v: [optimizer().minimize(loss + penalty(v), step_number())]


def changed(change):
    """Adam on gradients that are changed before they are applied."""

    def build(loss, v, rate=RATE):
        optimizer = tf.train.AdamOptimizer(LR)
        gradients, variables = zip(*optimizer.compute_gradients(loss + l2(v, rate) if rate else loss))
        return [optimizer.apply_gradients(zip(change(gradients), variables))]

    return build


def schedule():
    return halves(tf)(step_number())


def snippet(loss, v):
    train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    for w in kernels(v):
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, SMALL * tf.nn.l2_loss(w))
    with tf.control_dependencies([train_op]):
        return [tf.train.GradientDescentOptimizer(1.0).minimize(regularization())]


def two_optimizers(loss, v):
    gradients = tf.gradients(loss + two_rates(v), list(v.values()))
    pairs = dict(zip(v, zip(gradients, v.values())))
    first = tf.train.AdamOptimizer(LR).apply_gradients([pairs["a/kernel"], pairs["a/bias"]])
    second = tf.train.MomentumOptimizer(LR, 0.5).apply_gradients([pairs["b/kernel"]])
    return [tf.group(first, second)]


def two_optimizers_in_one_run(losses, v):
    loss = losses[0] + l2(v)
    first = tf.train.AdamOptimizer(LR).minimize(loss, var_list=[v["a/kernel"], v["a/bias"]])
    second = tf.train.MomentumOptimizer(LR, 0.5).minimize(loss, var_list=[v["b/kernel"]])
    return [tf.group(first, second)]


def two_losses(losses, v):
    first = {n: w for n, w in v.items() if n.startswith("a/")}
    penalty = RATE * tf.nn.l2_loss(v["a/kernel"])
    one = tf.train.AdamOptimizer(LR).minimize(losses[0] + penalty, var_list=list(first.values()))
    two = tf.train.RMSPropOptimizer(LR).minimize(losses[1], var_list=[v["b/kernel"]])
    return [one, two]


def extended(optimizer, **options):
    return lambda loss, v: [optimizer().minimize(loss, step_number(), decay_var_list=kernels(v), **options)]


AS_IT_IS = {
    "sgd, one rate": minimize(lambda: tf.train.GradientDescentOptimizer(LR)),
    "sgd, two rates": minimize(lambda: tf.train.GradientDescentOptimizer(LR), two_rates),
    "momentum": minimize(lambda: tf.train.MomentumOptimizer(LR, 0.75)),
    "nesterov": minimize(lambda: tf.train.MomentumOptimizer(LR, 0.75, use_nesterov=True)),
    "momentum, a schedule": minimize(lambda: tf.train.MomentumOptimizer(schedule(), 0.75)),
    "adam": minimize(lambda: tf.train.AdamOptimizer(LR, 0.8, 0.95, 1e-3)),
    "adam, L2 in other words": minimize(lambda: tf.train.AdamOptimizer(LR), other_words),
    "adam, a schedule": minimize(lambda: tf.train.AdamOptimizer(schedule())),
    "rmsprop": minimize(lambda: tf.train.RMSPropOptimizer(LR)),
    "rmsprop, centered with momentum": minimize(lambda: tf.train.RMSPropOptimizer(LR, 0.8, 0.5, 1e-3, centered=True)),
    "adagrad": minimize(lambda: tf.train.AdagradOptimizer(LR, 0.25)),
    "adadelta": minimize(lambda: tf.train.AdadeltaOptimizer(10.0, 0.9, 1e-3)),
    "ftrl": minimize(lambda: tf.train.FtrlOptimizer(LR, l1_regularization_strength=0.01)),
    "adam, a table": minimize(lambda: tf.train.AdamOptimizer(LR), lambda v: RATE * tf.nn.l2_loss(v["a/kernel"])),
    "adagrad, a table": minimize(lambda: tf.train.AdagradOptimizer(LR), lambda v: RATE * tf.nn.l2_loss(v["a/kernel"])),
    "no decay": lambda loss, v: [tf.train.AdamOptimizer(LR).minimize(loss)],
    "clipped by the global norm": changed(lambda gradients: tf.clip_by_global_norm(gradients, 0.5)[0]),
    "clipped by each norm": changed(lambda gradients: [tf.clip_by_norm(g, 0.25) for g in gradients]),
    "clipped by value": changed(lambda gradients: [tf.clip_by_value(g, -0.25, 0.125) for g in gradients]),
    "a gradient times two": changed(lambda gradients: [2.0 * g for g in gradients]),
    "the pasted snippet": snippet,
    "two optimizers": two_optimizers,
    "two losses in turn": two_losses,
    "two optimizers in one run": two_optimizers_in_one_run,
    "a weighted loss": lambda loss, v: [adam().minimize(loss + l2(v), grad_loss=tf.constant(3.0))],
    "a table, clipped": changed(lambda gradients: tf.clip_by_global_norm(gradients, 0.1)[0]),
    "a learning rate in a variable": minimize(
        lambda: tf.train.AdamOptimizer(tf.get_variable("rate", initializer=LR, trainable=False))
    ),
    "contrib AdamW": extended(lambda: tf1_wd.AdamWOptimizer(SMALL, LR)),
    "contrib AdamW, a schedule": extended(lambda: tf1_wd.AdamWOptimizer(SMALL, schedule())),
    "contrib MomentumW": extended(lambda: tf1_wd.MomentumWOptimizer(SMALL, LR, 0.75)),
}


def scoped(optimizer, penalty=None, coupled=False, **options):
    def build(loss, v):
        make = tf1_wd.coupled_weight_decay if coupled else tf1_wd.decoupled_weight_decay
        options.setdefault("exclude", "bias")
        with make(**options) as scope:
            train_op = optimizer().minimize(loss + penalty(v) if penalty else loss, step_number())
        return [train_op], scope

    return build


def clipped_in_a_scope(loss, v):
    with tf1_wd.coupled_weight_decay(rates=RATE, exclude="bias") as scope:
        return changed(lambda gradients: tf.clip_by_global_norm(gradients, 0.5)[0])(loss, v, 0.0), scope


def adam():
    return tf.train.AdamOptimizer(LR)


IN_A_SCOPE = {
    "the default": scoped(adam, rates=SMALL),
    "adamw": scoped(adam, l2, convention="adamw", exclude=None),
    "adamw, a schedule": scoped(lambda: tf.train.AdamOptimizer(schedule()), rates=0.9, convention="adamw"),
    "contrib": scoped(adam, rates=SMALL, convention="contrib"),
    "contrib, two rates": scoped(adam, rates={"a/": 0.05, "b/": 0.2}, convention="contrib"),
    "a scale that is a number": scoped(adam, rates=0.25, scale=0.5),
    "a scale that fades": scoped(adam, rates=0.5, convention="paper", scale=fades(tf)),
    "after the step, a scale that fades": scoped(adam, rates=0.5, scale=fades(tf)),
    "after the step, times the learning rate": scoped(adam, rates=0.9, scale="learning_rate"),
    "after the step, times a scheduled learning rate": scoped(
        lambda: tf.train.AdamOptimizer(schedule()), rates=0.9, scale="learning_rate"
    ),
    "momentum decoupled": scoped(lambda: tf.train.MomentumOptimizer(LR, 0.75), l2, convention="adamw", exclude=None),
    "momentum decoupled, a schedule": scoped(
        lambda: tf.train.MomentumOptimizer(schedule(), 0.75), rates=0.9, convention="adamw"
    ),
    "ftrl, before the step": scoped(lambda: tf.train.FtrlOptimizer(LR), rates=SMALL, convention="contrib"),
    "adamw, a table": scoped(adam, rates=0.9, convention="adamw"),
    "coupled": scoped(adam, coupled=True, rates=RATE),
    "coupled, behind a clip": clipped_in_a_scope,
    "coupled, a scale that fades": scoped(adam, coupled=True, rates=RATE, scale=fades(tf)),
}


class Built:
    """A program in a graph of its own: its train_ops, the feed of its loss, its variables."""

    def __init__(self, name, use_resource=True):
        self.graph = tf.Graph()
        with self.graph.as_default(), tf.variable_scope("", use_resource=use_resource):
            self.x = tf.placeholder(tf.float32, [])
            self.variables = {n: tf.get_variable(n, initializer=cases.initial(n)) for n in cases.SHAPES}
            self.losses = [cases.loss_of(name, tf, part, self.x) for part in cases.parts(name, self.variables)]
        self.loss = self.losses if len(self.losses) > 1 else self.losses[0]

    def weights(self, train_ops):
        """The weights after each step."""
        found = []
        with self.graph.as_default(), tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for t in range(STEPS):
                for train_op in train_ops:
                    session.run(train_op, {self.x: cases.batch(t)})
                found.append(session.run(self.variables))
        return found


def watched(build, built, rules=None):
    """(train_ops, Migration) of a program, as migrate_program finds it."""
    listener = MigrationListener(rules)
    hooks.listen(listener)
    try:
        with built.graph.as_default():
            train_ops = build(built.loss, built.variables)
    finally:
        hooks.forget()
    facts, results = listener.facts(built.graph), listener.results(built.graph)
    run = list(predecessors([getattr(op, "op", op) for op in train_ops[:1]]))
    return train_ops, from_facts("program", facts, results, listener.checked(built.graph), run=run)


def as_it_is(name):
    built = Built(name, use_resource=name != "the pasted snippet")  # which is another rule on these
    train_ops, found = watched(AS_IT_IS[name], built)
    return built.weights(train_ops), found


def in_a_scope(name):
    built = Built(name)
    with built.graph.as_default():
        train_ops, scope = IN_A_SCOPE[name](built.loss, built.variables)
        run = list(predecessors([getattr(op, "op", op) for op in train_ops[:1]]))
        found = from_facts("program", structural_facts(built.graph), scope._listener.gradient_keys, [scope], run=run)
    return built.weights(train_ops), found


def decoupled(name):
    built = Built(name)
    train_ops, found = watched(AS_IT_IS["adam"], built, make_rules(convention="adamw"))
    return built.weights(train_ops), found


def from_a_file(name):
    built = Built(name)
    with built.graph.as_default():
        train_ops = AS_IT_IS[name.split("file: ")[1]](built.loss, built.variables)
        path = os.path.join(os.environ["PYTEST_MIGRATION"], "graph.meta")
        tf.train.export_meta_graph(path)
    return built.weights(train_ops), migrate_file(path)


def from_a_plan(name):
    built = Built(name)
    with built.graph.as_default():
        train_ops, scope = IN_A_SCOPE[name.split("plan: ")[1]](built.loss, built.variables)
    return built.weights(train_ops), from_plan(scope.plan, "adam", LR)


def other_form(name):
    form, base = name.split(": ")
    weights, found = CASES[base](base)
    return weights, found, form


CASES = {
    **{name: as_it_is for name in AS_IT_IS},
    **{name: in_a_scope for name in IN_A_SCOPE},
    "L2 decoupled by rules": decoupled,
    "file: adam": from_a_file,
    "file: adam, L2 in other words": from_a_file,
    "file: sgd, one rate": from_a_file,
    "file: clipped by the global norm": from_a_file,
    "plan: adamw": from_a_plan,
    "plan: adamw, a table": from_a_plan,
    "file: adam, a table": from_a_file,
    "plan: contrib, two rates": from_a_plan,
    "tape: sgd, one rate": other_form,
    "tape: adamw": other_form,
    "tape: contrib AdamW": other_form,
    "keras: adamw": other_form,
    "keras: momentum decoupled": other_form,
}
# what Keras can say nearly only
NEARLY = {"keras: the default": other_form, "keras: momentum decoupled, a schedule": other_form}
