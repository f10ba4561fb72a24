"""`tf1-wd audit` of programs: where it stops them, what it lets them do, what it prints, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from support.paths import ROOT
from support.watching import adam, collected, data, sgd, weights
from tf1_wd.cli import main as cli

PROGRAM = """
import sys
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

def penalty(variables):
    return tf.add_n([tf.nn.l2_loss(v) for v in variables
                     if 'batch_normalization' not in v.name])

w = tf.get_variable("w", [2, 3], initializer=tf.ones_initializer())
beta = tf.get_variable("BatchNorm/beta", [3], initializer=tf.ones_initializer())
loss = tf.reduce_sum(tf.sin(w)) + tf.reduce_sum(tf.sin(beta)) + 0.25 * penalty(tf.trainable_variables())
step = tf.train.AdamOptimizer(0.125).minimize(loss)
print("printed by the program")
session = tf.Session()
session.run(tf.global_variables_initializer())
try:
    for i in range(5):
        session.run(step)
        print("step", i + 1)
except Exception:
    print("caught")
finally:
    tf.train.Saver().save(session, sys.argv[1])
    print("saved")
"""


def command(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.update(PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3")
    return subprocess.run(
        [sys.executable, "-m", "tf1_wd", "audit", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "train.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def stopped(script, tmp_path_factory):
    """What an audit with --json and --strict prints, and where the program would have saved."""
    folder = tmp_path_factory.mktemp("stopped")
    return command("--json", "--strict", "--html", folder / "a.html", script, folder / "model"), folder


def test_the_report_of_a_program_is_json_on_stdout_and_the_rest_is_on_stderr(stopped):
    done, folder = stopped
    report = json.loads(done.stdout)
    assert [(v["name"], v["rate"], v["place"], v["updated_by"]) for v in report["variables"]] == [
        ("w", 0.25, "loss", ["AdamOptimizer"]),
        ("BatchNorm/beta", 0.25, "loss", ["AdamOptimizer"]),
    ]
    assert "printed by the program" in done.stderr
    assert (folder / "a.html").read_text().startswith("<!DOCTYPE html>")


def test_findings_have_lines_of_the_users_code(stopped):
    report = json.loads(stopped[0].stdout)
    assert [f["code"] for f in report["findings"]] == ["coupled", "empty-filter", "norm-decayed"]
    assert "train.py:10" in report["findings"][1]["sentence"]
    assert "half-life 22 steps" in report["findings"][0]["sentence"]
    assert report["variables"][0]["source"].startswith("train.py:")


def test_norms_are_those_of_the_weights_before_the_first_step(stopped):
    report = json.loads(stopped[0].stdout)
    assert [v["norm"] for v in report["variables"]] == [pytest.approx(6**0.5), pytest.approx(3**0.5)]


def test_a_program_stops_before_its_first_step_and_saves_nothing_on_the_way(stopped):
    done, folder = stopped
    assert done.returncode == 1, done.stderr  # --strict
    assert "step 1" not in done.stderr
    assert "caught" not in done.stderr
    assert "saved" not in done.stderr
    assert [path.name for path in folder.iterdir()] == ["a.html"]


def test_steps_lets_so_many_steps_run(script, tmp_path):
    done = command("--steps", 2, script, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert "step 2" in done.stderr
    assert "step 3" not in done.stderr
    assert "warning [coupled]" in done.stdout
    assert "w               2x3" in done.stdout


STUBBORN = """
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
v = tf.get_variable("v", [2], initializer=tf.ones_initializer())
step = tf.train.AdamOptimizer(0.5).minimize(tf.nn.l2_loss(v) + tf.reduce_sum(tf.sin(v)))
session = tf.Session()
session.run(tf.global_variables_initializer())
while True:
    try:
        session.run(step)
        print("stepped")
    except:
        pass
"""


def test_a_program_that_swallows_its_stop_is_ended_with_its_report(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(STUBBORN)
    done = command("--strict", path)
    assert done.returncode == 1, done.stderr
    assert "[coupled]" in done.stdout
    assert "stepped" not in done.stderr


UNTRAINED = """
import tensorflow.compat.v1 as tf
w = tf.Graph()
with w.as_default():
    v = tf.get_variable("v", [2], initializer=tf.ones_initializer())
    %s
"""
MINIMIZE = "tf.train.AdamOptimizer(0.5).minimize(tf.nn.l2_loss(v) + tf.reduce_sum(tf.sin(v)))"


@pytest.mark.parametrize(
    ("code", "exit_code", "text"),
    [
        (UNTRAINED % "print(v.name)", 1, "ended without training"),
        (UNTRAINED % MINIMIZE, 0, "ended without a training step"),
        ("raise ValueError('its own')", 1, "ValueError: its own"),
        ("import sys; sys.exit(3)", 3, ""),
    ],
)
def test_a_program_that_never_trains_or_fails_says_so(code, exit_code, text, tmp_path):
    path = tmp_path / "train.py"
    path.write_text(code)
    done = command(path)
    assert done.returncode == exit_code, done.stderr
    assert text in done.stdout + done.stderr


# --- graphs from files, in this process


@pytest.fixture
def graph_file(tmp_path):
    w = weights()
    adam(data(w) + collected(w))
    path = str(tmp_path / "graph.meta")
    tf.train.export_meta_graph(path)
    return path


def test_a_graph_from_a_file_prints_as_text_and_as_markdown(graph_file, capsys):
    assert cli.main(["audit", graph_file]) == 0
    assert "warning [coupled] Adam gets the L2 of w" in capsys.readouterr().out
    assert cli.main(["audit", "--markdown", graph_file]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Weight decay of graph.meta\n")
    assert "| w | 2x3 | 0.25 | loss | Adam | 0.125 | - | - | 0.25 l2\\_loss(w) | - |" in out


def test_strict_is_exit_code_1_on_findings_alone(graph_file, tmp_path, capsys):
    assert cli.main(["audit", "--strict", graph_file]) == 1
    with tf.Graph().as_default():
        w = weights()
        sgd(data(w) + collected(w))
        plain = str(tmp_path / "plain.meta")
        tf.train.export_meta_graph(plain)
    assert cli.main(["audit", "--strict", plain]) == 0
    assert "findings: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which program?"),
        (["--steps", "-1", "train.py"], "--steps -1: it takes 0 or more"),
        (["--html", "/nowhere/a.html", "train.py"], "--html /nowhere/a.html"),
        (["--checkpoint", "x", "train.py"], "--checkpoint is for a graph"),
        (["graph.meta", "more"], "takes no arguments: more"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_a_line(arguments, message, capsys):
    assert cli.main(["audit", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_cannot_be_read_is_exit_code_1_and_a_line(capsys):
    assert cli.main(["audit", "nowhere.meta"]) == 1
    assert "nowhere.meta: No such file" in capsys.readouterr().err
