"""Installing where TensorFlow is importable puts the compiled op into the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from support.builds import copy_of_the_op, environment, fake_compiler
from support.paths import ROOT
from tf1_wd.native import cache, loader


def build_package(target, compiler):
    """What `setup.py build_py` says, with its result in `target`."""
    command = [sys.executable, "-W", "ignore", "setup.py", "-q", "build_py", "--build-lib", str(target)]
    env = environment(target, CXX=compiler)
    built = subprocess.run(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    assert built.returncode == 0, built.stderr
    return built.stderr


@pytest.fixture
def prebuilt(tmp_path):
    return str(tmp_path / "lib" / "tf1_wd" / "native" / "prebuilt")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="tells what a clone holds: git clone")
def test_the_source_package_holds_every_file_of_the_clone(tmp_path):
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    for name in tracked:
        (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(ROOT / name), str(tmp_path / "clone" / name))
    command = [sys.executable, "-W", "ignore", "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(command, cwd=str(tmp_path / "clone"), check=True, stderr=subprocess.PIPE)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(str(archive)) as file:
        packed = {name.partition("/")[2] for name in file.getnames()}
    assert set(tracked) - packed == set()


def test_the_package_holds_the_op_and_its_sources(tmp_path, prebuilt):
    said = build_package(tmp_path / "lib", fake_compiler(tmp_path, copy_of_the_op()))
    assert "tf1_wd: compiled the decay op for TensorFlow %s" % loader.tensorflow_build().version in said
    tensorflow = loader.tensorflow_build()
    assert cache.valid_library(os.path.join(prebuilt, cache.directory_name(tensorflow)), tensorflow)
    assert os.path.exists(os.path.join(os.path.dirname(prebuilt), "csrc", "decay_cpu.cc"))


def test_a_failed_compilation_does_not_fail_the_installation(tmp_path, prebuilt):
    os.makedirs(prebuilt)
    with open(os.path.join(prebuilt, cache.LIBRARY), "w") as file:
        file.write("of a build before")
    said = build_package(tmp_path / "lib", fake_compiler(tmp_path, "echo op.cc:1: error: out of luck; exit 1"))
    assert "the decay op is left to first use" in said
    assert "out of luck" in said
    assert os.path.exists(os.path.join(os.path.dirname(prebuilt), "csrc", "decay_cpu.cc"))
    assert not [name for _, _, names in os.walk(prebuilt) for name in names]
