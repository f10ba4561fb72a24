"""Small programs of every kind, untouched, by `tf1-wd run`, in a scope and by `tf1-wd audit`: weights against NumPy.

Each script of scripts/ leaves its weights in `weights`. All decay by w <- w - step - lr r w (convention "adamw").
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
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

    weights: function that returns {variable: array}. rates: {variable: rate}, a list where it has several. scope: None
    if it trains in a scope as under `run`, else the kind of error, which comes before the first step. findings: codes
    of what audit finds. terms: {name of a term, without the number that TensorFlow appends: code of its Fate}.
    options: of the scope, and so of `run`. audited: the rates that audit tells, where they are others. script: its
    name, if it is not that of the case.
    """

    weights: Callable
    rates: dict
    scope: str | None = None
    findings: tuple = ()
    terms: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    audited: dict | None = None
    script: str = ""


def decayed(start, gradient, rate=0.0, optimizer=("sgd", 0.1), steps=3, lr=lambda t: 0.1, pull=None, extra=None):
    """A weight after some steps. gradient: of the data loss, constant.

    lr: function of the step, of the decay too. pull: function of the step and the weight: the gradient of L2 that is
    no multiple of it. extra: function of the weight: the gradient of what stays in the loss.
    """
    w, own = np.array(start, np.float64), oracle.Optimizer(*optimizer)
    for t in range(steps):
        own.lr = lr(t)
        given = np.array(gradient, np.float64) + (0.0 if extra is None else extra(w))
        w = w - own.step(w, given) - lr(t) * (rate * w + (0.0 if pull is None else pull(t, w)))
    return w


ONES, X = np.ones((2, 1)), np.array([[1.0], [2.0]])
KERAS = "UnsupportedUpdateError: "
ADAM, MOMENTUM = ("adam", 0.1), ("momentum", 0.1)


def by_adam(gradient, **more):
    return decayed([[1.0], [-2.0]], gradient, optimizer=ADAM, **more)


def other_words():
    start, x, quarter = [[1.0], [-2.0], [4.0]], [[1.0], [2.0], [3.0]], 0.25
    old = np.array([[3.0], [0.0], [2.0]])
    shares = dict.fromkeys(["reshape", "tensordot", "einsum", "trace", "left", "right"], 2.0)
    shares.update(minus=1.0, prior=0.25, mask=[[1.0], [0.0], [1.0]], slice=[[0.0], [1.0], [1.0]])
    shares.update(gather=[[1.0], [0.0], [2.0]])
    found = {name: decayed(start, x, quarter * np.array(share), ADAM) for name, share in shares.items()}
    return {**found, "anchor": decayed(start, x, optimizer=ADAM, pull=lambda t, w: quarter * (w - old))}


def looked_up_rows():
    users, wanted, other, size = [0, 2, 0, 1], [1, 1, 2, 3], [0, 2, 0, 0], 4
    p = np.array([[1.0, -1.0], [2.0, 0.5], [-1.5, 1.0], [0.5, 3.0]])
    q, bias = 2.0 * p, np.array([1.0, -2.0])
    for _ in range(3):
        of_p, of_q = np.zeros_like(p), np.zeros_like(q)
        for u, i, j in zip(users, wanted, other):
            of_p[u] += (q[i] - q[j] + 0.4 * p[u]) / size
            of_q[i] += (p[u] + 0.4 * q[i]) / size
            of_q[j] += (-p[u] + 0.4 * q[j]) / size
        p, q, bias = p - 0.1 * of_p, q - 0.1 * of_q, bias - 0.1 * (1.0 + 0.2 * bias)
    return {"users/rows": p, "items/rows": q, "bias": bias}


def elastic_net(others):
    terms = {
        "dense": lambda w: 0.5 * np.sign(w),
        "sparse": lambda w: 0.25 * np.sign(w) + 0.3 * w,
        "gate": lambda w: 0.2 * w / np.linalg.norm(w),
    }
    rates = {"dense": 0.3, "sparse": 0.0, "gate": 0.0}
    if others == "decouple":
        return {name: by_adam(X, rate=rates[name], pull=lambda t, w, f=f: f(w)) for name, f in terms.items()}
    return {name: by_adam(X, rate=rates[name], extra=f) for name, f in terms.items()}


def two_updates():
    found = {"features": decayed([[1.0], [-2.0]], X, pull=lambda t, w: (0.6, 0.2)[t % 2] * w)}
    for name, steps, rate in (("actor", 2, 0.3), ("critic", 1, 0.1)):
        start = [[1.0], [-2.0]]
        found[name + "/w"] = decayed(start, X, steps=steps, extra=lambda w: 0.25 * np.sign(w))
        found[name + "/b"] = decayed([2.0], [1.0], rate, steps=steps)
    return found


def towers():
    start, halves = np.array([[1.0], [-2.0]]), (np.array([[2.0], [2.0]]), np.zeros((2, 1)))
    return {"net/w": decayed(start, sum(halves) / 2, 0.3, MOMENTUM), "logged": halves[0]}  # which lacks the L2


def old_numpy():
    x = np.array([[4.0], [6.0]])
    return {"w": decayed(ONES, x, 0.3, MOMENTUM), "u": decayed([4.0], [1.0], 0.3, MOMENTUM)}


def layers_in_a_session():
    return {"added/kernel": decayed(ONES, X, 0.3, ADAM), "forgotten/kernel": decayed(ONES, X, 0.0, ADAM)}


FC, OF_FC = {"fc/kernel": 0.3}, lambda *args, **more: lambda: {"fc/kernel": decayed(ONES, *args, **more)}
OTHERS = {"l1": "stays", "elastic_net": "stays", "group/Sqrt": "stays"}

CASES = {
    "keras_fit": Case(OF_FC(0 * X, 0.3, ADAM), FC, KERAS, ("coupled",)),
    "keras_2": Case(OF_FC(0 * X, 0.3, ADAM), FC, KERAS, ("coupled",)),
    "keras_tf_train": Case(OF_FC(0 * X, 0.3, ADAM), FC, findings=("coupled",)),
    "keras_function": Case(OF_FC(X, 0.3, MOMENTUM), FC, KERAS),
    "keras_add_loss_in_call": Case(OF_FC(X, 0.3, lr=lambda t: 0.1 * 0.5**t), FC, KERAS),
    "callable": Case(OF_FC(X, 0.3, MOMENTUM), FC),
    "other_words": Case(
        other_words,
        dict(
            dict.fromkeys(["reshape", "tensordot", "einsum", "trace", "left", "right"], 0.5), minus=0.25, prior=0.0625
        ),
        findings=("coupled",),
        terms={"of_mask": "own_l2", "of_slice": "own_l2", "of_rows": "own_l2", "distance": "towards"},
    ),
    "looked_up_rows": Case(
        looked_up_rows,
        {"bias": 0.2},
        findings=("bias-decayed",),
        terms=dict.fromkeys(["L2Loss (rows of users/rows)", "L2Loss (rows of items/rows)"], "own_rows"),
    ),
    "elastic_net": Case(lambda: elastic_net("couple"), {"dense": 0.3}, findings=("coupled",), terms=OTHERS),
    "elastic_net_decoupled": Case(
        lambda: elastic_net("decouple"),
        {"dense": 0.3},
        findings=("coupled",),
        terms=dict.fromkeys(OTHERS, "decoupled"),
        options={"others": "decouple"},
        script="elastic_net",
    ),
    "fed_coefficients": Case(
        lambda: {"w": by_adam(X, pull=lambda t, w: (0.3, 0.5, 0.1)[t] * w)},
        {"w": "run time"},
        findings=("coupled", "double-counted"),
    ),
    "two_updates": Case(
        two_updates,
        {"features": [0.6, 0.2], "actor/b": 0.3, "critic/b": 0.1},
        findings=("bias-decayed",),
        terms={"%s/w/Regularizer/Sum" % name: "stays" for name in ("actor", "critic")},
        audited={"features": "unknown", "actor/b": 0.3, "critic/b": 0.1},
    ),
    "a3c": Case(
        lambda: {"global/policy/w": by_adam(X, rate=0.3)},
        {"global/policy/w": 0.3},
        findings=("ambiguous", "coupled"),
        options={"rates": {"global": 0.3}},
        audited={"global/policy/w": "unknown"},
    ),
    "sweep": Case(
        lambda: {"w of %s" % rate: by_adam(X, rate=rate) for rate in (0.3, 0.0, 0.1)},
        {"w": [0.3, 0.1]},
        findings=("coupled",),
        audited={"w": 0.3},
    ),
    "towers": Case(towers, {"net/w": 0.3}),
    "layers_in_a_session": Case(
        layers_in_a_session,
        {"added/kernel": 0.3},
        findings=("coupled", "inert"),
        audited={"added/kernel": 0.3, "forgotten/kernel": 0.3},
    ),
    "old_numpy": Case(old_numpy, {"w": 0.3, "u": 0.3}, findings=("bias-decayed",)),
}
NAMES = sorted(CASES)


@functools.lru_cache(None)
def done(name, *command):
    """What a command makes of a script: (CompletedProcess, path of the report of `run`)."""
    folder = os.path.join(os.environ["PYTEST_PROGRAMS"], name)
    os.makedirs(folder, exist_ok=True)
    script = os.path.join(HERE, "scripts", (CASES[name].script or name) + ".py")
    with open(script) as file, open(os.path.join(folder, name + ".py"), "w") as to:
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
    options = CASES[name].options
    words = [
        word for pattern, rate in options.get("rates", {}).items() for word in ("--rate", "%s=%g" % (pattern, rate))
    ]
    words += ["--others", options["others"]] if "others" in options else []
    return done(name, "-m", "tf1_wd", "run", "--report", "REPORT", *words)


def rates_in(graphs):
    """{variable: its rate, or a list of those in several updates or graphs} of reports of run."""
    found = {}
    for v in [v for g in graphs for v in g["variables"] if v["rate"] is not None]:
        found.setdefault(v["name"], []).extend([v["rate"], *(rate for rate, _ in v["others"])])
    return {name: rates if len(rates) > 1 else rates[0] for name, rates in found.items()}


def assert_rates(found, wanted):
    assert set(found) == set(wanted)
    for name, rates in wanted.items():
        assert found[name] == (rates if isinstance(rates, str) else pytest.approx(rates, rel=1e-6)), name


@pytest.mark.parametrize("name", NAMES)
def test_run_decays_it_at_its_own_rates(name):
    process, _ = by_run(name)
    assert process.returncode == 0, process.stderr
    assert_weights(process, CASES[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_report_of_run_tells_the_rates_and_the_other_terms(name):
    with open(by_run(name)[1]) as file:
        report = json.load(file)
    assert (report["outcome"], report["finished"]) == ("decoupled", True)
    assert_rates(rates_in(report["graphs"]), CASES[name].rates)
    fates = [fate for g in report["graphs"] for fate in g["fates"].items()]
    assert {re.sub(r"_\d+\b", "", term): code for term, code in fates} == CASES[name].terms


@pytest.mark.parametrize("name", NAMES)
def test_a_scope_decays_it_alike_or_refuses_before_the_first_step(name):
    process, _ = done(name, os.path.join(HERE, "execute.py"), json.dumps(CASES[name].options))
    if CASES[name].scope is None:
        assert_weights(process, CASES[name])
    else:
        assert process.returncode == 1
        assert CASES[name].scope in process.stderr
        assert "WEIGHTS" not in process.stdout


@pytest.mark.parametrize("name", NAMES)
def test_audit_tells_rates_and_findings_and_stops_before_the_first_step(name):
    process, _ = done(name, "-m", "tf1_wd", "audit", "--json")
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    rates = {v["name"]: v["rate"] for v in found["variables"] if v["rate"] is not None}
    assert_rates(rates, CASES[name].rates if CASES[name].audited is None else CASES[name].audited)
    assert sorted({finding["code"] for finding in found["findings"]}) == sorted(CASES[name].findings)
    assert "WEIGHTS" not in process.stdout
