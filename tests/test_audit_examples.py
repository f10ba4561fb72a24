"""The audit of every program in legacy_examples is what its docstring says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from legacy_oracles import SCRIPTS, header

import tf1_wd

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(tf1_wd.__file__)))


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_audit_of_an_example_equals_its_header(name, tmp_path):
    environment = dict(os.environ, PYTHONPATH=PACKAGE)
    environment.pop("TF_USE_LEGACY_KERAS", None)
    command = [sys.executable, "-m", "tf1_wd", "audit", "--json", SCRIPTS[name].path, *SCRIPTS[name].arguments]
    done = subprocess.run(command, cwd=str(tmp_path), env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    report, expected = json.loads(done.stdout.decode()), header(name)
    assert report["variables"]
    for v in report["variables"]:
        row = expected.row(v["name"])
        said = v["rate"], v["place"], ", ".join(v["updated_by"]) or "-"
        want = row.rate if row.rate is None else pytest.approx(row.rate, rel=1e-5), row.place, row.updated_by
        assert said == want, v["name"]
    assert {finding["code"] for finding in report["findings"]} == set(expected.findings)
