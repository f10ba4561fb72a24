"""Compiles the GPU kernels into the PTX that ships: python tools/make_ptx.py

Needs no GPU and no CUDA toolkit: pip install '.[cuda]' brings NVRTC from PyPI. Another version of it makes other
text; tests/native/test_gpu_code.py compares what is checked in with what this makes.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCES = os.path.join(ROOT, "tf1_wd", "native", "csrc")
PTX = os.path.join(SOURCES, "decay_kernel.ptx")
# compute_50: the oldest GPUs that this compiler knows. A driver compiles the text for the GPU it finds, also for newer
# ones. Products are rounded before they are subtracted by the intrinsics used; -fmad=false says so for the rest.
OPTIONS = ("--gpu-architecture=compute_50", "--std=c++14", "--fmad=false")
# The oldest version that has all the instructions used: drivers since CUDA 9 (384) read it.
PTX_VERSION = "6.0"


def main():
    text = compile_ptx()
    with open(PTX, "w") as file:
        file.write(text)
    print("%s: %d lines" % (os.path.relpath(PTX), text.count("\n")))


def compile_ptx():
    """The PTX of decay_kernel.cu as text. Raises SystemExit with NVRTC's log if it does not compile."""
    nvrtc = _load_nvrtc()
    program = ctypes.c_void_p()
    headers = {name: _read(name) for name in ("decay_kernel.h",)}
    _check(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program),
            _read("decay_kernel.cu"),
            b"decay_kernel.cu",
            len(headers),
            _strings(headers.values()),
            _strings(name.encode() for name in headers),
        )
    )
    failed = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), _strings(option.encode() for option in OPTIONS))
    if failed:
        raise SystemExit("NVRTC: %s" % _text(nvrtc, program, "ProgramLog"))
    return with_version(_text(nvrtc, program, "PTX"))


def with_version(text):
    """PTX under the version that drivers must know, without comments: they name the build of the compiler."""
    text = re.sub(r"^\.version \S+$", ".version " + PTX_VERSION, text, flags=re.MULTILINE)
    lines = [line.rstrip() for line in text.split("\n") if not line.startswith("//")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _load_nvrtc():
    found = importlib.util.find_spec("nvidia.cuda_nvrtc")
    if found is None:
        raise SystemExit("NVRTC is missing: pip install '.[cuda]'")
    return ctypes.CDLL(os.path.join(next(iter(found.submodule_search_locations)), "lib", "libnvrtc.so.12"))


def _text(nvrtc, program, what):
    size = ctypes.c_size_t()
    _check(getattr(nvrtc, "nvrtcGet%sSize" % what)(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, "nvrtcGet%s" % what)(program, text))
    return text.value.decode()


def _strings(values):
    values = list(values)
    return (ctypes.c_char_p * len(values))(*values)


def _check(code):
    if code:
        raise SystemExit("NVRTC: error %d" % code)


def _read(name):
    with open(os.path.join(SOURCES, name), "rb") as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
