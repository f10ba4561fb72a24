"""docs/commands/migrate.md: its commands, what it shows of the code, how that is used."""

from __future__ import annotations

import os
import re
import subprocess

import numpy as np
import pytest

from support import migrating, reader
from support.pages import ROOT, assert_alike, runs, the
from support.tensorflow_2 import FLAVOURS, TF2_PYTHON, needs_tensorflow_2

SAVE = "\nnp.savez('after.npz', *after)\n"
FIT = """
import decoupled

model = net()
variables = decoupled.pair(model.trainable_variables)
model.compile(decoupled.make_optimizer(variables), "mse")
model.fit(inputs, targets, 8, shuffle=False, verbose=0)
"""
AFTER = "\nnp.savez(%r, *model.get_weights())\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the program of the first page on an idiom."""
    folder = tmp_path_factory.mktemp("program")
    program = migrating.BEGIN_TF1 + migrating.GROUPS["L2 in the loss, written by hand"].tf1
    (folder / "train.py").write_text(program + SAVE)
    return folder


def weights(folder):
    with np.load(str(folder / "after.npz")) as saved:
        return [saved["arr_%d" % i] for i in range(len(saved.files))]


def assert_trains_to(want, text, folder, flavour):
    (folder / "program.py").write_text(migrating.BEGIN_TF2 + text + AFTER % "after.npz")
    # not where this Python has the package: TF2_PYTHON may be another
    environment = dict(os.environ, TF_USE_LEGACY_KERAS=flavour, TF_CPP_MIN_LOG_LEVEL="3", PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [TF2_PYTHON, "program.py"], cwd=str(folder), env=environment, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    for got, wanted in zip(weights(folder), want):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.fixture(scope="module")
def trained(folder):
    """{way: weights} of the program as it is and under `tf1-wd run`, behind the commands of the page."""
    done = reader.shell(the("docs/commands/migrate.md", "tf1-wd migrate -o new.py train.py").text, folder)
    assert done.returncode == 0, done.stderr[-4000:]
    found = {"decoupled": weights(folder)}  # the third command trains last
    assert reader.shell("python train.py", folder).returncode == 0
    return dict(found, alone=weights(folder))


@runs("docs/commands/migrate.md", commands="tf1-wd migrate -o new.py train.py")
def test_the_commands_of_the_page_write_three_modules(commands, folder, trained):
    codes = {name: (folder / name).read_text() for name in ("new.py", "decoupled.py", "of_plan.py")}
    assert "tf.nn.l2_loss" in codes["new.py"]
    for name in ("decoupled.py", "of_plan.py"):
        assert "weight_decay=0.5," in codes[name]
    of_plan = re.sub(r".*# rows added up\n", "", codes["of_plan.py"])  # a plan does not tell which are tables
    ours, program = (text.split("import tensorflow", 1)[1] for text in (of_plan, codes["decoupled.py"]))
    assert ours.replace("plan.json", "train.py") == program


@runs("docs/commands/migrate.md", code="# name in the program")
def test_the_page_shows_what_is_written(code, folder, trained):
    assert_alike("... " + code.text, (folder / "new.py").read_text())


@needs_tensorflow_2
@pytest.mark.parametrize("flavour", FLAVOURS)
@runs("docs/commands/migrate.md", use="import new")
def test_what_is_written_is_used_as_the_page_says(use, folder, trained, flavour):
    assert_trains_to(trained["alone"], use.text, folder, flavour)


@needs_tensorflow_2
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_optimizer_with_all_of_the_decay_is_for_fit_too(folder, trained, flavour):
    parts = (ROOT / "docs/commands/migrate.md").read_text().split("`")
    (line,) = [part for part in parts if part.startswith("model.compile(decoupled.")]
    assert line in FIT
    assert_trains_to(trained["decoupled"], FIT, folder, flavour)
