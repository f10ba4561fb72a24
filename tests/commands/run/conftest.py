"""Executes programs in the process of a test."""

from __future__ import annotations

import sys
import textwrap

import pytest

from support.executing import MODEL, TRAIN
from tf1_wd.commands.run import run as runner
from tf1_wd.commands.run.execute import Program
from tf1_wd.plan.options import make_rules


@pytest.fixture
def execute(tmp_path, monkeypatch, kind):
    """Executes lines between MODEL and TRAIN as a program; returns (Run, its globals, the plans that were reported)."""
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    def run(lines, train=TRAIN, arguments=(), **options):
        script = tmp_path / "train.py"
        script.write_text(MODEL.format(resource=kind == "resource") + textwrap.dedent(lines) + train)
        plans = []
        rules = make_rules(**dict(dict(convention="adamw", source="loss"), **options))
        result = runner.run(Program(str(script), arguments), rules, plans.append)
        return result, vars(sys.modules["__main__"]), plans

    return run
