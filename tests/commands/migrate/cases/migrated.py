"""Trains what tf1_wd has written of the programs in migration_cases.py, in TensorFlow 2.

Arguments: a folder with NAME.py for each case, and the file to write {case: {variable: weights after each step}} to.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import pathlib
import sys
import traceback

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))

import tensorflow as tf

from support import migration_cases as cases


def loss(name, variables, x):
    return cases.loss_of(name, tf, variables, x)


def train(name, path):
    spec = importlib.util.spec_from_file_location("migrated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = {n: tf.Variable(cases.initial(n), name=n) for n in cases.SHAPES}
    variables = module.pair(made.values())
    losses = [functools.partial(loss, name, part) for part in cases.parts(name, variables)]
    if hasattr(module, "make_train_step"):
        steps = [module.make_train_step(variables, *losses, *cases.asked(name, tf))]
    else:
        makers = [make for name, make in vars(module).items() if name.startswith("make_train_step_")]
        steps = [make(variables, loss) for make, loss in zip(makers, losses)]
    found = []
    for t in range(cases.STEPS):
        for step in steps:
            step(tf.constant(cases.batch(t)))
        found.append({n: variable.numpy().tolist() for n, variable in variables.items()})
    return found


def main(folder, out):
    with open(os.path.join(folder, "cases.json")) as file:
        names = json.load(file)
    results = {}
    for number, name in enumerate(names):
        try:
            results[name] = train(name, os.path.join(folder, "%d.py" % number))
        except Exception:  # the test of that case shows it
            results[name] = traceback.format_exc()
    with open(out, "w") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
