"""The command tf1-wd: verbs, exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import tf1_wd
from support.pages import assert_alike, runs
from support.paths import ROOT
from tf1_wd.cli import main as cli
from tf1_wd.errors import PACKAGES


def command(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment.update(variables, PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, "-m", "tf1_wd", *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_help_lists_the_verbs_and_imports_no_tensorflow():
    script = (
        "import sys\n"
        "from tf1_wd.cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "finally:\n"
        "    print([m for m in sys.modules if m in ('tensorflow', 'numpy', 'matplotlib')])"
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    output = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)
    assert output.endswith("[]\n")
    for verb, (_, summary) in cli.VERBS.items():
        assert verb in output
        assert summary.split(",")[0].split()[0] in output


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    assert "usage: tf1-wd %s" % verb in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == "tf1-wd %s\n" % tf1_wd.__version__


@pytest.mark.parametrize(("arguments", "message"), [([], "VERB"), (["demmo"], "invalid choice: 'demmo'")])
def test_wrong_usage_is_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_exit_code_1(capsys):
    assert cli.main(["demo", "--steps", "0"]) == 1
    assert "tf1-wd demo: steps=0: the demo needs at least one\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "verb", "what"),
    [
        *(("tensorflow", verb, "tf1_wd") for verb in ("audit", "run", "migrate", "demo")),
        *((package, "demo", "the demo") for package in ("tf_slim", "matplotlib", "tqdm")),
        ("libcst", "patch", "this command"),
    ],
)
def test_a_missing_package_is_one_line_that_names_its_command(package, verb, what, tmp_path):
    words = [verb] if verb == "demo" else [verb, str(tmp_path / "program.py")]
    (tmp_path / "program.py").write_text("import tensorflow as tf")
    script = "import sys; sys.modules[%r] = None; from tf1_wd.cli.main import main; sys.exit(main(%r))" % (
        package,
        words,
    )
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3")
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert done.returncode == 2
    last = done.stderr.decode().strip().splitlines()[-1]
    assert last == "tf1-wd %s: %s needs a package: pip install %s" % (verb, what, PACKAGES[package])
    if package == "tensorflow":
        assert done.stderr.decode().count("\n") == 1


def test_a_file_that_cannot_be_written_is_found_before_the_training(capsys):
    assert cli.main(["demo", "--png", "/nowhere/curves.png"]) == 2
    assert "cannot write /nowhere/curves.png" in capsys.readouterr().err


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    png, report = str(folder / "curves.png"), str(folder / "report.json")
    return command("demo", "--steps", "3", "--png", png, "--json", report), png, report


def test_the_demo_prints_plan_table_and_files(demo):
    done, png, report = demo
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("fc4/weights") and "0.001" in line for line in lines)
    methods = ["L2 in the loss", "pasted snippet", "true decay"]
    assert [line.split("  ")[0] for line in lines if " 5/5 " in line] == methods
    assert lines[-2:] == ["Curves: %s" % png, "Report: %s" % report]


def without_the_race(table):
    """The table without the rule of the snippet on resource variables, which is whatever its reads happened to see."""
    rows = [re.split(" {2,}", line) for line in table.splitlines() if not line.startswith("---")]
    race = next(row for row in rows if row[0] == "pasted snippet").pop()
    assert re.fullmatch(r"((decays (old|updated) weights|no decay) \d/5(, |$))+", race), race
    return "\n".join("  ".join(row) for row in rows)


@runs("README.md", shown="method test accuracy (%)")
def test_the_demo_prints_the_table_of_the_readme(shown, request):
    """But for what is measured. .ci/run names in $TF1_WD_DEMO_OUTPUT what the whole demo printed."""
    path = os.environ.get("TF1_WD_DEMO_OUTPUT")
    printed = pathlib.Path(path).read_text() if path else request.getfixturevalue("demo")[0].stdout
    tables = [part for part in printed.split("\n\n") if part.startswith("method ")]
    assert len(tables) == 1, printed
    assert_alike(without_the_race(shown.text), without_the_race(tables[0]), measured=r"\b\d+\.\d\d\b")
    assert "\n\nCurves: " in printed


def test_the_demo_writes_its_png_and_report(demo):
    _, png, report = demo
    with open(png, "rb") as file:
        assert file.read(4) == b"\x89PNG"
    with open(report) as file:
        assert json.load(file)["steps"] == 3


def test_stderr_of_the_demo_is_the_progress_bar_alone(demo):
    """But for what is said the first time: by tf1_wd, and by Matplotlib where it looks for fonts for five seconds."""
    lines = demo[0].stderr.replace("\r", "\n").splitlines()
    assert any("3/3" in line for line in lines)
    known = "training three ways", "tf1_wd: compiling", "Matplotlib is building the font cache"
    assert [line for line in lines if line and not line.startswith(known)] == []
