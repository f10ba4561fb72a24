"""Compiled ops on disk: `<cache>/<TensorFlow>/<compiler>/libtf1_wd.so`, each with its stamp. Imports no TensorFlow.

What could not be built is kept there too, with the reason, so that the next process does not compile it again.
A package may bring ops of its own, in `prebuilt/<TensorFlow>`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from typing import Any, Callable, Iterator

from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, trust

LIBRARY = "libtf1_wd.so"
STAMP = "stamp.json"
FAILURE = "failure.json"
PREBUILT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prebuilt")
WAIT_SECONDS = build.COMPILE_SECONDS + 200.0  # for another process, which compiles and tries what it made

# What raises NativeOpError, with the reason, for a library (its path) that does not work.
Check = Callable[[str], None]


def cache_directory() -> str:
    """$TF1_WD_CACHE, else tf1_wd in $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("TF1_WD_CACHE")
    if cache:
        return os.path.abspath(cache)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "tf1_wd")


def directory_name(tensorflow: build.TensorFlowBuild) -> str:
    """What a directory of ops for this TensorFlow and these sources is called, in the cache and in the package."""
    needed = build.requirements(tensorflow)
    digest = hashlib.sha256(json.dumps(needed, sort_keys=True).encode()).hexdigest()
    return "tf%s-abi%d-%s-%s" % (tensorflow.version, tensorflow.abi, needed["platform"], digest[:12])


def tensorflow_directory(tensorflow: build.TensorFlowBuild) -> str:
    """Where ops for this TensorFlow and these sources are kept, one directory for each compiler."""
    return os.path.join(cache_directory(), directory_name(tensorflow))


def compiler_directory(tensorflow: build.TensorFlowBuild, compiler: build.Compiler) -> str:
    """Where the op made by this compiler is kept."""
    name = re.sub(r"[^A-Za-z0-9.+]+", "-", compiler.version).strip("-")
    return os.path.join(tensorflow_directory(tensorflow), name[:100] or "compiler")


def read_stamp(directory: str, name: str = STAMP) -> Any:
    """The stamp in `directory`, or None."""
    try:
        with open(os.path.join(directory, name)) as file:
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


def prebuilt_library(tensorflow: build.TensorFlowBuild) -> str | None:
    """Path of the op for this TensorFlow that the package itself brings, else None."""
    return valid_library(os.path.join(PREBUILT, directory_name(tensorflow)), tensorflow)


def cached_library(directory: str, tensorflow: build.TensorFlowBuild) -> str | None:
    """As valid_library, in the cache; raises NativeOpError where another user can have put it there."""
    _check_trust(directory)
    for name in (LIBRARY, STAMP):
        if os.path.lexists(os.path.join(directory, name)):
            trust.check_file(os.path.join(directory, name))
    return valid_library(directory, tensorflow)


def any_cached_library(tensorflow: build.TensorFlowBuild) -> str | None:
    """Path of an op for this TensorFlow made by any compiler, else None."""
    parent = tensorflow_directory(tensorflow)
    _check_trust(parent)
    names = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
    paths = (cached_library(os.path.join(parent, name), tensorflow) for name in names)
    return next((path for path in paths if path), None)


def install(
    tensorflow: build.TensorFlowBuild,
    compiler: build.Compiler,
    directory: str,
    check: Check,
    progress: Callable[[float], None] | None = None,
) -> str:
    """Compiles beside `directory`, tries the op, then moves it and its stamp there.

    A run that is killed leaves only a directory to sweep. Raises NativeOpError.
    """
    _make_folders(directory)
    build.check_space(directory)
    work = tempfile.mkdtemp(prefix="building-", dir=directory)
    try:
        library = os.path.join(work, LIBRARY)
        build.compile_library(tensorflow, compiler, library, progress)
        check(library)
        os.chmod(library, 0o755)  # whatever the umask
        made = {"compiler": compiler.version, "library": build.file_digest(library)}
        stamp = _write(work, STAMP, {**build.requirements(tensorflow), **made})
        # The stamp goes last and holds the op's digest, so that a mixture of old and new is seen.
        os.replace(library, os.path.join(directory, LIBRARY))
        os.replace(stamp, os.path.join(directory, STAMP))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return os.path.join(directory, LIBRARY)


def find_or_build(
    tensorflow: build.TensorFlowBuild,
    check: Check,
    before_build: Callable[[], None] | None = None,
    before_wait: Callable[[str], None] | None = None,
    progress: Callable[[float], None] | None = None,
    retry: bool = False,
    force: bool = False,
) -> str:
    """Path of an op for this TensorFlow: from the cache, or compiled into it by one process while the others wait.

    check: tries a library that was compiled. before_build: called without arguments if the compiler is going to run.
    before_wait: called with the number of the process that compiles meanwhile, if there is one.
    progress: see `build.compile_library`. retry: compile even if that has failed before; force: even if the cache has
    the op.
    Raises NativeOpError if there is no compiler, it fails or has failed before, what it made does not work, the cache
    cannot be written, or others can write it.
    """
    try:
        compiler = build.find_compiler()
    except NativeOpError:
        path = any_cached_library(tensorflow)
        if path and not force:
            return path
        raise
    directory = compiler_directory(tensorflow, compiler)
    path = cached_library(directory, tensorflow)
    if path and not force:
        return path
    if not (retry or force):
        _raise_failure(directory, tensorflow, compiler)
    try:
        _make_folders(directory)
        _check_trust(directory)
        with _locked(directory, before_wait):
            path = cached_library(directory, tensorflow)
            if path and not force:
                return path
            if not (retry or force):  # that of the process which was waited for
                _raise_failure(directory, tensorflow, compiler)
            _sweep(directory)
            if before_build:
                before_build()
            with _remembered(directory, tensorflow, compiler):
                return install(tensorflow, compiler, directory, check, progress)
    except OSError as error:
        raise NativeOpError(
            "the cache %s cannot be written (%s): set $TF1_WD_CACHE to a directory that can"
            % (cache_directory(), error)
        ) from error


@contextlib.contextmanager
def _remembered(directory: str, tensorflow: build.TensorFlowBuild, compiler: build.Compiler) -> Iterator[None]:
    """Keeps a failure, unless it is that of a full disk; a success is the end of one before."""
    try:
        yield
    except NativeOpError as error:
        build.check_space(directory)  # which is the reason then
        with contextlib.suppress(OSError):
            _write(directory, FAILURE, {**_attempt(tensorflow, compiler), "reason": str(error)})
        raise
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(directory, FAILURE))


def _attempt(tensorflow: build.TensorFlowBuild, compiler: build.Compiler) -> dict[str, Any]:
    """What makes two attempts to build the op the same."""
    return {**build.requirements(tensorflow), "command": list(compiler.command)}


def _raise_failure(directory: str, tensorflow: build.TensorFlowBuild, compiler: build.Compiler) -> None:
    failure, attempt = read_stamp(directory, FAILURE), _attempt(tensorflow, compiler)
    if isinstance(failure, dict) and all(failure.get(key) == value for key, value in attempt.items()):
        raise NativeOpError("%s (as it was before: `tf1-wd build` tries it again)" % failure.get("reason"))


def _make_folders(path: str) -> None:
    """As os.makedirs, but that nobody else can write what is made, whatever the umask."""
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o755)


def _sweep(directory: str) -> None:
    """Removes what a killed process has left; whoever calls it holds the lock."""
    for entry in os.scandir(directory):
        if entry.name.startswith("building-"):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.remove(entry.path)


def _check_trust(directory: str) -> None:
    """Raises NativeOpError where others can have written to the cache; what is below it is no link."""
    root = cache_directory()
    trust.check_folder(root)
    while len(directory) > len(root):
        trust.check_own_folder(directory)
        directory = os.path.dirname(directory)


@contextlib.contextmanager
def _locked(directory: str, before_wait: Callable[[str], None] | None) -> Iterator[None]:
    """Holds the lock of `directory`, in which its process writes its number; the kernel drops that of a dead one."""
    path, flags = os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "r+") as lock:
        start, told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - start
            if waited > 1.0 and not told:
                told = True
                if before_wait:
                    before_wait(_holder(lock))
            if waited > WAIT_SECONDS:
                raise NativeOpError(
                    "process %s holds %s for more than %g s: end it, and run `tf1-wd build`"
                    % (_holder(lock), path, WAIT_SECONDS)
                )
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(lock: Any) -> str:
    lock.seek(0)
    return lock.read(20) or "?"


def _write(directory: str, name: str, values: dict[str, Any]) -> str:
    """Writes a stamp as a whole, and returns its path."""
    path = os.path.join(directory, name)
    fd, half = tempfile.mkstemp(prefix="building-", dir=directory)
    with os.fdopen(fd, "w") as file:
        json.dump(values, file, indent=1, sort_keys=True)
    os.chmod(half, 0o644)
    os.replace(half, path)
    return path
