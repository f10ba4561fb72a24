"""tf1_wd.tf2.decay, in processes that execute eagerly: see cases/tf2_decay.py for the checks."""

from __future__ import annotations

import functools
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("cases") / "tf2_decay.py"
CHECKS = re.findall(r"def check_(\w+)", PROGRAM.read_text())


@functools.lru_cache(maxsize=None)
def wrong(*args):
    """{name of a check: what is wrong, or None}."""
    command = [sys.executable, str(PROGRAM), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("check", CHECKS)
def test_decay_in_tensorflow_2(check):
    found = wrong("0")["check_" + check]
    assert found is None, found


@pytest.mark.skipif(importlib.util.find_spec("tf_keras") is None, reason="pip install tf-keras (2.16 and later)")
@pytest.mark.parametrize("check", [check for check in CHECKS if "keras" in check])
def test_decay_of_the_variables_of_tf_keras(check):
    found = wrong("1")["check_" + check]
    assert found is None, found
