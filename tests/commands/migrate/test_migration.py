"""What tf1_wd writes for TensorFlow 2 trains as the program of TensorFlow 1 does."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support import migration_cases as cases
from support.migration_cases import LR, STEPS
from support.migration_programs import CASES, NEARLY, SMALL
from support.paths import ROOT
from support.tensorflow_2 import FLAVOURS, TF2_PYTHON, needs_tensorflow_2
from tf1_wd.commands.migrate.writing import module

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """{case: (weights after each step in TensorFlow 1, Written)}."""
    folder = tmp_path_factory.mktemp("graphs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_MIGRATION", str(folder))
        made = {name: make(name) for name, make in {**CASES, **NEARLY}.items()}
    return {name: (weights, module.write(*how)) for name, (weights, *how) in made.items()}


@pytest.fixture(scope="module", params=FLAVOURS, ids=lambda flavour: "legacy=" + flavour)
def migrated(request, originals, tmp_path_factory):
    """{case: weights after each step in TensorFlow 2}, by the code that was written."""
    folder = tmp_path_factory.mktemp("code")
    codes = {name: written.code for name, (_, written) in originals.items()}
    codes["adam, of one part alone"] = codes["adam"]
    (folder / "cases.json").write_text(json.dumps(list(codes)))
    for number, code in enumerate(codes.values()):
        (folder / ("%d.py" % number)).write_text(code)
    environment = dict(os.environ, TF_USE_LEGACY_KERAS=request.param)
    environment["PYTHONPATH"] = str(ROOT)
    script = os.path.join(HERE, "cases", "migrated.py")
    done = subprocess.run(
        [TF2_PYTHON, script, str(folder), str(folder / "out.json")],
        env=environment,
        capture_output=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return json.loads((folder / "out.json").read_text())


def assert_close(got, want, step):
    for variable, weights in want.items():
        text = "%s after step %d" % (variable, step)
        np.testing.assert_allclose(got[variable], weights, rtol=5e-5, atol=5e-6, err_msg=text)


@needs_tensorflow_2
@pytest.mark.parametrize("name", CASES)
def test_the_code_trains_as_the_program_does(originals, migrated, name):
    weights, written = originals[name]
    assert written.differences == ()
    assert not isinstance(migrated[name], str), migrated[name]
    for t in range(STEPS):
        assert_close(migrated[name][t], weights[t], t)


@needs_tensorflow_2
def test_a_loss_that_does_not_reach_a_variable_is_an_error_that_names_it(migrated):
    # b/kernel has L2 in the loss, and so a gradient
    assert "data_loss does not depend on: a/bias\n" in migrated["adam, of one part alone"]


@needs_tensorflow_2
def test_keras_takes_a_longer_step_by_the_factor_that_is_said(originals, migrated):
    """w - step - r w against (1 - r)(w - step): the step is longer by 1 / (1 - r)."""
    weights, written = originals["keras: the default"]
    (difference,) = written.differences
    assert "longer by the factor 1 / (1 - r): %g %%" % (100 * SMALL) in difference.size
    kept = (1 - SMALL) * cases.initial("a/kernel")
    ratio = (kept - np.array(migrated["keras: the default"][0]["a/kernel"])) / (kept - weights[0]["a/kernel"])
    np.testing.assert_allclose(ratio, 1 / (1 - SMALL), rtol=1e-4)


@needs_tensorflow_2
def test_keras_moves_old_velocity_as_much_further_as_is_said(originals, migrated):
    """At a change of the learning rate from a to b, by a / b."""
    name = "keras: momentum decoupled, a schedule"
    weights, written = originals[name]
    (difference,) = written.differences
    assert "a/b times as far" in difference.size
    change = 5  # the step at which the learning rate halves
    before = weights[change - 1]["a/bias"]  # which does not decay
    assert_close(migrated[name][change - 1], weights[change - 1], change - 1)
    gradient = _bias_gradient(before, cases.batch(change))
    moved = [before - now["a/bias"] - LR / 2 * gradient for now in (weights[change], migrated[name][change])]
    np.testing.assert_allclose(moved[1] / moved[0], 2.0, rtol=1e-3)


def _bias_gradient(w, x):
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.constant(w)
        return session.run(tf.gradients(cases.data_loss(tf, {"a/bias": variable}, x), variable)[0])
