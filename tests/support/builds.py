"""What the tests of build, cache and loader share: compilers that only pretend, and processes with a clean cache."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

from support.paths import ROOT
from tf1_wd.native import loader


def fake_compiler(directory, action, name="fake-c++"):
    """A program that logs one line for each compilation, then runs `action`: shell text with $out and $count."""
    path, log = os.path.join(str(directory), name), os.path.join(str(directory), "log")
    with open(path, "w") as file:
        file.write(
            "#!/bin/sh\n"
            'case "$*" in *--version) echo "%s 1.0"; exit 0;; esac\n'
            "echo $$ >> %s\n"
            "count=$(wc -l < %s)\n"
            'while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done\n'
            "%s\n" % (name, log, log, action)
        )
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return path


def copy_of_the_op():
    """The action of a compiler that works: it copies the op this process has compiled."""
    return "cp %s $out" % loader.status().path


def compilations(directory):
    """How often the fake compiler in `directory` was asked to compile."""
    log = os.path.join(str(directory), "log")
    if not os.path.exists(log):
        return 0
    with open(log) as file:
        return len(file.readlines())


def environment(cache, **more):
    """The environment of a process of its own."""
    return dict(os.environ, TF1_WD_CACHE=str(cache), PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3", **more)


def start(script, env, **options):
    """Starts Python on `script`; what it prints is kept."""
    command = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, universal_newlines=True, **options)


def run(script, env):
    """(what Python prints on stdout, on stderr); fails if it fails."""
    process = start(script, env)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out, err
