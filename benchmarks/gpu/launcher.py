"""The decay op's launcher and its PTX as they ship, built without TensorFlow and called through ctypes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import NamedTuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tf1_wd.native import build as native_build

HERE = os.path.dirname(os.path.abspath(__file__))
_ADDRESSES, _SIZES, _POSITIONS = (ctypes.POINTER(kind) for kind in (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int))


class Span(NamedTuple):
    """One tensor, as in decay.h: addresses on the GPU, elements, the variable's position."""

    target: int
    source: int
    size: int
    variable: int


class Rates(NamedTuple):
    """As in decay_kernel.h: addresses of rates, scale and refused word; how many rates."""

    rates: int
    scale: int
    count: int
    refused: int


class Pass(NamedTuple):
    """Spans as C arrays."""

    count: int
    targets: ctypes.Array
    sources: ctypes.Array
    sizes: ctypes.Array
    variables: ctypes.Array


class LaunchError(Exception):
    """What the launcher says failed."""


def build(directory):
    """Compiles the launcher with g++ alone; returns the library's path."""
    output = os.path.join(os.path.abspath(directory), "launcher.so")
    sources = native_build.SOURCES
    options = [*native_build.OPTIONS, *native_build.WARNINGS, "-std=c++11", "-I" + sources]
    command = [*native_build.find_compiler().command, *options, os.path.join(HERE, "launcher.cc"), "-o", output, "-ldl"]
    ran = subprocess.run(command, cwd=sources, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if ran.returncode:
        raise SystemExit("%s\n%s" % (" ".join(command), ran.stdout.decode(errors="replace")))
    return output


def load(path):
    """The library, its functions declared."""
    library = ctypes.CDLL(path)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.tf1_wd_launch.argtypes = [
        *(pointer, number, number, _ADDRESSES, _ADDRESSES, _SIZES, _POSITIONS, number),
        *(pointer, pointer, ctypes.c_ulonglong, pointer),
    ]
    library.tf1_wd_launch.restype = ctypes.c_char_p
    library.tf1_wd_describe.argtypes = []
    library.tf1_wd_describe.restype = ctypes.c_char_p
    for function in (library.tf1_wd_chunk_bytes, library.tf1_wd_tensors_per_launch):
        function.argtypes = []
        function.restype = ctypes.c_uint
    return library


def prepare(spans):
    """Spans, once and for all launches of them."""
    count = len(spans)
    targets, sources, sizes, variables = zip(*spans) if spans else [()] * 4
    return Pass(
        count,
        (ctypes.c_void_p * count)(*targets),
        (ctypes.c_void_p * count)(*sources),
        (ctypes.c_int64 * count)(*sizes),
        (ctypes.c_int * count)(*variables),
    )


def launch(library, stream, number, prepared, rates, at_once=0):
    """Puts the decay of all spans on a stream. number: of the format; at_once: spans a pass, 0 for all in one."""
    arguments = (stream, number, *prepared, at_once or prepared.count, *rates)
    error = library.tf1_wd_launch(*arguments)
    if error:
        raise LaunchError(error.decode())


def describe(library):
    """The driver and the GPUs it sees, or why there is none."""
    return library.tf1_wd_describe().decode()
