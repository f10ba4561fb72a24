"""The op's GPU kernels inside real TensorFlow, on a fake driver: there is no GPU, they are compiled for the CPU.

The cases are in fake_gpu/cases_*.py. They run in processes of their own, for which alone there is a GPU; each of
them is one test here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree

import pytest
import tensorflow.compat.v1 as tf
from fake_gpu.build import build

from support.paths import ROOT
from tf1_wd.native import loader

pytestmark = pytest.mark.skipif(
    not tf.test.is_built_with_cuda(),
    reason="the wheel tensorflow %s has no GPU code to run on a fake driver" % tf.version.VERSION,
)

CASES = os.path.join(ROOT, "tests", "native", "fake_gpu")
KERNELS = os.path.join(ROOT, "tf1_wd", "native", "csrc", "decay_kernel.cu")
# files of cases, and options, of each process; tests/conftest.py turns TensorFlow 2 into graph mode
PROCESSES = ((["cases_graph", "cases_training"], []), (["cases_eager"], ["--noconftest"]))


def cases(name):
    """The names of the tests in a file of cases."""
    with open(os.path.join(CASES, name + ".py")) as file:
        return re.findall(r"^def (test_\w+)", file.read(), re.MULTILINE)


def start(directory, files, options, environment):
    """pytest on these files, its report and its log in `directory`."""
    paths = [os.path.join(CASES, name + ".py") for name in files]
    report, log, calls = (os.path.join(directory, files[0] + end) for end in (".xml", ".log", ".calls"))
    open(calls, "w").close()
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--tb=short"]
    command += ["--junitxml", report, *options, *paths]
    env = dict(os.environ, **environment, FAKE_GPU_DEVICES="2", FAKE_GPU_LOG=calls, TF_CPP_MIN_LOG_LEVEL="2")
    with open(log, "w") as file:
        return subprocess.Popen(command, cwd=CASES, env=env, stdout=file, stderr=subprocess.STDOUT), report, log


def outcomes_of(process, report, log):
    """{name of a test: what failed, one text for each of its parameters, empty for success}."""
    try:
        process.wait(timeout=400)
    finally:
        process.kill()
        process.wait()
    if not os.path.exists(report):
        with open(log) as file:
            pytest.fail("the process ended with %s:\n%s" % (process.returncode, file.read()[-5000:]))
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        key = case.get("classname").split(".")[-1], case.get("name").split("[")[0]
        found.setdefault(key, []).append("".join(child.text for child in case if child.text))
    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """{(file, name): what failed} of all cases; the processes run at the same time."""
    loader.native_ops()  # compiled before they all ask for it
    directory = str(tmp_path_factory.mktemp("fake_gpu"))
    environment = build(directory, KERNELS)
    started = [start(directory, files, options, environment) for files, options in PROCESSES]
    return {key: failures for each in [outcomes_of(*one) for one in started] for key, failures in each.items()}


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for files, _ in PROCESSES for file in files for name in cases(file)]
)
def test_fake_driver(outcomes, file, name):
    failures = outcomes[file, name]
    assert failures
    assert not any(failures), "\n".join(failures)
