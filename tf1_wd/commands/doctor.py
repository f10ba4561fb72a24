"""What this machine has for tf1_wd, as plain data: interpreter, TensorFlow, compiler, the decay op, GPU."""

from __future__ import annotations

import platform
import sys

from tf1_wd.errors import NativeOpError
from tf1_wd.native import build, cache


def diagnose():
    """A dict of plain values for JSON or a table; loads the decay op, and compiles it if it is nowhere.

    Keys: python, platform, tensorflow, compiler, op, cache, gpu. Each is a dict or a string; nothing is raised for a
    missing TensorFlow or compiler, whose entry then holds only "missing", the reason.
    """
    report = {
        "python": {"version": platform.python_version(), "path": sys.executable},
        "platform": "%s (%s)" % (platform.platform(), platform.machine()),
        "compiler": _compiler(),
        "cache": cache.cache_directory(),
    }
    try:
        from tf1_wd.native import loader
    except ImportError as error:
        missing = {"missing": "TensorFlow cannot be imported: %s" % error}
        return dict(report, tensorflow=missing, op=missing, gpu=missing)
    running = loader.tensorflow_build()
    status = loader.status()
    stamp = status.stamp or {}
    return dict(
        report,
        tensorflow={"version": running.version, "revision": running.revision, "abi": running.abi},
        op={
            "state": status.state,
            "reason": status.reason,
            "path": status.path,
            "built_for": stamp.get("tensorflow"),
            "built_by": stamp.get("compiler"),
        },
        gpu=_gpu(loader),
    )


def is_healthy(report):
    """True if the native op is in use."""
    return report["op"].get("state") == "native"


def _gpu(loader):
    """What TensorFlow sees, what the driver says, and how variables on a GPU decay."""
    native, visible = loader.status().state == "native", loader.gpu_visible()
    problem = loader.gpu_problem() if native else "the compiled op is not available"
    by = "TensorFlow's own ops: %s" % problem if problem else "compiled op"
    return {
        "tensorflow": "sees a GPU" if visible else "sees no GPU",
        "driver": loader.describe_gpus() if native else None,
        "decay": by if visible else None,
    }


def _compiler():
    try:
        compiler = build.find_compiler()
    except NativeOpError as error:
        return {"missing": str(error)}
    return {"command": " ".join(compiler.command), "version": compiler.version}
