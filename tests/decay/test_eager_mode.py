"""Eager mode and its functions are refused, functions of a graph are not: see cases/eager_mode.py for the checks."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("cases") / "eager_mode.py"
CHECKS = re.findall(r"def check_(\w+)", PROGRAM.read_text())


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """{name of a check: what is wrong, or None}."""
    file = tmp_path_factory.mktemp("eager") / "layer-params.cfg"
    file.write_text("[w] epsW=0.25 epsB=0.25 momW=0 momB=0 wc=0.25")
    done = subprocess.run([sys.executable, str(PROGRAM), str(file)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("check", CHECKS)
def test_in_a_process_that_executes_eagerly(check, wrong):
    found = wrong["check_" + check]
    assert found is None, found
