"""What README says one types runs, and prints what README shows; .ci/run runs its two commands in a new environment."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tf_slim as slim

import tf1_wd
from support import reader
from support.pages import ROOT, assert_alike, runs
from tf1_wd.commands.demo import train
from tf1_wd.legacy import install

# slim and the layers under it warn of themselves
pytestmark = pytest.mark.filterwarnings("ignore:`.*` is deprecated:UserWarning")

RATE = 0.001
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@runs("README.md", block="with tf1_wd.decoupled_weight_decay", shown="variable shape rate r")
def test_the_block_of_the_readme_decays_as_the_plan_that_it_shows_says(block, shown):
    with install():
        example = train.load_example("slim_digits")
        logits = example.inference(tf.ones([8, 8, 8, 1]), is_training=True)
        loss = example.build_loss(logits, tf.zeros([8], tf.int64))
        names = dict(tf1_wd=tf1_wd, slim=slim, loss=loss, optimizer=tf.train.GradientDescentOptimizer(0.0))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(block.text, names)
    assert_alike(shown.text, printed.getvalue())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        before, _, after = (session.run(fetch) for fetch in (variables(), names["train_op"], variables()))
    for name, value in before.items():
        keeps = 1.0 if "BatchNorm" in name or "bias" in name else 1 - RATE
        np.testing.assert_allclose(after[name], keeps * value, rtol=1e-6, err_msg=name)


def variables():
    return {v.op.name: v for v in tf.trainable_variables()}


@runs("README.md", command="tf1-wd run train.py")
def test_the_command_of_the_readme_trains_a_program_that_nobody_touched_with_true_decay(command, tmp_path):
    reader.write_train(tmp_path)
    done = reader.shell(command.text, tmp_path)
    assert done.returncode == 0, done.stderr
    reader.assert_decayed(tmp_path)
    assert "1 of 1 variables decay, 3 of 3 weights" in done.stderr


def readme_command(name):
    """What the function of that name in .ci/run does."""
    code = CI[CI.index("readme_command() {") :]
    code = code[: code.index("\n}\n")] + "\n}\nreadme_command " + name
    return subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=str(ROOT), capture_output=True, text=True)


@runs("README.md", test="pip install '.[tensorflow,test]'", demo="pip install '.[tensorflow,demo]'")
def test_ci_runs_the_two_commands_of_the_readme_as_they_stand(test, demo):
    for name, block in (("test", test), ("demo", demo)):
        assert readme_command(name).stdout == block.text
        assert re.search(r'^command=\$\(readme_command %s\)$[^=]*eval "\$command"' % name, CI, re.MULTILINE)


def test_ci_stops_where_the_readme_has_no_such_command():
    done = readme_command("other")
    assert done.returncode == 1
    assert "README.md: one line is expected after <!-- other command -->" in done.stderr
