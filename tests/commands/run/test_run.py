"""The command tf1-wd run: exit codes, what goes to stdout and to stderr, reports, starting anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from support import oracle
from support.paths import ROOT
from support.programs import LR, RATE, W0, assert_close, gradient
from tf1_wd.commands.run.execute import Program

SCRIPT = """\
import argparse, sys
import numpy as np
import tensorflow.compat.v1 as tf
from helper import load

tf.disable_v2_behavior()
parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--own-decay", action="store_true")
parser.add_argument("--fail", action="store_true")
args = parser.parse_args()
print("started", flush=True)
curvature, target = load()
w = tf.get_variable("w", initializer=np.array({w0}))
v = tf.get_variable("v", initializer=np.array({w0}))
data = sum(0.5 * tf.reduce_sum(curvature * tf.square(x - target)) for x in (w, v))
loss = data + {rate} * tf.nn.l2_loss(w)
train_op = tf.train.AdamOptimizer({lr}).minimize(loss)
if args.own_decay:
    with tf.control_dependencies([train_op]):
        train_op = tf.assign_sub(w, 0.1 * w)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(args.steps):
        session.run(train_op)
    if args.fail:
        session.run(tf.Assert(False, ["too bad"]))
    np.save("weights.npy", session.run([w, v]))
sys.exit(7)
"""


@pytest.fixture
def script(tmp_path):
    """A script in a folder of its own, with a module beside it."""
    (tmp_path / "train.py").write_text(SCRIPT.format(w0=W0.tolist(), rate=RATE, lr=LR))
    (tmp_path / "helper.py").write_text(
        "def load():\n    from support.programs import CURVATURE, TARGET\n    return CURVATURE, TARGET\n"
    )
    return tmp_path


def command(*words, cwd):
    """(stdout, what tf1-wd wrote to stderr, all of stderr, exit code)"""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    done = subprocess.run(
        [sys.executable, *words], cwd=str(cwd), env=environment, capture_output=True, text=True, timeout=300
    )
    ours = [line for line in done.stderr.splitlines() if line.startswith(("tf1-wd run:", "  "))]
    return done.stdout, "\n".join(ours), done.stderr, done.returncode


def test_a_script_trains_with_true_decay_and_ends_as_it_does(script):
    report = str(script / "report.json")
    words = ["-m", "tf1_wd", "run", "--report", report, "train.py", "--steps", "4"]
    stdout, said, stderr, code = command(*words, cwd=script)
    assert (stdout, code) == ("started\n", 7), stderr
    assert said.splitlines() == [
        "tf1-wd run: 1 of 2 variables decay, 6 of 12 weights: w <- w - step - r w, r times scale %g" % LR,
        "  rate %g (half-life 88.4 steps), penalty in the loss: w" % RATE,
        "  left alone (no penalty, no rate given): v",
    ]
    w, v = np.load(str(script / "weights.npy"))
    assert_close(w, oracle.train("adam", LR, W0, gradient, 4, "before", RATE, scale=LR))
    assert_close(v, oracle.train("adam", LR, W0, gradient, 4, "before", 0.0))
    with open(report) as file:
        facts = json.load(file)
    assert facts["outcome"] == "decoupled"
    assert facts["arguments"] == ["--steps", "4"]
    assert [(d["name"], d["rate"], d["scale"]) for d in facts["graphs"][0]["variables"]] == [
        ("w", RATE, LR),
        ("v", None, LR),
    ]


def test_a_program_that_is_killed_while_it_trains_leaves_its_report(script):
    (script / "killed.py").write_text(
        (script / "train.py").read_text().replace("sys.exit(7)", "import os; os._exit(7)")
    )
    words = ["-m", "tf1_wd", "run", "--report", "report.json", "killed.py", "--steps", "4"]
    _, _, stderr, code = command(*words, cwd=script)
    assert code == 7, stderr
    facts = json.loads((script / "report.json").read_text())
    assert (facts["outcome"], facts["finished"]) == ("decoupled", False)
    assert [d["name"] for d in facts["graphs"][0]["variables"] if d["rate"] == RATE] == ["w"]


def test_with_decay_off_a_script_trains_as_under_python(script):
    trained = {}
    for how in ([], ["-m", "tf1_wd", "run", "--decay", "off"]):
        stdout, _, stderr, code = command(*how, "train.py", cwd=script)
        assert (stdout, code) == ("started\n", 7), stderr
        trained[bool(how)] = np.load(str(script / "weights.npy"))
    np.testing.assert_array_equal(trained[True], trained[False])
    assert abs(trained[True][0] - oracle.train("adam", LR, W0, gradient, 5, "before", RATE, scale=LR)).max() > 1e-3


def test_a_program_that_decays_by_itself_is_refused_or_starts_anew_unchanged(script):
    words = ["-m", "tf1_wd", "run"]
    stdout, said, stderr, code = command(*words, "train.py", "--own-decay", cwd=script)
    assert (stdout, code) == ("started\n", 1)
    assert "the program decays these variables by itself" in said
    assert "train.py:25: session.run(train_op)" in said
    assert "tf1-wd run --decay off train.py --own-decay\n" in said + "\n"
    assert "Traceback" not in stderr
    assert not (script / "weights.npy").exists()
    words += ["--if-impossible", "run-unchanged"]
    stdout, said, stderr, code = command(*words, "train.py", "--own-decay", "--steps", "3", cwd=script)
    assert (stdout, code) == ("started\nstarted\n", 7), stderr
    assert "starts anew, unchanged" in said
    unchanged = np.load(str(script / "weights.npy"))
    command("train.py", "--own-decay", "--steps", "3", cwd=script)
    np.testing.assert_array_equal(unchanged, np.load(str(script / "weights.npy")))


def test_an_error_of_the_program_is_its_own(script):
    _, said, stderr, code = command("-m", "tf1_wd", "run", "train.py", "--fail", cwd=script)
    assert code == 1
    assert said.startswith("tf1-wd run: 1 of 2 variables decay")
    tracebacks = stderr.split("Traceback (most recent call last):\n")
    assert "train.py" in tracebacks[-1].splitlines()[0]
    assert "too bad" in stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which program"),
        (["--rate", "a=0.1", "--rate", "0.2", "x.py"], "PATTERN=RATE"),
        (["--rate", "2", "--convention", "contrib", "x.py"], "not a finite number in [0, 1)"),
        (["--rate", "-2", "x.py"], "not a finite number, 0 or more"),
        (["--exclude", "(", "x.py"], "not a regular expression"),
        (["--scale", "much", "x.py"], "learning_rate"),
        (["--convention", "paper", "x.py"], "needs scale="),
        (["--report", "nowhere/report.json", "x.py"], "nowhere/report.json"),
    ],
)
def test_wrong_options_are_named_before_anything_runs(words, message, capsys):
    from tf1_wd.cli import main

    assert main.main(["run", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "parser.add_argument('--if-impossible')", "flags.DEFINE_string('if_impossible')"])
def test_an_option_of_ours_behind_a_program_that_does_not_know_it_is_told(text, tmp_path):
    from tf1_wd.cli import run

    (tmp_path / "gan.py").write_text(text)
    target = Program(str(tmp_path / "gan.py"), ("--if-impossible=stop", "b", "--steps", "1"))
    assert run.ours_behind(target) == ([] if text else ["--if-impossible"])
    assert run.ours_behind(Program("package.gan", ("--exclude", "b"), True)) == ["--exclude"]


def test_a_missing_program_is_named(tmp_path):
    _, said, _, code = command("-m", "tf1_wd", "run", "nowhere.py", cwd=tmp_path)
    assert code != 0
    assert "nowhere.py" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--scale", "0", "x.py"], "nothing would decay"), (["--decay", "off", "--rate", "0.1", "x.py"], "--rate")],
)
def test_options_that_would_do_nothing_are_refused(words, message, capsys):
    from tf1_wd.cli import main

    assert main.main(["run", *words]) == 2
    assert message in capsys.readouterr().err


def test_what_is_said_of_many_variables_is_short_on_the_screen():
    from tf1_wd.cli import run
    from tf1_wd.plan.decisions import Decay, DecayPlan

    message = "\n".join(["none of 40 variables decays", *("v%d" % i for i in range(40))])
    assert run._short(message).splitlines()[-1] == "... (all 41 lines: --report FILE)"
    assert len(run._short(message).splitlines()) == 13
    assert run._short("one line") == "one line"
    decays = tuple(Decay(None, "v%d" % i, (2,), 0.1, "penalty in the loss") for i in range(7))
    notes = tuple(("average of v%d" % i, "not ordered") for i in range(7))
    lines = run._summary(DecayPlan(decays, (), "before", notes)).splitlines()
    assert lines[1:] == [
        "  rate 0.1 (half-life 6.58 steps), penalty in the loss: v0, v1, v2, v3, v4, and 2 more",
        "  note average of v0, average of v1, average of v2, average of v3, average of v4, and 2 more: not ordered",
    ]
