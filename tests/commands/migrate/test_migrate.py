"""`tf1-wd migrate`: what it prints and writes, where it stops a program, and how it exits."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from support.paths import ROOT
from tf1_wd.cli import main as cli

PROGRAM = """
import sys
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

w = tf.get_variable("w", [2, 3], initializer=tf.ones_initializer())
b = tf.get_variable("b", [3], initializer=tf.zeros_initializer())
loss = tf.reduce_sum(tf.sin(w)) + tf.reduce_sum(tf.sin(b))
%s
print("printed by the program")
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for step in range(3):
        session.run(train_op)
        print("step", step)
    open(sys.argv[1], "w").close()
"""
BODIES = {
    "l2": "train_op = tf.train.AdamOptimizer(0.125).minimize(loss + 0.25 * tf.nn.l2_loss(w) + 0.5 * tf.nn.l2_loss(b))",
    "scope": """
import tf1_wd
@tf1_wd.decoupled_weight_decay(rates={"w": 0.25}, convention="adamw")
def build():
    return tf.train.AdamOptimizer(0.125).minimize(loss)
train_op = build()
""",
    "attached": """
import tf1_wd
train_op = tf1_wd.attach(tf.train.AdamOptimizer(0.125).minimize(loss), rates=0.25)
""",
    "momentum": """
rate = tf.train.exponential_decay(0.125, tf.train.get_or_create_global_step(), 10, 0.5)
with tf.name_scope("scoped"):
    train_op = tf.train.MomentumOptimizer(rate, 0.5).minimize(loss + 0.25 * tf.nn.l2_loss(w))
""",
    "counted by a trainable variable": """
count = tf.Variable(0, dtype=tf.float32, name="count")
rate = tf.train.exponential_decay(0.125, count * 8, 40, 0.5, staircase=True)
train_op = tf.train.MomentumOptimizer(rate, 0.5).minimize(loss, global_step=count)
""",
    "by hand": """
import tf1_wd
optimizer, plan = tf.train.AdamOptimizer(0.125), tf1_wd.plan_decay([w, b], {"w": 0.25})
train_op = optimizer.apply_gradients(tf1_wd.add_decay_to_gradients(optimizer.compute_gradients(loss), plan))
""",
    "failing": "raise SystemExit(7)",
    "idle": "train_op = tf.no_op()",
    "stubborn": """
train_op = tf.train.AdamOptimizer(0.125).minimize(loss + 0.25 * tf.nn.l2_loss(w))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for step in range(100):
        try:
            session.run(train_op)
        except:
            print("caught")
print("went on")
""",
}


@pytest.fixture(scope="module")
def migrate(tmp_path_factory):
    """Function from a body and options to (the finished process, the folder of the program)."""
    done = {}

    def run(body, *options):
        if (body, options) not in done:
            folder = tmp_path_factory.mktemp(body)
            (folder / "train.py").write_text(PROGRAM % BODIES[body])
            command = [sys.executable, "-m", "tf1_wd", "migrate", *options, "train.py", "trained"]
            environment = dict(os.environ, PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3")
            process = subprocess.run(command, cwd=str(folder), env=environment, capture_output=True, timeout=240)
            done[body, options] = process, folder
        return done[body, options]

    return run


def text(process):
    assert process.returncode == 0, process.stderr.decode()
    ast.parse(process.stdout.decode())
    return process.stdout.decode()


def test_the_code_goes_to_stdout_and_what_the_program_prints_to_stderr(migrate):
    process, _ = migrate("l2")
    code = text(process)
    assert code.startswith('"""What trains train.py, in TensorFlow 2')
    assert "tf.keras.optimizers.Adam(" in code
    assert '"w": 0.25,' in code
    assert '"b": 0.5,' in code
    assert b"printed by the program" in process.stderr


def test_the_program_does_not_train(migrate):
    process, folder = migrate("l2")
    assert b"step 0" not in process.stderr
    assert not (folder / "trained").exists()


def test_decoupled_writes_what_tf1_wd_run_trains(migrate):
    code = text(migrate("l2", "--decoupled", "--exclude", "^b$")[0])
    assert "tf.keras.optimizers.AdamW(" in code
    assert "weight_decay=0.25," in code
    assert "optimizer.exclude_from_weight_decay" in code


def test_a_program_that_uses_tf1_wd_keeps_its_decay_and_does_not_train(migrate):
    process, folder = migrate("scope")
    assert "weight_decay=0.25," in text(process)
    assert not (folder / "trained").exists()
    refused, _ = migrate("scope", "--decoupled")
    assert refused.returncode == 1
    assert b"train.py uses tf1_wd itself: leave --decoupled out" in refused.stderr


def test_a_program_with_an_attached_decay_keeps_it(migrate):
    code = text(migrate("attached")[0])
    assert "make_train_step(variables, data_loss)" in code
    assert '"w": 0.25,' in code
    assert "tf1_wd.tf2.decay(decaying, list(RATES.values()))" in code


def test_a_global_step_that_is_a_trainable_variable_is_no_weight(migrate):
    code = text(migrate("counted by a trainable variable")[0])
    assert '"w": ' in code
    assert '"count": ' not in code
    assert "return 0.125 * (0.5 ** tf.floor((step * 8.0) / 40.0))" in code


def test_l2_by_hand_is_refused_with_the_scope_that_does_the_same(migrate):
    refused, _ = migrate("by hand")
    assert refused.returncode == 1
    assert b"build the train_op in tf1_wd.coupled_weight_decay instead" in refused.stderr


def test_what_is_not_equivalent_is_said_on_stderr_and_fails_with_strict(migrate):
    exact, _ = migrate("momentum", "--strict", "-o", "new.py")
    assert exact.returncode == 0
    assert b"written to" in exact.stderr
    assert b"no difference is known" in exact.stderr
    options = ("--decoupled", "--form", "keras", "--strict", "-o", "new.py")
    nearly, folder = migrate("momentum", *options)
    assert nearly.returncode == 1
    assert nearly.stdout == b""
    assert b"not equivalent: Keras's SGD keeps each gradient in its velocity" in nearly.stderr
    assert "Keras's SGD keeps each gradient in its velocity" in (folder / "new.py").read_text()


def test_a_program_that_fails_keeps_its_exit_code(migrate):
    assert migrate("failing")[0].returncode == 7


def test_a_program_that_does_not_train_is_an_error(migrate):
    process, _ = migrate("idle")
    assert process.returncode == 1
    assert b"ended without training" in process.stderr


def test_a_program_that_catches_everything_is_ended(migrate):
    process, _ = migrate("stubborn")
    assert '"w": 0.25,' in text(process)
    assert b"went on" not in process.stderr


# --- graphs and plans, in this process


def written(capsys, *arguments):
    code = cli.main(["migrate", *map(str, arguments)])
    printed, said = capsys.readouterr()
    return code, printed, said


def build():
    w = tf.get_variable("w", [2, 3], initializer=tf.ones_initializer())
    loss = tf.reduce_sum(tf.sin(w))
    tf.train.AdamOptimizer(0.125).minimize(loss + 0.25 * tf.nn.l2_loss(w))


def test_a_graph_from_a_file_is_migrated(tmp_path, capsys):
    build()
    tf.train.export_meta_graph(str(tmp_path / "model.meta"))
    code, printed, _ = written(capsys, tmp_path / "model.meta")
    assert code == 0
    assert '"w": 0.25,' in printed
    assert "What trains model.meta" in printed
    code, printed, _ = written(capsys, "--decoupled", tmp_path / "model.meta")
    assert code == 0
    assert "weight_decay=0.25," in printed


def test_a_saved_model_is_migrated(tmp_path, capsys):
    build()
    folder = str(tmp_path / "export")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        builder = tf.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(session, ["train"])
        builder.save()
    code, printed, _ = written(capsys, folder)
    assert code == 0
    assert '"w": 0.25,' in printed


def test_a_report_of_tf1_wd_run_is_migrated(tmp_path, capsys):
    (tmp_path / "train.py").write_text(PROGRAM % BODIES["l2"])
    report = str(tmp_path / "report.json")
    command = [sys.executable, "-m", "tf1_wd", "run", "--report", report, "train.py", "trained"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3")
    subprocess.run(command, cwd=str(tmp_path), env=environment, check=True, timeout=240)
    options = ("--optimizer", "adam", "--learning-rate", "0.125", "--setting", "epsilon=1e-3")
    code, printed, said = written(capsys, *options, report)
    assert code == 0, said
    for words in ('"w": 0.25,', '"b": 0.5,', "epsilon=0.001,", "tf1_wd.tf2.decay(decaying"):
        assert words in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "which program? tf1-wd migrate"),
        (("--order", "before", "train.py"), "--order goes with --decoupled"),
        (("--optimizer", "adam", "train.py"), "--optimizer is for a plan; a program tells it"),
        (("--learning-rate", "1", "train.py"), "--learning-rate is for a plan"),
        (("plan.json",), "a plan does not tell the optimizer"),
        (("--decoupled", "--optimizer", "adam", "plan.json"), "leave --decoupled and its options out"),
        (("--optimizer", "adam", "--scale", "2", "plan.json"), "--scale 2: of a plan it is learning_rate"),
        (("graph.meta", "--steps"), "a graph or a plan takes no arguments: --steps"),
        (("-o", "no/such/folder/new.py", "train.py"), "--output no/such/folder/new.py: no such directory"),
        (("-o", str(ROOT), "train.py"), "is a directory: name a file"),
        (("-o", __file__, __file__), "is the program itself"),
        (("--rate", "a=0.1", "--rate", "0.2", "train.py"), "several rates need a PATTERN=RATE each"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_what_is_wrong(capsys, arguments, words):
    code, printed, said = written(capsys, *arguments)
    assert (code, printed) == (2, "")
    assert words in said


def test_what_is_no_plan_is_an_error_that_names_the_file(tmp_path, capsys):
    for content, words in (("{", "is no plan"), (json.dumps({"graphs": []}), "holds 0 plans")):
        (tmp_path / "plan.json").write_text(content)
        code, _, said = written(capsys, "--optimizer", "adam", tmp_path / "plan.json")
        assert code == 1
        assert "plan.json " + words in said


def test_a_graph_that_is_not_there_is_an_error_that_names_it(tmp_path, capsys):
    code, _, said = written(capsys, tmp_path / "none.meta")
    assert code == 1
    assert "none.meta: No such file" in said
