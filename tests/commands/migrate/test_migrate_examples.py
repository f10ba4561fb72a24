"""Programs of legacy_examples and what `tf1-wd migrate` writes of them train to the same weights in 20 steps."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from support.legacy_oracles import SCRIPTS, saved
from support.paths import ROOT
from support.tensorflow_2 import TF2_PYTHON, needs_tensorflow_2

STEPS = 20
AS_IT_IS, DECOUPLED = ("--decay", "off"), ()
# example -> how `tf1-wd run` trains it, and so how it is migrated
WAYS = [
    ("tf_layers_cnn", AS_IT_IS),  # Adam, L2 in the loss; the model is one of Keras
    ("tf_layers_cnn", DECOUPLED),  # AdamW of Keras
    ("cifar_train", AS_IT_IS),  # momentum with a learning rate that falls
    ("three_optimizers", DECOUPLED),  # on one loss, learning rates that are fed; the decay op
    ("gan", AS_IT_IS),  # two losses in turn
]


def executed(directory, python, *command):
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3")
    environment.pop("TF_USE_LEGACY_KERAS", None)
    done = subprocess.run([python, *command], cwd=directory, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return done.stderr.decode(errors="replace")


@needs_tensorflow_2
@pytest.mark.parametrize(("name", "way"), WAYS, ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_the_code_trains_to_the_weights_of_the_program(name, way, tmp_path):
    script, directory = SCRIPTS[name], str(tmp_path)
    program = (script.path, "--steps=%d" % STEPS, *script.arguments)
    options = ("--strict", "-o", "new.py", *(() if way else ("--decoupled",)))
    executed(directory, sys.executable, "-m", "tf1_wd", "migrate", *options, *program)
    executed(directory, sys.executable, "-m", "tf1_wd", "run", *way, *program)
    start, end = (os.path.join(directory, place.replace("-5", "-%d" % STEPS)) for place in (script.start, script.end))
    case = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "migrated_examples.py")
    executed(directory, TF2_PYTHON, case, name, "new.py", start, "weights.npz")
    program, before, code = (saved(directory, place) for place in (end, start, "weights.npz"))
    assert code
    for variable, weights in code.items():
        tolerance = 1e-4 * np.abs(weights).max()
        np.testing.assert_allclose(weights, program[variable], rtol=0, atol=tolerance, err_msg=variable)
        assert np.abs(weights - before[variable]).max() > 50 * tolerance, "%s hardly moves" % variable
