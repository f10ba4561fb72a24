"""Where a reader of the pages sits: a shell with python, pip and tf1-wd, and a program of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np

import tf1_wd
from support import oracle
from support.pages import ROOT

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(tf1_wd.__file__)))
STEPS, LR, RATE = 1000, 0.001, 0.25
W0 = np.array([[1.0], [-2.0], [3.0]])
X, Y = np.array([[1.0, 0.5, -1.0], [0.0, 1.0, 0.5], [-0.5, 0.0, 1.0]]), np.array([[9.0], [6.0], [-8.0]])
FLAGS = ("--its", "--own", "--flags")
TRAIN = """\
import argparse

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
parser = argparse.ArgumentParser()
for flag in {flags}:
    parser.add_argument(flag, action="store_true", required=True)
parser.parse_args()
x = tf.placeholder(tf.float64, [None, 3])
w = tf.get_variable("w", initializer=np.array({w0}))
y = tf.matmul(x, w)
loss = 0.5 * tf.reduce_sum(tf.square(y - {y})) + {rate} * tf.nn.l2_loss(w)
train_op = tf.train.AdamOptimizer({lr}).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range({steps}):
        session.run(train_op, {{x: {x}}})
    tf.train.Saver().save(session, "train_dir/model.ckpt", global_step={steps})
    tf.saved_model.simple_save(session, "export/1512345678", {{"x": x}}, {{"y": y}})
    np.save("weights.npy", session.run(w))
"""


def write_train(folder, text=TRAIN, name="train.py", flags=FLAGS):
    """Puts train.py there: L2 in the loss under Adam. It takes three flags, leaves a checkpoint and a SavedModel."""
    arrays = dict(w0=W0.tolist(), x=X.tolist(), y=Y.tolist())
    (folder / name).write_text(text.format(flags=flags, rate=RATE, lr=LR, steps=STEPS, **arrays))


def trained(rate, l2=0.0):
    """The weights of train.py in NumPy: `rate` decays them as AdamW does, `l2` is the rate of L2 in the loss."""
    return oracle.train("adam", LR, W0, lambda w: X.T @ (X @ w - Y) + l2 * w, STEPS, "before", rate, scale=LR)


def assert_decayed(folder):
    """train.py, or what became of it, trained there with true decay."""
    np.testing.assert_allclose(np.load(str(folder / "weights.npy")), trained(RATE), rtol=1e-6)
    assert np.abs(trained(RATE) / trained(0.0, l2=RATE) - 1).min() > 0.01


def examples(folder):
    """Puts a copy of legacy_examples there."""
    compiled = shutil.ignore_patterns("__pycache__")  # where files come and go while other tests run the examples
    shutil.copytree(str(ROOT / "legacy_examples"), str(folder / "legacy_examples"), ignore=compiled)


def tools_of(folder):
    """A folder for what a reader has at hand: on PATH, and on Python's path."""
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    return tools


def install(folder):
    """Lets pip know this package there as installed, with its extras."""
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tools_of(folder))]
    subprocess.run(command, cwd=str(ROOT), check=True, stderr=subprocess.DEVNULL)


def shell(text, folder, **variables):
    """Runs text as it stands, by bash, and stops at what fails. Returns the CompletedProcess."""
    tools = tools_of(folder)
    places = [os.path.dirname(sys.executable), str(tools), os.environ["PATH"]]
    if not os.path.exists(os.path.join(places[0], "tf1-wd")):  # the package is not installed
        command = tools / "tf1-wd"
        command.write_text('#!/bin/sh\nexec "%s" -m tf1_wd "$@"\n' % sys.executable)
        command.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment.update(variables, PATH=os.pathsep.join(places), TF_CPP_MIN_LOG_LEVEL="3")
    environment["PYTHONPATH"] = os.pathsep.join([str(tools), PACKAGE])
    return subprocess.run(
        ["bash", "-e", "-c", text], cwd=str(folder), env=environment, capture_output=True, text=True, timeout=900
    )
