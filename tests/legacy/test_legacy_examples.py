"""Untouched TF1 programs train as NumPy does: decoupled under `tf1-wd run`, as ever under `--decay off` and alone."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

import tf1_wd
from support.legacy_oracles import EXAMPLES, ORACLES, SCRIPTS, header, saved, trainable
from support.pages import runs, the
from support.versions import IS_TF1

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(tf1_wd.__file__)))
STEPS = 5
ALONE, OFF, DECOUPLED = (), ("-m", "tf1_wd", "run", "--decay", "off"), ("-m", "tf1_wd", "run")
UNCHANGED = (*DECOUPLED, "--if-impossible=run-unchanged")
# What these programs do is not L2 in a loss: AdamW of their own; penalties in no loss.
IMPOSSIBLE = {
    "bert_style_adamw": "AdamWeightDecayOptimizer decays weights by itself",
    "forgotten_regularizers": "none of 6 variables decays",
}
POSSIBLE = sorted(set(SCRIPTS) - set(IMPOSSIBLE))
# In these, L2 in the loss and decoupled decay are the same: a second SGD step, and no L2 in the loss.
NEVER_COUPLED = ("pasted_snippet", "forgotten_regularizers")


class Edited(NamedTuple):
    """As support.legacy_oracles.programs.Script, with a path of its own."""

    path: str
    arguments: tuple
    start: str
    end: str


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """Function from an example and a way to start it to (exit code, stderr, variables at the start, at the end).

    Each is executed once, however many tests ask; variables are None where the program saved none.
    """
    done = {}

    def execute(name, way):
        directory = str(tmp_path_factory.mktemp(name))
        environment = dict(os.environ, PYTHONPATH=PACKAGE)
        environment.pop("TF_USE_LEGACY_KERAS", None)
        script = SCRIPTS[name]
        process = subprocess.run(
            [sys.executable, *way, script.path, "--steps=%d" % STEPS, *script.arguments],
            cwd=directory,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=300,
        )
        weights = [saved(directory, place) if process.returncode == 0 else None for place in (script.start, script.end)]
        return (process.returncode, process.stderr.decode(errors="replace"), *weights)

    def remember(name, way):
        if (name, way) not in done:
            done[name, way] = execute(name, way)
        return done[name, way]

    return remember


def finished(outcome):
    """The variables at the start and at the end of a run that ended well."""
    code, said, start, end = outcome
    assert code == 0, said[-4000:]
    return start, end


def assert_equal_to_numpy(name, outcome, coupled):
    start, end = finished(outcome)
    rates, train = ORACLES[name]
    expected = train(trainable(start), STEPS, rates, coupled)
    assert set(trainable(end)) <= set(expected)
    for variable, weights in expected.items():
        tolerance = 1e-5 * np.abs(weights).max()
        np.testing.assert_allclose(end[variable], weights, rtol=0, atol=tolerance, err_msg=variable)


def assert_same_bits(one, other):
    for these, those in zip(finished(one), finished(other)):
        assert set(these) == set(those)
        for variable in these:
            np.testing.assert_array_equal(these[variable], those[variable], err_msg=variable)


@pytest.mark.parametrize("name", POSSIBLE)
def test_run_trains_as_the_decoupled_numpy_program_does(after, name):
    assert_equal_to_numpy(name, after(name, DECOUPLED), coupled=False)


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_with_decay_off_a_script_trains_as_the_numpy_program_with_l2_in_the_loss_does(after, name):
    assert_equal_to_numpy(name, after(name, OFF), coupled=True)


@pytest.mark.skipif(not IS_TF1, reason="no other TensorFlow has tf.contrib: these scripts do not run alone")
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_with_decay_off_a_script_trains_as_alone_bit_for_bit(after, name):
    assert_same_bits(after(name, OFF), after(name, ALONE))


@pytest.mark.parametrize("name", sorted(IMPOSSIBLE))
def test_what_cannot_be_decoupled_is_refused_with_the_reason(after, name):
    code, said, _, _ = after(name, DECOUPLED)
    assert code == 1
    assert IMPOSSIBLE[name] in said
    assert "tf1-wd run --decay off" in said


@pytest.mark.parametrize("name", sorted(IMPOSSIBLE))
def test_what_cannot_be_decoupled_trains_unchanged_where_that_is_asked_for(after, name):
    outcome = after(name, UNCHANGED)
    assert IMPOSSIBLE[name] in outcome[1]
    assert_same_bits(outcome, after(name, OFF))


# --- decay on layers whose author gave them none, by one argument

# of the command on their page, which test_shell_blocks.py runs as a whole
CONVOLUTIONS = tuple(shlex.split(the("legacy_examples/README.md", "tf1-wd run --rate").text)[2:4])


def assert_convolutions_decay_too(outcome):
    start, end = finished(outcome)
    rates, train = ORACLES["cifar10_tutorial"]
    more = dict(rates, **{"conv1/weights": 0.05, "conv2/weights": 0.05})
    expected, without = (train(trainable(start), STEPS, r, False) for r in (more, rates))
    for variable, weights in expected.items():
        tolerance = 1e-5 * np.abs(weights).max()
        np.testing.assert_allclose(end[variable], weights, rtol=0, atol=tolerance, err_msg=variable)
        if variable in more and variable not in rates:
            assert np.abs(weights - without[variable]).max() > 10 * tolerance


def test_one_option_of_the_command_adds_decay_to_the_convolutions(after):
    assert_convolutions_decay_too(after("cifar10_tutorial", (*DECOUPLED, *CONVOLUTIONS)))


@runs("legacy_examples/README.md", diff="+import tf1_wd")
def test_one_argument_of_the_decorator_adds_decay_to_the_convolutions(diff, after, tmp_path, monkeypatch):
    added, line = re.fullmatch(r"((?:\+.*\n)+) (def train.*\n)", diff.text).groups()
    script = SCRIPTS["cifar10_tutorial"]
    with open(script.path) as file:
        source = file.read()
    edited = source.replace(line, re.sub(r"(?m)^\+", "", added) + line)
    assert edited != source
    (tmp_path / "edited.py").write_text(edited)
    data = "--data_dir=" + os.path.join(EXAMPLES, "data")
    monkeypatch.setitem(SCRIPTS, "edited", Edited(str(tmp_path / "edited.py"), (*script.arguments, data), *script[2:]))
    assert_convolutions_decay_too(after("edited", OFF))


# --- the oracles and the headers themselves


def initial(after, name):
    return trainable(finished(after(name, UNCHANGED if name in IMPOSSIBLE else DECOUPLED))[0])


@pytest.mark.parametrize("name", sorted(set(ORACLES) - set(NEVER_COUPLED)))
def test_an_oracle_tells_decoupled_decay_from_l2_in_the_loss_and_from_none(after, name):
    rates, train = ORACLES[name]
    start = initial(after, name)
    decoupled, coupled, without = (train(start, STEPS, *how) for how in ((rates, False), (rates, True), ({}, False)))
    for variable in rates:
        for other in (coupled, without):
            difference = np.abs(decoupled[variable] - other[variable]).max() / np.abs(decoupled[variable]).max()
            assert difference > 1e-4, (variable, difference)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_header_names_every_variable_once_with_the_rate_of_the_oracle(after, name):
    said, rates = header(name), ORACLES[name].rates if name in ORACLES else {}
    for variable in initial(after, name):
        row = said.row(variable)
        assert row.rate == rates.get(variable)
        assert (row.place == "-") == (row.rate is None)


def test_no_example_knows_of_this_package():
    for name in os.listdir(EXAMPLES):
        if name.endswith(".py"):
            with open(os.path.join(EXAMPLES, name)) as file:
                assert not re.search(r"tf1_wd|decoupled_weight_decay", file.read()), name
