"""The checks under compute-sanitizer's memcheck, which sees any access of kernels to memory that is not allocated."""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SEEN = "Invalid __global__"
CLEAN = "ERROR SUMMARY: 0 errors"
# Of the wheels on PyPI, only those for CUDA 13 are complete; those for CUDA 12 lack TreeLauncherSubreaper.
INSTALL = "pip install nvidia-cuda-sanitizer-api, or install a CUDA toolkit"


def find_sanitizer():
    """Path of compute-sanitizer, or None: on PATH, in a CUDA toolkit, or of the package from PyPI."""
    toolkits = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), *sorted(glob.glob("/usr/local/cuda*"))[::-1]]
    package = importlib.util.find_spec("nvidia")
    folders = list(package.submodule_search_locations) if package else []
    packaged = [path for folder in folders for path in sorted(glob.glob(os.path.join(folder, "cu[0-9]*")))[::-1]]
    candidates = [os.path.join(root, "bin", "compute-sanitizer") for root in [*toolkits, *packaged] if root]
    return next(filter(None, map(shutil.which, ["compute-sanitizer", *candidates])), None)


def memcheck():
    """Prints what memcheck found; True, False, or None if it could not be run."""
    sanitizer = find_sanitizer()
    if sanitizer is None:
        return _not_run("compute-sanitizer was not found: %s" % INSTALL)
    _, lines = _run(sanitizer, "--overrun")
    if not any(SEEN in line for line in lines):
        return _not_run("%s does not see an access behind a tensor:\n%s" % (sanitizer, "\n".join(lines[-15:])))
    code, lines = _run(sanitizer, "--exact")
    if code or not any(CLEAN in line for line in lines):
        print("memcheck FAILED:\n%s" % "\n".join(lines[-60:]))
        return False
    checked = sum(line.endswith(": ok") for line in lines)
    print(
        "memcheck: no error in %d checks; an access behind a tensor, made on purpose, was seen (%s)"
        % (checked, sanitizer)
    )
    return True


def _not_run(reason):
    print("=" * 72 + "\nMEMCHECK WAS NOT RUN: %s\n" % reason + "=" * 72)


def _run(sanitizer, option):
    """(exit code, lines) of the checks under memcheck; any error of memory makes the code 99."""
    # padding: what lies behind a tensor is no other tensor
    command = [sanitizer, "--tool", "memcheck", "--error-exitcode", "99", "--padding", "64"]
    command += [sys.executable, os.path.join(HERE, "checks.py"), option]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800)
    return ran.returncode, ran.stdout.decode(errors="replace").splitlines()


if __name__ == "__main__":
    sys.exit(0 if memcheck() else 1)
