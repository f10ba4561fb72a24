"""Compiling the op: which compiler, which flags, what is said when it fails."""

from __future__ import annotations

import os
import shutil

import pytest

from support.builds import fake_compiler, run
from support.paths import ROOT
from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache, loader

TENSORFLOW = build.TensorFlowBuild("9.9.9", "v9", 1, ("-I/some/include", "-DX=1", "--std=c++17"), ("-L/some", "-l:tf"))
COMPILER = build.Compiler(("g++",), "g++ 12")


def test_build_and_cache_import_no_tensorflow():
    script = "import sys, tf1_wd.native.build, tf1_wd.native.cache; print('tensorflow' in sys.modules)"
    assert run(script, dict(os.environ, PYTHONPATH=str(ROOT)))[0] == "False\n"


def test_the_sources_compile_without_warnings_in_a_folder_of_any_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TF1_WD_CACHE", str(tmp_path / "cache, mine"))
    monkeypatch.setenv("CXX", "g++ -Werror")
    monkeypatch.setattr(build, "SOURCES", shutil.copytree(build.SOURCES, str(tmp_path / "a, b")))
    ticks = []
    path = cache.find_or_build(loader.tensorflow_build(), loader.try_library, progress=ticks.append)
    assert os.path.getsize(path) > 10000
    assert ticks == sorted(ticks)
    assert len(ticks) > 3


def test_cxx_names_the_compiler_and_its_options(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", fake_compiler(tmp_path, "") + " -m64")
    compiler = build.find_compiler()
    assert compiler.command[1:] == ("-m64",)
    assert compiler.version == "fake-c++ 1.0"


def test_cxx_may_be_a_relative_path(tmp_path, monkeypatch):
    path = fake_compiler(tmp_path, "touch $out")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXX", os.path.join(".", os.path.relpath(path)))
    build.compile_library(TENSORFLOW, build.find_compiler(), "op.so")
    assert (tmp_path / "op.so").exists()


def test_cpp_is_taken_where_there_is_no_gpp(tmp_path, monkeypatch):
    fake_compiler(tmp_path, "", name="c++")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "%s" % tmp_path)
    assert build.find_compiler().command == ("c++",)


def test_no_compiler_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NativeOpError, match=r"apt-get install g\+\+, or yum install gcc-c\+\+"):
        build.find_compiler()


def test_cxx_that_is_no_program_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(NativeOpError, match=r"\$CXX is 'no-such-compiler'"):
        build.find_compiler()


def test_a_failed_compilation_quotes_the_last_errors(tmp_path):
    action = "echo decay_cpu.cc:7: error: no such thing; echo compilation terminated.; exit 3"
    compiler = build.Compiler((fake_compiler(tmp_path, action),), "fake")
    with pytest.raises(NativeOpError, match=r"\(exit 3\): decay_cpu.cc:7: error: no such thing$"):
        build.compile_library(TENSORFLOW, compiler, str(tmp_path / "op.so"))


def test_a_compiler_that_makes_nothing_is_an_error(tmp_path):
    compiler = build.Compiler((fake_compiler(tmp_path, "true"),), "fake")
    with pytest.raises(NativeOpError, match=r"without .*op\.so"):
        build.compile_library(TENSORFLOW, compiler, str(tmp_path / "op.so"))


def standards(tensorflow):
    return [flag for flag in build.command_line(tensorflow, COMPILER, "op.so") if "std=" in flag]


def test_the_standard_is_the_one_that_tensorflow_names():
    assert standards(TENSORFLOW) == ["--std=c++17"]


@pytest.mark.parametrize(
    ("version", "standard"),
    [("1.15.5", "c++11"), ("2.1.4", "c++14"), ("2.9.3", "c++14"), ("2.10.1", "c++17"), ("2.11.0-rc1", "c++17")],
)
def test_where_tensorflow_names_no_standard_it_is_that_of_its_headers(version, standard):
    assert standards(TENSORFLOW._replace(version=version, compile_flags=("-I/i",))) == ["-std=" + standard]


def test_no_option_depends_on_the_cpu_of_this_machine():
    assert not [flag for flag in build.command_line(TENSORFLOW, COMPILER, "op.so") if flag.startswith("-m")]


def test_every_source_is_compiled():
    for path in build.source_files():
        if path.endswith(".cc"):
            assert '#include "%s"\n' % os.path.basename(path) in build.program_text()


@pytest.mark.parametrize(
    "other",
    [
        {"version": "9.9.8"},
        {"revision": "v8"},
        {"abi": 0},
        {"compile_flags": ("-I/some/include", "-DX=2", "--std=c++17")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_tensorflow_needs_another_op(other):
    assert build.requirements(TENSORFLOW) != build.requirements(TENSORFLOW._replace(**other))
    assert cache.tensorflow_directory(TENSORFLOW) != cache.tensorflow_directory(TENSORFLOW._replace(**other))


def test_the_same_tensorflow_in_another_place_shares_the_op():
    moved = TENSORFLOW._replace(compile_flags=("-I/other/include", "-DX=1", "--std=c++17"), link_flags=("-L/other",))
    assert build.requirements(TENSORFLOW) == build.requirements(moved)


def test_a_changed_source_needs_another_op(tmp_path, monkeypatch):
    before = build.requirements(TENSORFLOW)
    (tmp_path / "decay_cpu.cc").write_text("int changed;")
    monkeypatch.setattr(build, "SOURCES", str(tmp_path))
    assert build.requirements(TENSORFLOW) != before
