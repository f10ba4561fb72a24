"""Builds a CUDA driver without a GPU, and our kernels for the CPU behind it.

With it the `tensorflow` wheels of TensorFlow 2 make a GPU:0 on any machine, and our op's GPU kernels run there in real
TensorFlow. It says nothing of the PTX itself, of ordering, of races and of speed, and a kernel that reads the host's
memory goes unnoticed; host code that touches the GPU's memory crashes.

TensorFlow's own GPU kernels do not run: an op that asks for one ends the process. What works on the GPU is what only
copies: constants, placeholders, variables of both kinds, their reads and assignments (but for an empty reference
variable), Identity, Reshape, ExpandDims, Squeeze, Pack, control flow, copies from and to the CPU. What does not:
arithmetic, casts, slices, optimizers. Grappler may compute such ops on the CPU, where all their inputs are constants.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
COMPILER_OPTIONS = ["-shared", "-fPIC", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-I" + HERE]

# file name -> (our part of it, what the names of its functions begin with, its "not supported")
LIBRARIES = {
    "libcuda.so.1": ("driver_*.c", r"cu[A-Z]", 801),
    "libcudart.so.12": ("runtime.c", r"(__)?cuda[A-Z]", 801),
    "libnvidia-ml.so.1": ("management.c", r"nvml[A-Z]", 3),
}
# Our op looks whether it is there; kernels are compiled in advance here.
JIT_COMPILER = "libnvidia-ptxjitcompiler.so.1"
# TensorFlow registers no GPU if one of these cannot be opened; it calls none of them here.
EMPTY_LIBRARIES = (
    "libcublas.so.12",
    "libcublasLt.so.12",
    "libcufft.so.11",
    "libcusolver.so.11",
    "libcusparse.so.12",
    "libcudnn.so.8",  # TensorFlow 2.15
    "libcudnn.so.9",  # TensorFlow 2.21
)


def build(directory, kernels):
    """Builds all libraries into `directory`; returns what a subprocess needs in its environment to see the GPU.

    kernels: path of a CUDA source; the PTX made of it, beside it, tells which kernels there are.
    Raises RuntimeError with the compiler's first errors.
    """
    directory = str(directory)
    known = exported_functions(os.path.join(tensorflow_directory(), "libtensorflow_framework.so.2"))
    for library in LIBRARIES:
        _build_library(directory, library, known)
    for library in EMPTY_LIBRARIES:
        shutil.copy(os.path.join(directory, JIT_COMPILER), os.path.join(directory, library))
    return _environment(directory, kernels)


def build_driver(directory, kernels):
    """As build, but of the driver alone and what we use of it: for programs without TensorFlow."""
    directory = str(directory)
    _build_library(directory, "libcuda.so.1", ())
    return _environment(directory, kernels)


def _environment(directory, kernels):
    path = os.pathsep.join([directory, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    return {"LD_LIBRARY_PATH": path, "FAKE_GPU_KERNELS": _build_kernels(directory, kernels)}


def _build_library(directory, library, known):
    pattern, prefix, unsupported = LIBRARIES[library]
    sources = sorted(glob.glob(os.path.join(HERE, pattern)))
    stubs = stubs_text([name for name in known if re.match(prefix, name)], unsupported)
    sources.append(_write(directory, library + ".c", stubs))
    # the runtime calls the driver, which is built by then
    others = ["-L" + directory, "-l:libcuda.so.1"] if library.startswith("libcudart") else []
    if library.startswith("libcuda."):
        _compile(directory, JIT_COMPILER, "gcc", _write(directory, "nothing.c", ""))
    # no soname: a process that opened it by its path must not find it under the name of the real one
    _compile(directory, library, "gcc", *sources, *others, "-ldl", "-lpthread")


def _build_kernels(directory, kernels):
    emulated = _write(directory, "kernels.cc", kernels_text(kernels))
    options = ["-std=c++17", "-O2", "-ffp-contract=off", "-Wno-unknown-pragmas", "-I" + os.path.dirname(kernels)]
    return _compile(directory, "libkernels.so", "g++", *options, emulated)


def tensorflow_directory():
    """Where the installed TensorFlow is, without an import of it."""
    return importlib.util.find_spec("tensorflow").submodule_search_locations[0]


def exported_functions(library):
    """Names of the functions that a shared library defines for others.

    TensorFlow's has one for each function of CUDA's libraries, which it looks up there when it is first called.
    """
    listed = subprocess.run(["nm", "-D", "--defined-only", library], stdout=subprocess.PIPE, check=True, timeout=60)
    return [fields[2] for fields in map(str.split, listed.stdout.decode().splitlines()) if fields[1] in ("T", "W")]


STUB = """\
#include "call_log.h"
#define STUB(NAME)                                                         \\
  __attribute__((weak)) int NAME(void) {                                   \\
    Called("unsupported", __builtin_return_address(0), " %s", #NAME);      \\
    return UNSUPPORTED;                                                    \\
  }
"""


def stubs_text(names, unsupported):
    """C: functions that log their call and refuse it, for the linker to take where there is no other of the name."""
    return "\n".join([STUB, "enum { UNSUPPORTED = %d };" % unsupported, *("STUB(%s)" % name for name in names), ""])


def kernels_text(source):
    """C++: the kernels of a CUDA source, compiled for the CPU, under the names by which the driver finds them."""
    with open(os.path.splitext(source)[0] + ".ptx") as file:
        names = re.findall(r"^\.visible \.entry (\w+)", file.read(), re.MULTILINE)
    includes = '#include "cuda_on_cpu.h"\n#include "%s"\n' % os.path.basename(source)
    return includes + "".join("EMULATED(%s)\n" % name for name in names)


def _write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def _compile(directory, library, compiler, *arguments):
    """Path of the library."""
    output = os.path.join(directory, library)
    command = [compiler, *COMPILER_OPTIONS, *arguments, "-o", output]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if ran.returncode:
        lines = ran.stdout.decode(errors="replace").strip().split("\n")
        errors = [line for line in lines if "error" in line] or lines
        raise RuntimeError("%s failed:\n%s" % (" ".join(command), "\n".join(errors[:5])))
    return output
