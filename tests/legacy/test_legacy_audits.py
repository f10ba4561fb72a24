"""What `tf1-wd audit` says of each example is what the example's header expects."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import tf1_wd
from support.legacy_oracles import SCRIPTS, header
from tf1_wd.commands.audit.report import CODES

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(tf1_wd.__file__)))


def audit(name, directory):
    environment = dict(os.environ, PYTHONPATH=PACKAGE)
    environment.pop("TF_USE_LEGACY_KERAS", None)
    script = SCRIPTS[name]
    process = subprocess.run(
        [sys.executable, "-m", "tf1_wd", "audit", "--json", script.path, *script.arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr.decode(errors="replace")[-4000:]
    return json.loads(process.stdout.decode())


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_audit_of_an_example_equals_its_header(name, tmp_path):
    report, expected = audit(name, str(tmp_path)), header(name)
    assert {finding["code"] for finding in report["findings"]} == set(expected.findings)
    assert report["variables"]
    for variable in report["variables"]:
        row = expected.row(variable["name"])
        assert variable["rate"] == (row.rate and pytest.approx(row.rate, rel=1e-6)), row
        assert variable["place"] == row.place
        assert (", ".join(variable["updated_by"]) or "-") == row.updated_by


def test_the_headers_show_every_finding_that_trains_to_the_same_bits_twice():
    found = {code for name in SCRIPTS for code in header(name).findings}
    assert found == set(CODES) - {"stale-reads", "ambiguous", "negative"}
