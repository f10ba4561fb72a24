"""Small programs of every kind, untouched, by `tf1-wd run`, in a scope and by `tf1-wd audit`: weights against NumPy.

Each script of scripts/ leaves its weights in `weights`. All decay by w <- w - step - lr r w (convention "adamw").
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Callable

import numpy as np
import pytest

from support import oracle

HERE = os.path.dirname(os.path.abspath(__file__))
SHOW = """
import json as _json
print("WEIGHTS " + _json.dumps({name: value.astype(float).tolist() for name, value in weights.items()}))
"""


@dataclass(frozen=True)
class Case:
    """A script: what `run` makes of its weights, the rates that run and audit tell, and what a scope says of it.

    weights: function that returns {variable: array}. rates: {variable: rate}. scope: None if it trains in a scope as
    under `run`, else the kind of error, which comes before the first step. coupled: whether audit finds that the
    optimizer rescales the L2.
    """

    weights: Callable
    rates: dict
    scope: str | None = None
    coupled: bool = False


def decayed(start, gradient, rate, optimizer=("sgd", 0.1), steps=3, lr=lambda t: 0.1):
    """A weight after some steps. gradient: of the data loss, constant. lr: function of the step, of the decay too."""
    w, own = np.array(start, np.float64), oracle.Optimizer(*optimizer)
    for t in range(steps):
        own.lr = lr(t)
        w = w - own.step(w, np.array(gradient, np.float64)) - lr(t) * rate * w
    return w


ONES, X = np.ones((2, 1)), np.array([[1.0], [2.0]])
KERAS = "UnsupportedUpdateError: "

CASES = {
    "keras_fit": Case(lambda: {"fc/kernel": decayed(ONES, 0 * X, 0.3, ("adam", 0.1))}, {"fc/kernel": 0.3}, KERAS, True),
    "keras_2": Case(lambda: {"fc/kernel": decayed(ONES, 0 * X, 0.3, ("adam", 0.1))}, {"fc/kernel": 0.3}, KERAS, True),
    "keras_tf_train": Case(
        lambda: {"fc/kernel": decayed(ONES, 0 * X, 0.3, ("adam", 0.1))}, {"fc/kernel": 0.3}, coupled=True
    ),
    "keras_function": Case(lambda: {"fc/kernel": decayed(ONES, X, 0.3, ("momentum", 0.1))}, {"fc/kernel": 0.3}, KERAS),
    "keras_add_loss_in_call": Case(
        lambda: {"fc/kernel": decayed(ONES, X, 0.3, lr=lambda t: 0.1 * 0.5**t)}, {"fc/kernel": 0.3}, KERAS
    ),
    "callable": Case(lambda: {"fc/kernel": decayed(ONES, X, 0.3, ("momentum", 0.1))}, {"fc/kernel": 0.3}),
}
NAMES = sorted(CASES)


@functools.lru_cache(None)
def done(name, *command):
    """What a command makes of a script: (CompletedProcess, path of the report of `run`)."""
    folder = os.path.join(os.environ["PYTEST_PROGRAMS"], name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(HERE, "scripts", name + ".py")) as file, open(os.path.join(folder, name + ".py"), "w") as to:
        to.write(file.read() + SHOW)
    words = [folder + "/report.json" if word == "REPORT" else word for word in command]
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, timeout=400)
    return subprocess.run([sys.executable, *words, name + ".py"], **options), folder + "/report.json"


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    os.environ["PYTEST_PROGRAMS"] = str(tmp_path_factory.mktemp("programs"))


def weights_of(process):
    shown = [line for line in process.stdout.splitlines() if line.startswith("WEIGHTS ")]
    assert shown, process.stderr
    return json.loads(shown[-1][len("WEIGHTS ") :])


def assert_weights(process, case):
    found, wanted = weights_of(process), case.weights()
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=2e-6, err_msg=name)


def by_run(name):
    return done(name, "-m", "tf1_wd", "run", "--report", "REPORT")


@pytest.mark.parametrize("name", NAMES)
def test_run_decays_it_at_its_own_rates(name):
    process, _ = by_run(name)
    assert process.returncode == 0, process.stderr
    assert_weights(process, CASES[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_report_of_run_tells_the_rates(name):
    with open(by_run(name)[1]) as file:
        report = json.load(file)
    assert (report["outcome"], report["finished"]) == ("decoupled", True)
    rates = {v["name"]: v["rate"] for v in report["graphs"][0]["variables"] if v["rate"] is not None}
    assert rates == pytest.approx(CASES[name].rates, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_scope_decays_it_alike_or_refuses_before_the_first_step(name):
    process, _ = done(name, os.path.join(HERE, "execute.py"))
    if CASES[name].scope is None:
        assert_weights(process, CASES[name])
    else:
        assert process.returncode == 1
        assert CASES[name].scope in process.stderr
        assert "WEIGHTS" not in process.stdout


@pytest.mark.parametrize("name", NAMES)
def test_audit_tells_the_rates_and_stops_before_the_first_step(name):
    process, _ = done(name, "-m", "tf1_wd", "audit", "--json")
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    rates = {v["name"]: v["rate"] for v in found["variables"] if v["rate"] is not None}
    assert rates == pytest.approx(CASES[name].rates, rel=1e-6)
    assert ("coupled" in [finding["code"] for finding in found["findings"]]) == CASES[name].coupled
    assert "WEIGHTS" not in process.stdout
