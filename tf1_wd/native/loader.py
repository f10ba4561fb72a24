"""Loads the compiled op into the running TensorFlow, building it first if need be; once per process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from typing import Any, NamedTuple

from tf1_wd._tf import tf
from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache, supervised

TRY_SECONDS = 180.0  # to import TensorFlow and decay three elements


class Status(NamedTuple):
    """Which implementation this process uses, and why."""

    state: str  # "native" or "twin"
    path: str | None  # of the shared library, if native
    reason: str  # where it came from, or why there is none
    stamp: dict[str, Any] | None  # what the library was made for


_lock = threading.Lock()
_loaded: tuple[Status, Any] | None = None  # with the module of the ops, or None


def status() -> Status:
    """The Status of this process; the first call loads the op, and compiles it if it is nowhere."""
    return _load_once()[0]


def native_ops() -> Any:
    """The module of the ops' Python functions. Raises NativeOpError with the reason if there is none."""
    current, ops = _load_once()
    if ops is None:
        raise NativeOpError("the compiled decay op is not available: %s" % current.reason)
    return ops


def load_native_op() -> None:
    """Makes the decay op known to this process, for a parameter server: w <- w - (rate * scale) * w.

    Compiles the op if it is nowhere. A process that builds the graph loads it by itself; one that only holds variables
    has to be told to, before training begins: then the others can ask for backend="native".

    Raises: NativeOpError, with the reason, where the op cannot be compiled or loaded.

    Example:
      >>> tf1_wd.load_native_op()
      >>> tf.train.Server(cluster, job_name="ps", task_index=0).join()

    Source: tf.load_op_library, which knows of its own process alone.
    """
    native_ops()


def tensorflow_build() -> build.TensorFlowBuild:
    """What the running TensorFlow says of its own build."""
    return build.TensorFlowBuild(
        version=tf.version.VERSION,
        revision=tf.version.GIT_VERSION,
        abi=int(tf.sysconfig.CXX11_ABI_FLAG),
        compile_flags=tuple(tf.sysconfig.get_compile_flags()),
        link_flags=tuple(tf.sysconfig.get_link_flags()),
    )


def try_library(path: str) -> None:
    """Decays three elements by a library, in a process of its own. Raises NativeOpError, with the reason."""
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment = {**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    command = [sys.executable, "-m", "tf1_wd.native.try_library", os.path.abspath(path)]
    try:
        ran = supervised.run(command, TRY_SECONDS, cwd=os.sep, env=environment)
        lines = [line for line in ran.output.splitlines() if line.strip()] or ["exit %d" % ran.status]
        reason = "it ends its process (signal %d)" % (ran.status - 128) if ran.status > 128 else lines[-1]
        if ran.status == 0:
            return
    except TimeoutError:
        reason = "it did not decay three elements within %g s" % TRY_SECONDS
    tensorflow = tensorflow_build()
    abi = build.abi_of(tensorflow)
    if abi not in (None, tensorflow.abi):
        reason += "; this TensorFlow says that its C++ ABI is %d, and its library has %d" % (tensorflow.abi, abi)
    raise NativeOpError("the op was compiled, and does not work: %s. Name another compiler in $CXX" % reason)


def gpu_visible() -> bool:
    """True if this TensorFlow sees a GPU; opens no session."""
    return bool(tf.config.experimental.list_physical_devices("GPU"))


def gpu_problem() -> str | None:
    """Why the compiled op cannot run on any GPU of this machine, or None; makes no context on a GPU."""
    return _ask_library("tf1_wd_gpu_problem") or None


def describe_gpus() -> str:
    """The CUDA driver and the GPUs that it sees, or what is wrong with it, in words."""
    return _ask_library("tf1_wd_describe_gpus")


def _ask_library(function: str) -> str:
    native_ops()
    ask = getattr(ctypes.CDLL(status().path), function)
    ask.restype = ctypes.c_char_p
    return ask().decode(errors="replace")


def _load_once() -> tuple[Status, Any]:
    global _loaded
    with _lock:
        if _loaded is None:
            try:
                path, reason, ops = _find_and_load(tensorflow_build())
                _loaded = Status("native", path, reason, cache.read_stamp(os.path.dirname(path))), ops
            except NativeOpError as error:
                _loaded = Status("twin", None, str(error), None), None
        return _loaded


def _find_and_load(tensorflow: build.TensorFlowBuild) -> tuple[str, str, Any]:
    """(path, where it came from, ops), or NativeOpError."""
    path = cache.prebuilt_library(tensorflow)
    if path:
        with contextlib.suppress(NativeOpError):  # another build of the same version: compile for this one
            return path, "part of the package", _load(path)
    path = cache.find_or_build(tensorflow, try_library, _say_compiling, say_waiting)
    try:
        return path, "from the cache", _load(path)
    except NativeOpError as error:
        try:
            path = cache.find_or_build(tensorflow, try_library, _say_compiling, say_waiting, force=True)
        except NativeOpError as again:
            raise NativeOpError("%s; compiling it again: %s" % (error, again)) from again
        return path, "from the cache, compiled again because it did not load", _load(path)


def _say_compiling() -> None:
    _say("compiling the decay op for TensorFlow %s (once per TensorFlow, 10 to 20 s)" % tf.version.VERSION)


def say_waiting(process: str) -> None:
    """Says on stderr that another process compiles the op meanwhile."""
    _say("waiting for process %s, which compiles the decay op" % process)


def _say(text: str) -> None:
    print("tf1_wd: " + text, file=sys.stderr, flush=True)


def _load(path: str) -> Any:
    try:
        ops = tf.load_op_library(path)
    except tf.errors.OpError as error:
        raise NativeOpError("%s does not load: %s" % (path, error.message)) from error
    if not (hasattr(ops, "tf1_wd_decay") and hasattr(ops, "tf1_wd_resource_decay")):
        raise NativeOpError("%s does not hold the ops of tf1_wd" % path)
    return ops
