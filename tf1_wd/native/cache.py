"""Compiled ops on disk: `<cache>/<TensorFlow>/<compiler>/libtf1_wd.so`, each with its stamp. Imports no TensorFlow."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from typing import Any, Callable

from tf1_wd.errors import NativeOpError
from tf1_wd.native import build

LIBRARY = "libtf1_wd.so"
STAMP = "stamp.json"
PREBUILT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prebuilt")


def cache_directory() -> str:
    """$TF1_WD_CACHE, else tf1_wd in $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("TF1_WD_CACHE")
    if cache:
        return os.path.abspath(cache)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "tf1_wd")


def tensorflow_directory(tensorflow: build.TensorFlowBuild) -> str:
    """Where ops for this TensorFlow and these sources are kept, one directory for each compiler."""
    needed = build.requirements(tensorflow)
    digest = hashlib.sha256(json.dumps(needed, sort_keys=True).encode()).hexdigest()
    name = "tf%s-abi%d-%s-%s" % (tensorflow.version, tensorflow.abi, needed["platform"], digest[:12])
    return os.path.join(cache_directory(), name)


def compiler_directory(tensorflow: build.TensorFlowBuild, compiler: build.Compiler) -> str:
    """Where the op made by this compiler is kept."""
    name = re.sub(r"[^A-Za-z0-9.+]+", "-", compiler.version).strip("-")
    return os.path.join(tensorflow_directory(tensorflow), name)


def read_stamp(directory: str) -> Any:
    """The stamp in `directory`, or None."""
    try:
        with open(os.path.join(directory, STAMP)) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def valid_library(directory: str, tensorflow: build.TensorFlowBuild) -> str | None:
    """Path of the op in `directory` if it is whole and made for this TensorFlow and these sources, else None."""
    path = os.path.join(directory, LIBRARY)
    stamp = read_stamp(directory)
    if not isinstance(stamp, dict) or not os.path.exists(path):
        return None
    needed = build.requirements(tensorflow)
    matches = all(stamp.get(key) == value for key, value in needed.items())
    return path if matches and stamp.get("library") == build.file_digest(path) else None


def any_valid_library(tensorflow: build.TensorFlowBuild) -> str | None:
    """Path of an op for this TensorFlow made by any compiler, else None."""
    parent = tensorflow_directory(tensorflow)
    names = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
    paths = (valid_library(os.path.join(parent, name), tensorflow) for name in names)
    return next((path for path in paths if path), None)


def install(
    tensorflow: build.TensorFlowBuild,
    compiler: build.Compiler,
    directory: str,
    progress: Callable[[float], None] | None = None,
) -> str:
    """Compiles beside `directory`, then moves op and stamp into it; a killed run leaves only a directory to sweep."""
    os.makedirs(directory, exist_ok=True)
    work = tempfile.mkdtemp(prefix="building-", dir=directory)
    try:
        library = os.path.join(work, LIBRARY)
        build.compile_library(tensorflow, compiler, library, progress)
        stamp = os.path.join(work, STAMP)
        made = {"compiler": compiler.version, "library": build.file_digest(library)}
        with open(stamp, "w") as file:
            json.dump({**build.requirements(tensorflow), **made}, file, indent=1, sort_keys=True)
        # The stamp goes last and holds the op's digest, so that a mixture of old and new is seen.
        os.replace(library, os.path.join(directory, LIBRARY))
        os.replace(stamp, os.path.join(directory, STAMP))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return os.path.join(directory, LIBRARY)


def find_or_build(
    tensorflow: build.TensorFlowBuild,
    before_build: Callable[[], None] | None = None,
    progress: Callable[[float], None] | None = None,
    force: bool = False,
) -> str:
    """Path of an op for this TensorFlow: from the cache, or compiled into it by one process while the others wait.

    before_build: called without arguments if the compiler is going to run.
    progress: see `build.compile_library`.
    force: compile even if the cache has it.
    Raises NativeOpError if there is no compiler, it fails, or the cache cannot be written.
    """
    try:
        compiler = build.find_compiler()
    except NativeOpError:
        path = any_valid_library(tensorflow)
        if path and not force:
            return path
        raise
    directory = compiler_directory(tensorflow, compiler)
    path = valid_library(directory, tensorflow)
    if path and not force:
        return path
    try:
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel drops the lock of a killed process
            path = valid_library(directory, tensorflow)
            if path and not force:
                return path
            for name in os.listdir(directory):
                if name.startswith("building-"):  # left by a killed process, as this one holds the lock
                    shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
            if before_build:
                before_build()
            return install(tensorflow, compiler, directory, progress)
    except OSError as error:
        raise NativeOpError(
            "the cache %s cannot be written (%s): set $TF1_WD_CACHE to a directory that can"
            % (cache_directory(), error)
        ) from error
