"""A run that is killed, and resumed from its last checkpoint, ends where an uninterrupted run ends, bit for bit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from cases import restart_train
from cases.restart_train import LAST_STEP, LR, MODELS, RATE, RULES, SAVE_STEPS, W0, batch, name_of, schedule

from support import oracle

TIMEOUT = 240  # seconds that a process may take
models = pytest.mark.parametrize(("kind", "backend", "rule"), MODELS)


@contextlib.contextmanager
def training(directory, *arguments):
    """A process that trains: (process, the steps that it reports, one by one)."""
    directory.mkdir(exist_ok=True)
    command = [sys.executable, restart_train.__file__, str(directory), *map(str, arguments)]
    with open(str(directory) + ".log", "a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    try:
        yield process, (int(line.split()[1]) for line in process.stdout if line.startswith("step "))
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def killed(directory, draw, at_least):
    """The step at which a process was seen when it was killed, in the middle of whatever it was doing."""
    most = LAST_STEP * 2 // 5  # so that two of them do not come to the end
    with training(directory, most) as (process, steps):
        chosen = draw.randint(at_least, most)
        seen = [step for step, _ in zip(steps, range(chosen))]
        time.sleep(draw.uniform(0.0, 0.03))
        process.send_signal(signal.SIGKILL)
        assert process.wait(TIMEOUT) == -signal.SIGKILL, log_of(directory)
    assert len(seen) == chosen, log_of(directory)
    return seen[-1]


def log_of(directory):
    with open(str(directory) + ".log") as file:
        return file.read()[-4000:]


def variables(directory):
    """{name: value} of what the last step's checkpoint holds."""
    reader = tf.train.load_checkpoint(os.path.join(str(directory), "model.ckpt-%d" % LAST_STEP))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(variables of an uninterrupted run, of a run that was killed twice, what happened to it)."""
    whole, broken = (tmp_path_factory.mktemp("restart") / name for name in ("whole", "broken"))
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    draw, kills, resumed = random.Random(seed), [], []
    with training(whole) as (uninterrupted, steps):
        for at_least in (SAVE_STEPS + 1, 1):  # the first only when there is a checkpoint to resume from
            kills.append(killed(broken, draw, at_least))
            resumed.append(int(tf.train.latest_checkpoint(str(broken)).split("-")[-1]))
        with training(broken) as (process, later):
            began = next(later) - 1
            assert list(later)[-1] == LAST_STEP
            assert process.wait(TIMEOUT) == 0, log_of(broken)
        assert list(steps) == list(range(1, LAST_STEP + 1)), log_of(whole)
        assert uninterrupted.wait(TIMEOUT) == 0, log_of(whole)
    story = "seed %d: killed at steps %s, with last checkpoints %s; went on from %d" % (seed, kills, resumed, began)
    assert began == resumed[-1], story
    return variables(whole), variables(broken), story


@models
def test_a_killed_run_ends_bit_identical_to_an_uninterrupted_one(runs, kind, backend, rule):
    whole, broken, story = runs
    prefix = name_of(kind, backend, rule) + "/"
    names = [name for name in whole if name.startswith(prefix)]
    assert len(names) == 5, names  # the weights, two slots, two powers
    different = [name for name in names if whole[name].tobytes() != broken[name].tobytes()]
    assert different == [], story


def test_nothing_else_is_in_the_checkpoints_but_the_same_global_step(runs):
    whole, broken, story = runs
    assert set(whole) == set(broken), story
    assert len(whole) == 5 * len(MODELS) + 1
    assert whole["global_step"] == broken["global_step"] == LAST_STEP


@models
def test_a_killed_run_has_as_many_decays_as_steps(runs, kind, backend, rule):
    optimizer, w, (order, scheduled) = oracle.Optimizer("adam", LR), W0, RULES[rule]
    for t in range(LAST_STEP):
        x, y = (part.astype(np.float64) for part in batch(t))
        step = optimizer.step(w, 2.0 * x.T.dot(x.dot(w) - y) / y.size)
        r = RATE * (schedule(t) if scheduled else 1.0)
        w = (1 - r) * (w - step) if order == "after" else w - step - r * w
    np.testing.assert_allclose(runs[1][name_of(kind, backend, rule) + "/w"], w, rtol=2e-5, atol=2e-6, err_msg=runs[2])
