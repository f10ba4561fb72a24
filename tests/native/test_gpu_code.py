"""The GPU's machine code, without a GPU: the PTX that ships, and what NVIDIA's assembler makes of it.

Slow, and needs NVIDIA's compiler, assembler and disassembler from PyPI: pip install '.[cuda]'. CI has them on one
TensorFlow; the code is the same for all.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys

import pytest

from support.paths import ROOT
from tf1_wd.native import build

sys.path.append(os.path.join(ROOT, "tools"))
import make_ptx

KERNELS = ["tf1_wd_decay_%s" % name for name in ("half", "bfloat16", "float", "double")]
# Maxwell to Blackwell; the disassembler knows those from Turing on
ASSEMBLED = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
DISASSEMBLED = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


def nvidia(name):
    """Path of a tool in the packages of NVIDIA; skips the test without it."""
    found = [path for base in sys.path for path in sorted(glob.glob(os.path.join(base, "nvidia", "*", "*", name)))]
    if not found:
        pytest.skip("%s is not installed: pip install '.[cuda]'" % name)
    return found[0]


def output(command):
    env = dict(os.environ, PATH=os.path.dirname(command[0]) + os.pathsep + os.environ["PATH"])
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stdout
    return done.stdout


def shipped():
    with open(make_ptx.PTX) as file:
        return file.read()


def assembled(architecture, directory):
    """(what ptxas says, path of the machine code)."""
    path = str(directory / ("%s.cubin" % architecture))
    return output([nvidia("ptxas"), "-v", "-arch=" + architecture, make_ptx.PTX, "-o", path]), path


def test_the_shipped_ptx_is_what_the_kernels_compile_to():
    nvidia("libnvrtc.so.12")
    # in a process of its own: NVRTC leaves another locale behind
    program = "import sys; sys.path.append(%r); import make_ptx; print(make_ptx.compile_ptx(), end='')"
    assert output([sys.executable, "-c", program % os.path.dirname(make_ptx.__file__)]) == shipped()


def test_the_shipped_ptx_is_for_every_gpu_since_maxwell_and_every_driver_since_cuda_9():
    assert shipped().startswith(".version 6.0\n.target sm_50\n.address_size 64\n")
    assert re.findall(r"\.entry (\w+)", shipped()) == KERNELS
    (installed,) = [path for path in build.source_files() if path.endswith(".ptx")]
    with open(installed) as file:
        assert file.read() == shipped()


def test_no_product_is_fused_with_a_difference():
    assert "mul.rn.f32" in shipped()
    assert not re.findall(r"\bfma\S*|\b(?:mul|sub)\.(?:ftz\.)?f\S+", shipped())


def test_half_types_are_rounded_to_nearest_even():
    to_half = set(re.findall(r"\bcvt\S*f16\.f32\b", shipped()))
    assert to_half == {"cvt.rn.f16.f32"}
    # bfloat16 by integers: half of the last place less one, and the last bit kept
    body = shipped().split(".entry tf1_wd_decay_bfloat16")[1].split(".entry ")[0]
    assert ", 32767;" in body
    assert not re.findall(r"\bcvt\S*\.b?f16\b", body)


def test_each_half_is_loaded_decayed_and_stored_by_the_instructions_that_convert_it():
    body = shipped().split(".entry tf1_wd_decay_half")[1].split(".entry ")[0]
    made_by = {}  # register -> (instruction, operands); each is written once
    for operation, target, operands in re.findall(r"^\s*(\S+)\s+(%f\d+), ([^;]+);", body, re.MULTILINE):
        made_by.setdefault(target, []).append((operation, operands.split(", ")))
    stored = re.findall(r"\bcvt\.rn\.f16\.f32 %rs\d+, (%f\d+);", body)
    assert len(stored) > 32
    rates = set()
    for result in stored:
        ((difference, (weight, product)),) = made_by[result]
        ((multiply, (rate, factor)),) = made_by[product]
        ((load, (half,)),) = made_by[weight]
        assert (difference, multiply, load) == ("sub.rn.f32", "mul.rn.f32", "cvt.f32.f16")
        assert factor == weight
        assert half.startswith("%rs")
        rates.add(rate)
    assert len(rates) == 1


@pytest.mark.parametrize("architecture", ASSEMBLED)
def test_the_assembler_takes_the_ptx_and_spills_nothing(architecture, tmp_path):
    said, _ = assembled(architecture, tmp_path)
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    assert frames == [("0", "0", "0")] * len(KERNELS)
    registers = [int(count) for count in re.findall(r"Used (\d+) registers", said)]
    assert len(registers) == len(KERNELS)
    assert max(registers) <= 64  # four blocks of 256 threads on a multiprocessor


@pytest.mark.parametrize("architecture", DISASSEMBLED)
def test_memory_is_read_and_written_16_bytes_at_a_time_four_reads_ahead(architecture, tmp_path):
    _, machine_code = assembled(architecture, tmp_path)
    listing = output([nvidia("cuobjdump"), "-sass", machine_code])
    functions = dict(re.findall(r"Function : (\w+)\n(.*?)(?=\n\s*Function : |\Z)", listing, re.DOTALL))
    assert sorted(functions) == sorted(KERNELS)
    for name, code in functions.items():
        assert not re.findall(r"\b(?:LDL|STL)\b", code), name  # local memory
        wide = re.findall(r"\b(LDG|STG|LD|ST)\.E\S*128", code)
        assert "".join("L" if word.startswith("L") else "S" for word in wide).count("LLLL"), (name, wide)
        assert sum(word.startswith("S") for word in wide) >= 5, (name, wide)
