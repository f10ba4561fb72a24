"""Two processes train together through Horovod's optimizer, or through a stand-in of its structure.

CI runs the stand-in. Where Horovod is installed, the same cases run with it too:

    pip install wheel packaging cffi pyyaml cloudpickle psutil 'cmake<3.28' 'setuptools<70'
    HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \\
        HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 pip install --no-build-isolation horovod==0.28.1
    pytest tests/training/test_horovod.py

It was run so with Horovod 0.28.1 (Gloo, CPU) on TensorFlow 1.15.5 and 2.15.1. On 2.21.0 Horovod does not compile.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from cases import horovod_rank, horovod_stand_in
from cases.horovod_rank import CASES, CURVATURE, LR, RATE, RUNS, W0, schedule, target

import tf1_wd
from support import oracle
from support.programs import run
from tf1_wd import errors

TIMEOUT = 400  # seconds
AMBIGUOUS = [name for name in CASES if name.startswith("no rates")]
ADASUM = [name for name in CASES if name.startswith("Adasum")]
# what only Horovod's own ops tell
TOLD = [name for name in CASES if name.startswith(("loss scale, no rates", "sum"))]
TRAINED = [name for name in CASES if name not in AMBIGUOUS + ADASUM + TOLD]
ACCUMULATED = [name for name in TRAINED if CASES[name].get("passes") == 2]


def run_stand_in(directory):
    """Two processes with a socket between them; returns the exit status of each."""
    processes = []
    for rank, end in enumerate(socket.socketpair()):
        environment = dict(os.environ, STAND_IN_FD=str(end.fileno()), STAND_IN_RANK=str(rank))
        command = [sys.executable, horovod_rank.__file__, "horovod_stand_in", directory]
        with end, open(os.path.join(directory, "log"), "a") as log:
            processes.append(subprocess.Popen(command, env=environment, pass_fds=[end.fileno()], stderr=log))
    try:
        return [process.wait(TIMEOUT) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_horovod(directory):
    launch = [sys.executable, "-m", "horovod.runner.launch", "--gloo", "-np", "2"]
    command = [*launch, sys.executable, horovod_rank.__file__, "horovod.tensorflow", directory]
    # Horovod imports tf.keras, which would need tf-keras
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    with open(os.path.join(directory, "log"), "a") as log:
        return [subprocess.run(command, env=environment, stdout=log, stderr=log, timeout=TIMEOUT).returncode]


LIBRARIES = {"stand-in": run_stand_in}
if importlib.util.find_spec("horovod"):
    LIBRARIES["horovod"] = run_horovod


@pytest.fixture(scope="module", params=LIBRARIES)
def ranks(request, tmp_path_factory):
    """What each of the two processes wrote down of each case."""
    directory = str(tmp_path_factory.mktemp("ranks"))
    status = LIBRARIES[request.param](directory)
    with open(os.path.join(directory, "log")) as log:
        assert set(status) == {0}, log.read()[-4000:]
    found = []
    for rank in (0, 1):
        with open(os.path.join(directory, "%d.json" % rank)) as file:
            found.append(json.load(file))
    return found


def expected(case):
    """The weights after every run, in float64."""
    optimizer, w, pending, after_runs = oracle.Optimizer("adam", LR), W0, [], []
    for t in range(RUNS):
        pending.append(np.mean([CURVATURE * (w - target(rank, t)) for rank in (0, 1)], axis=0))
        if len(pending) == case.get("passes", 1):
            step, pending = optimizer.step(w, sum(pending)), []
            r = RATE * (schedule(t) if case.get("scale") else 1.0)
            w = w - step - r * w if case.get("order") == "before" else (1 - r) * (w - step)
        after_runs.append(w)
    return after_runs


@pytest.mark.parametrize("name", TRAINED)
def test_decays_are_as_many_as_updates(ranks, name):
    assert ranks[0][name].get("error") is None
    np.testing.assert_allclose(ranks[0][name]["weights"], expected(CASES[name]), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_both_processes_hold_the_same_weights_after_every_run(ranks, name):
    np.testing.assert_array_equal(ranks[0][name]["weights"], ranks[1][name]["weights"])


@pytest.mark.parametrize("name", ACCUMULATED)
def test_a_run_that_only_accumulates_counts_a_step_and_moves_no_weight(ranks, name):
    found = ranks[0][name]
    before = np.array([W0.astype(np.float32), *found["weights"]])
    changed = [bool((a != b).any()) for a, b in zip(before[:-1], before[1:])]
    assert changed == [False, True] * (RUNS // 2)
    assert found["steps"] == list(range(1, RUNS + 1))


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_accumulated_gradients_of_a_loss_with_penalties_ask_for_the_net_rate(ranks, name):
    for rank in ranks:
        assert rank[name]["error"].startswith("AmbiguousRateError: the gradient of net/w goes through variables")
        assert "rates=" in rank[name]["error"]


@pytest.mark.parametrize("name", ADASUM)
def test_adasum_is_refused_by_name_with_the_way_out(ranks, name):
    for rank in ranks:
        assert rank[name]["error"].startswith("UnsupportedUpdateError")
        assert "AdasumOptimizer" in rank[name]["error"]
        assert "op=hvd.Average" in rank[name]["error"]


if "horovod" in LIBRARIES:

    @pytest.mark.parametrize("name", ["loss scale, no rates, reference", "loss scale, no rates, resource"])
    @pytest.mark.parametrize("ranks", ["horovod"], indirect=True)
    def test_a_loss_scale_around_an_average_does_not_scale_the_decay(ranks, name):
        np.testing.assert_allclose(ranks[0][name]["weights"], expected(CASES[name]), rtol=1e-5, atol=2e-6)

    @pytest.mark.parametrize("name", ["sum, reference", "sum, resource"])
    @pytest.mark.parametrize("ranks", ["horovod"], indirect=True)
    def test_a_sum_over_processes_asks_for_the_net_rate(ranks, name):
        assert ranks[0][name]["error"].startswith("AmbiguousRateError: gradients of net/w are added up over processes")


def scaled(factor, gate):
    """The plan of an update whose loss is multiplied by `factor` and whose gradient is divided by it behind a gate."""
    w = tf.get_variable("w", initializer=W0)
    with tf1_wd.decoupled_weight_decay() as decay:
        optimizer = tf.train.GradientDescentOptimizer(LR)
        pairs = optimizer.compute_gradients((pulled(w) + RATE * tf.nn.l2_loss(w)) * factor)
        optimizer.apply_gradients([(gate(g) / factor, v) for g, v in pairs])
    return decay.plan


def test_a_loss_scale_around_a_cond_does_not_scale_the_decay(kind):
    plan = scaled(8.0, lambda g: tf.cond(tf.placeholder(tf.bool, []), lambda: tf.identity(g), lambda: 2.0 * g / 2.0))
    assert [d.rate for d in plan.decaying] == [pytest.approx(RATE)]


def test_branches_that_multiply_a_gradient_by_other_numbers_ask_for_the_rate(kind):
    with pytest.raises(errors.AmbiguousRateError, match=r"w is multiplied by other numbers in each branch .* rates="):
        scaled(1.0, lambda g: tf.cond(tf.placeholder(tf.bool, []), lambda: g, lambda: 2.0 * g))


# --- weights that go out of the graph, by whatever name


def pulled(w):
    return 0.5 * tf.reduce_sum(CURVATURE * tf.square(w - 1.0))


@pytest.fixture
def alone(monkeypatch):
    """Both processes are this one."""
    monkeypatch.setattr(horovod_stand_in, "_exchange", lambda combine, arrays: [combine(a, a) for a in arrays])


@pytest.mark.parametrize("form", ["DeltaCombiningOptimizer", "DeltasAroundOptimizer"])
@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("inner", [tf.train.GradientDescentOptimizer, tf.train.AdamOptimizer])
def test_weights_that_are_combined_after_the_update_are_refused(form, order, inner, kind):
    w = tf.get_variable("kernel", initializer=W0)
    wanted = r"%s hands kernel to .* \(PyFunc\) .*op=hvd\.Average" % form
    with pytest.raises(errors.UnsupportedUpdateError, match=wanted):
        with tf1_wd.decoupled_weight_decay(rates=RATE, order=order):
            getattr(horovod_stand_in, form)(inner(LR)).minimize(pulled(w))


@pytest.mark.parametrize("form", ["DeltaCombiningOptimizer", "DeltasAroundOptimizer"])
def test_combined_weights_that_do_not_decay_are_welcome(form, alone, kind):
    w, decaying = tf.get_variable("kernel", initializer=W0), tf.get_variable("decaying", initializer=W0)
    with tf1_wd.decoupled_weight_decay(rates=RATE, exclude="kernel"):
        inner = tf.train.GradientDescentOptimizer(LR)
        first = getattr(horovod_stand_in, form)(inner).minimize(pulled(w), var_list=[w])
        second = tf.train.GradientDescentOptimizer(LR).minimize(pulled(decaying), var_list=[decaying])
    stepped = W0 - LR * CURVATURE * (W0 - 1.0)
    np.testing.assert_allclose(run(first, w), stepped, rtol=1e-9)
    np.testing.assert_allclose(run(second, decaying), (1 - RATE) * stepped, rtol=1e-9)


class AssigningOptimizer(tf.train.Optimizer):
    """Plain descent in an optimizer of its own, which writes whole weights."""

    def __init__(self):
        super().__init__(name="Assigning", use_locking=False)

    def _apply_dense(self, gradient, variable):
        return variable.assign(variable.read_value() - LR * gradient)

    def _resource_apply_dense(self, gradient, variable):
        return variable.assign(variable.read_value() - LR * gradient, read_value=False)


def test_gradients_that_are_combined_before_weights_are_assigned_are_welcome(alone, kind):
    w = tf.get_variable("kernel", initializer=W0)
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = horovod_stand_in.DistributedOptimizer(AssigningOptimizer()).minimize(pulled(w))
    want = (1 - RATE) * (W0 - LR * CURVATURE * (W0 - 1.0))
    np.testing.assert_allclose(run(train_op, w), want, rtol=1e-9)


def test_a_constraint_in_python_is_welcome(kind):
    def clip(v):
        clipped = tf.py_func(lambda value: np.clip(value, -1.0, 1.0), [v], v.dtype.base_dtype)
        return tf.reshape(clipped, W0.shape)

    w = tf.get_variable("kernel", initializer=W0, constraint=clip)
    with tf1_wd.decoupled_weight_decay(rates=RATE):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(pulled(w))
    want = (1 - RATE) * np.clip(W0 - LR * CURVATURE * (W0 - 1.0), -1.0, 1.0)
    np.testing.assert_allclose(run(train_op, w), want, rtol=1e-9)
