"""`tf1-wd patch --write` makes each legacy example train as its decoupled NumPy program does, as `tf1-wd run` does."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import tf1_wd
from support.legacy_oracles import ORACLES, SCRIPTS, saved, trainable
from tf1_wd.cli.main import main

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(tf1_wd.__file__)))
STEPS = 5
# AdamW of their own: left as they are
LEFT_ALONE = ("bert_style_adamw",)
# Its penalties are in no loss: `run` refuses it, and so does the patched program.
REFUSED = ("forgotten_regularizers",)
# The snippet decays the frozen conv1 too; the scope, in its place, decays what the optimizer trains.
FROZEN = {"pasted_snippet": ("conv1/weights",)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the examples with `patch --write` applied to every file that builds a train_op."""
    copy = str(tmp_path_factory.mktemp("examples") / "legacy_examples")
    shutil.copytree(os.path.dirname(SCRIPTS["gan"].path), copy, ignore=shutil.ignore_patterns("__pycache__"))
    files = sorted(os.path.join(copy, name) for name in os.listdir(copy) if name.endswith(".py"))
    assert main(["patch", "--write", *files]) == 0
    patched = [pathlib.Path(path).read_bytes() for path in files]
    assert main(["patch", "--write", *files]) == 0
    assert patched == [pathlib.Path(path).read_bytes() for path in files], "a second run changed something"
    return copy


def execute(sources, name, directory):
    """The patched example in a process of its own, with tf.contrib at hand."""
    script = SCRIPTS[name]
    path = os.path.join(sources, os.path.basename(script.path))
    done = subprocess.run(
        [sys.executable, "-m", "tf1_wd", "run", "--decay", "off", path, "--steps=%d" % STEPS, *script.arguments],
        cwd=directory,
        env=dict(os.environ, PYTHONPATH=PACKAGE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stderr.decode(errors="replace")


@pytest.mark.parametrize("name", sorted(set(ORACLES) - {*LEFT_ALONE, *REFUSED}))
def test_a_patched_example_trains_as_the_decoupled_numpy_program_does(sources, name, tmp_path):
    code, said = execute(sources, name, str(tmp_path))
    assert code == 0, said[-4000:]
    start, end = (saved(str(tmp_path), place) for place in (SCRIPTS[name].start, SCRIPTS[name].end))
    rates, train = ORACLES[name]
    rates = {variable: rate for variable, rate in rates.items() if variable not in FROZEN.get(name, ())}
    expected = train(trainable(start), STEPS, rates, False)
    assert set(trainable(end)) <= set(expected)
    for variable, weights in expected.items():
        tolerance = 1e-5 * np.abs(weights).max()
        np.testing.assert_allclose(end[variable], weights, rtol=0, atol=tolerance, err_msg=variable)


@pytest.mark.parametrize("name", REFUSED)
def test_a_patched_example_without_decay_in_its_loss_says_so(sources, name, tmp_path):
    code, said = execute(sources, name, str(tmp_path))
    assert code != 0
    assert "NothingToDecayError" in said


def test_what_decays_by_itself_is_left_as_it_is(sources):
    for name in (*LEFT_ALONE, "bert_optimization"):
        with open(os.path.join(sources, name + ".py")) as file:
            assert "tf1_wd" not in file.read()
