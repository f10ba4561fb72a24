"""Compiles the decay op against one TensorFlow. Imports no TensorFlow: what it needs of it is a plain value."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from typing import Any, Callable, NamedTuple

from tf1_wd.errors import NativeOpError

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "csrc")
# -ffp-contract=off: with a fused multiply-add the result would differ from the twin's in the last bit
OPTIONS = ("-shared", "-fPIC", "-O3", "-DNDEBUG", "-ffp-contract=off", "-fno-trapping-math")
WARNINGS = ("-Wall", "-Wno-deprecated-declarations")


class TensorFlowBuild(NamedTuple):
    """What a TensorFlow says of its own build."""

    version: str
    revision: str  # of its source
    abi: int  # of std::string: _GLIBCXX_USE_CXX11_ABI
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]


class Compiler(NamedTuple):
    command: tuple[str, ...]
    version: str  # the first line of --version


def find_compiler() -> Compiler:
    """The C++ compiler: $CXX if set, else g++, else c++. Raises NativeOpError if there is none that runs."""
    asked = os.environ.get("CXX")
    for candidate in [asked] if asked else ["g++", "c++"]:
        command = tuple(shlex.split(candidate))
        if os.sep in command[0]:  # it will run in another directory
            command = (os.path.abspath(command[0]), *command[1:])
        if shutil.which(command[0]) is None:
            continue
        ran = subprocess.run([*command, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        first_line = ran.stdout.strip().split("\n")[0]
        if ran.returncode:
            raise NativeOpError("the C++ compiler %s does not run: %s" % (candidate, first_line))
        return Compiler(command, first_line)
    if asked:
        raise NativeOpError("no C++ compiler: $CXX is %r, which is not a program; correct or unset it" % asked)
    raise NativeOpError(
        "no C++ compiler: install one (apt-get install g++, or yum install gcc-c++) or name one in $CXX"
    )


def source_files() -> list[str]:
    """Paths of what is compiled, sorted: C++ sources, headers, and the GPU's machine code as text."""
    return sorted(os.path.join(SOURCES, name) for name in os.listdir(SOURCES) if name.endswith((".cc", ".h", ".ptx")))


def source_digest() -> str:
    """SHA-256 over the C++ sources and the compiler options, in hexadecimal."""
    digest = hashlib.sha256(" ".join(OPTIONS).encode())
    for path in source_files():
        digest.update(os.path.basename(path).encode())
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def file_digest(path: str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def requirements(tensorflow: TensorFlowBuild) -> dict[str, Any]:
    """What a compiled op must have been made for, as a plain dict, to be loaded into this TensorFlow."""
    # where the headers lie is of no importance: two environments with the same TensorFlow share the op
    flags = [flag for flag in tensorflow.compile_flags if not flag.startswith("-I")]
    return {
        "tensorflow": tensorflow.version,
        "revision": tensorflow.revision,
        "abi": tensorflow.abi,
        "flags": flags,
        "platform": "%s-%s" % (platform.system().lower(), platform.machine()),
        "source": source_digest(),
    }


def command_line(tensorflow: TensorFlowBuild, compiler: Compiler, output: str) -> list[str]:
    """The compiler's command line; the program text, which includes every source once, comes on standard input."""
    # -isystem: warnings are wanted of our own sources only
    flags = ["-isystem" + flag[2:] if flag.startswith("-I") else flag for flag in tensorflow.compile_flags]
    if not any("std=" in flag for flag in flags):  # 2.11 and before name none
        flags.append("-std=" + _standard(tensorflow.version))
    options = [*OPTIONS, *WARNINGS, *flags, "-I" + SOURCES]
    return [*compiler.command, *options, "-x", "c++", "-", "-o", output, *tensorflow.link_flags]


def _standard(version: str) -> str:
    """The C++ standard that the headers of a TensorFlow are written in."""
    release = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return "c++11" if release < (2, 0) else "c++14" if release < (2, 10) else "c++17"


def program_text() -> str:
    """All sources as one translation unit: TensorFlow's headers, read once, are most of the work."""
    names = [os.path.basename(path) for path in source_files() if path.endswith(".cc")]
    return "".join('#include "%s"\n' % name for name in names)


def compile_library(
    tensorflow: TensorFlowBuild, compiler: Compiler, output: str, progress: Callable[[float], None] | None = None
) -> None:
    """Compiles the op into the file `output`.

    progress: called about five times a second with the seconds since the start.
    Raises NativeOpError with the compiler's last error lines.
    """
    command = command_line(tensorflow, compiler, os.path.abspath(output))
    start = time.time()
    with tempfile.TemporaryFile() as text, tempfile.TemporaryFile() as log:
        text.write(program_text().encode())
        text.seek(0)
        # there, as the assembler looks for the GPU's code in the current directory
        process = subprocess.Popen(command, cwd=SOURCES, stdin=text, stdout=log, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                time.sleep(0.2 if progress else 0.05)
                if progress:
                    progress(time.time() - start)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().split("\n")
    if process.returncode:
        errors = [line for line in lines if "error" in line] or lines
        raise NativeOpError("%s failed (exit %d): %s" % (command[0], process.returncode, "\n".join(errors[-3:])))
    if not os.path.exists(output):
        raise NativeOpError("%s ended without an error and without %s" % (command[0], output))
