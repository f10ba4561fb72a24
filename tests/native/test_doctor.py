"""The doctor reports and the build verb builds, with or without TensorFlow and a compiler."""

from __future__ import annotations

import argparse
import json

from support.builds import compilations, copy_of_the_op, environment, fake_compiler, run
from tf1_wd.cli import build as build_verb
from tf1_wd.cli import doctor as doctor_verb
from tf1_wd.commands import doctor
from tf1_wd.errors import PACKAGES
from tf1_wd.native import cache, loader


def run_verb(verb, *words):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return verb.run(parser.parse_args(words))


def test_the_report_tells_what_is_in_use():
    report = doctor.diagnose()
    assert report["tensorflow"]["version"] == loader.tensorflow_build().version
    assert report["op"]["state"] == "native"
    assert report["op"]["built_for"] == report["tensorflow"]["version"]
    assert report["op"]["path"] == loader.status().path
    assert report["cache"] == cache.cache_directory()
    assert report["gpu"]["tensorflow"] == ("sees a GPU" if loader.gpu_visible() else "sees no GPU")
    assert report["gpu"]["driver"] == loader.describe_gpus()
    works = "compiled op" if loader.gpu_problem() is None else "TensorFlow's own ops: " + loader.gpu_problem()
    assert report["gpu"]["decay"] == (works if loader.gpu_visible() else None)
    assert doctor.is_healthy(report)
    assert json.loads(json.dumps(report)) == report


def test_doctor_prints_a_table_or_json(capsys):
    assert run_verb(doctor_verb) == 0
    assert "op state               native" in capsys.readouterr().out
    assert run_verb(doctor_verb, "--json") == 0
    assert json.loads(capsys.readouterr().out)["op"]["state"] == "native"


WITHOUT_TENSORFLOW = (
    "import sys, argparse\n"
    "sys.modules['tensorflow'] = None\n"
    "from tf1_wd.cli import build, doctor\n"
    "print(doctor.run(argparse.Namespace(json=False)), build.run(argparse.Namespace(force=False)))\n"
)


def test_without_tensorflow_both_verbs_say_so(tmp_path):
    out, err = run(WITHOUT_TENSORFLOW, environment(tmp_path))
    assert "tensorflow missing" in out
    assert "needs a package: pip install %s" % PACKAGES["tensorflow"] in " ".join(out.split())
    assert out.endswith("1 1\n")
    assert err.startswith("tf1-wd build: TensorFlow cannot be imported")


def test_without_a_compiler_the_doctor_tells_what_to_install(tmp_path):
    script = (
        "import json\nfrom tf1_wd.commands import doctor\nreport = doctor.diagnose()\n"
        "print(json.dumps([report, doctor.is_healthy(report)]))\n"
    )
    out, _ = run(script, environment(tmp_path, CXX="no-such-compiler"))
    report, healthy = json.loads(out)
    assert not healthy
    assert report["op"]["state"] == "twin"
    assert "no-such-compiler" in report["op"]["reason"]
    assert "no-such-compiler" in report["compiler"]["missing"]


def test_build_prints_its_path_and_shows_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, copy_of_the_op()))
    assert run_verb(build_verb) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(str(tmp_path / "cache"))
    assert captured.err.startswith("compiling the decay op for TensorFlow")
    assert captured.err.endswith(": done\n")
    assert run_verb(build_verb) == 0
    assert capsys.readouterr() == (captured.out, "")
    assert run_verb(build_verb, "--force") == 0
    assert compilations(tmp_path) == 2


def test_a_failed_build_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, "echo op.cc:1: error: out of luck; exit 1"))
    assert run_verb(build_verb) == 1
    assert "out of luck" in capsys.readouterr().err


def test_a_build_that_does_not_load_exits_with_1_and_the_doctor_says_the_same(tmp_path):
    env = environment(tmp_path / "cache", CXX=fake_compiler(tmp_path, "echo garbage > $out"))
    script = (
        "import contextlib, io, json\n"
        "from tf1_wd.cli.main import main\n"
        "said = io.StringIO()\n"
        "with contextlib.redirect_stderr(said): built = main(['build'])\n"
        "told = io.StringIO()\n"
        "with contextlib.redirect_stdout(told): healthy = main(['doctor', '--json'])\n"
        "print(json.dumps([built, said.getvalue(), healthy, json.loads(told.getvalue())['op']]))\n"
    )
    built, said, healthy, op = json.loads(run(script, env)[0].splitlines()[-1])
    reason = "the op was compiled, and does not work: it does not load: "
    assert (built, healthy, op["state"]) == (1, 1, "twin")
    assert reason in said
    assert op["reason"].startswith(reason)
    assert compilations(tmp_path) == 1
