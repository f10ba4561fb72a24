"""Compiles the decay op against one TensorFlow. Imports no TensorFlow: what it needs of it is a plain value."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import tempfile
from typing import Any, Callable, NamedTuple

from tf1_wd.errors import NativeOpError
from tf1_wd.native import supervised

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "csrc")
# -ffp-contract=off: with a fused multiply-add the result would differ from the twin's in the last bit
OPTIONS = ("-shared", "-fPIC", "-O3", "-DNDEBUG", "-ffp-contract=off", "-fno-trapping-math")
VERSION_SECONDS, COMPILE_SECONDS = 15.0, 600.0  # a compiler that takes longer hangs
SPACE = 32 << 20  # bytes that a compilation needs at most, in the folder of its output and for what it keeps in between
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
        try:
            command = tuple(shlex.split(candidate))
        except ValueError as error:
            raise NativeOpError("$CXX is %r: %s; correct or unset it" % (candidate, error)) from error
        if not command or shutil.which(command[0]) is None:
            continue
        if os.sep in command[0]:  # it will run in another directory
            command = (os.path.abspath(command[0]), *command[1:])
        return Compiler(command, _version(command))
    if asked:
        raise NativeOpError("no C++ compiler: $CXX is %r, which is not a program; correct or unset it" % asked)
    raise NativeOpError(
        "no C++ compiler: install one (apt-get install g++, or yum install gcc-c++) or name one in $CXX"
    )


def _version(command: tuple[str, ...]) -> str:
    """The first line of what the compiler says of its version."""
    name = " ".join(command)
    try:
        ran = supervised.run([*command, "--version"], VERSION_SECONDS)
    except TimeoutError as error:
        raise NativeOpError(
            "the C++ compiler %s did not answer --version within %g s: name another in $CXX" % (name, VERSION_SECONDS)
        ) from error
    except OSError as error:
        raise NativeOpError("the C++ compiler %s cannot be started: %s" % (name, error)) from error
    first_line = ran.output.strip().split("\n")[0]
    if ran.status:
        raise NativeOpError(
            "the C++ compiler %s does not run (exit %d): %s; name another in $CXX" % (name, ran.status, first_line)
        )
    return first_line


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
    try:
        with tempfile.TemporaryFile() as text:
            text.write(program_text().encode())
            text.seek(0)
            # there, as the assembler looks for the GPU's code in the current directory
            ran = supervised.run(command, COMPILE_SECONDS, stdin=text, cwd=SOURCES, progress=progress)
    except TimeoutError as error:
        raise NativeOpError(
            "%s was stopped after %g s: name another compiler in $CXX" % (command[0], COMPILE_SECONDS)
        ) from error
    if ran.status:
        lines = ran.output.strip().split("\n")
        errors = [line for line in lines if "error" in line] or lines
        raise NativeOpError("%s failed (exit %d): %s" % (command[0], ran.status, "\n".join(errors[-3:])))
    if not os.path.exists(output):
        raise NativeOpError("%s ended without an error and without %s" % (command[0], output))


def check_space(output: str) -> None:
    """Raises NativeOpError where a disk is too full to compile into the folder `output`."""
    for folder, remedy in ((output, "$TF1_WD_CACHE"), (tempfile.gettempdir(), "$TMPDIR")):
        free = shutil.disk_usage(folder).free
        if free < SPACE:
            raise NativeOpError(
                "%s has %.0f MB left, and compiling may take %d: make room, or set %s to a folder on another disk"
                % (folder, free / 1e6, SPACE / 1e6, remedy)
            )


def abi_of(tensorflow: TensorFlowBuild) -> int | None:
    """The C++ ABI that TensorFlow's library really has, by the names of its functions; None where it is not found.

    A library of the old ABI names std::string Ss in its functions, one of the new ABI basic_string of __cxx11.
    """
    folders = [flag[2:] for flag in tensorflow.link_flags if flag.startswith("-L")]
    names = [flag[3:] for flag in tensorflow.link_flags if flag.startswith("-l:")]
    for path in (os.path.join(folder, name) for folder in folders for name in names):
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        return int(content.count(b"NSt7__cxx1112basic_string") > content.count(b"RKSs"))
    return None
