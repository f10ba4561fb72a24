"""Checks the launcher and its kernels bit for bit against NumPy: python benchmarks/gpu/checks.py

Runs on a GPU, or on the fake driver of tests/fake_gpu. Needs g++ and NumPy. Prints a line for each check and format.

--exact: tensors end where their memory ends, instead of before guard bytes that must not change: for memcheck, which
then sees every access behind a tensor. --overrun: nothing but an access behind a tensor, which memcheck must find.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import sys
import tempfile
from typing import NamedTuple

import launcher
import numpy as np
from device import Gpu, NoGpu
from formats import FORMATS, decayed, differing, random_bits

GUARD_BYTES = 64
GUARD = 0xA5


class Machine(NamedTuple):
    gpu: Gpu
    library: ctypes.CDLL
    guard: int  # bytes before and behind a tensor

    def chunk(self, format_):
        """Elements of a tensor that one block works on."""
        return self.library.tf1_wd_chunk_bytes() // np.dtype(format_.stored).itemsize


class Tensor(NamedTuple):
    """What a check decays. Offsets are elements from an address that is aligned to 16 bytes."""

    bits: np.ndarray
    variable: int
    source_offset: int = 0
    target_offset: int | None = None  # None: in place

    def __str__(self):
        into = "in place" if self.target_offset is None else "into offset %d" % self.target_offset
        return "%d elements at offset %d, %s" % (len(self.bits), self.source_offset, into)


class Failure(Exception):
    """What differs."""


class Buffer:
    """A tensor in the GPU's memory."""

    def __init__(self, machine, bits, offset):
        self._gpu, self._bits, self._guard = machine.gpu, bits, machine.guard
        self._before = machine.guard + offset * bits.itemsize
        self._size = self._before + bits.nbytes + machine.guard
        self._begin = self._gpu.allocate(max(self._size, 1))
        self.address = self._begin + self._before
        whole = np.full(self._size, GUARD, np.uint8)
        whole[self._before : self._before + bits.nbytes] = bits.view(np.uint8)
        self._gpu.write(self._begin, whole)

    def read(self):
        """Its bits now. What lies around them must be as it was."""
        whole = self._gpu.read(self._begin, self._size)
        inside = slice(self._before, self._before + self._bits.nbytes)
        bits = whole[inside].copy().view(self._bits.dtype)
        whole[inside] = GUARD
        if (whole != GUARD).any():
            raise Failure("bytes beside the tensor have changed")
        return bits


def decay(machine, format_, tensors, rates, scale=1.0, stream=None, passes=1):
    """Decays the tensors, which must become what NumPy makes of them; returns the word of a refused rate, or 0."""
    gpu = machine.gpu
    rates, scale = np.array(rates, format_.computed), np.array([scale], format_.computed)
    sources = [Buffer(machine, t.bits, t.source_offset) for t in tensors]
    targets = [
        source if t.target_offset is None else Buffer(machine, ~t.bits, t.target_offset)
        for t, source in zip(tensors, sources)
    ]
    spans = [
        launcher.Span(target.address, source.address, len(t.bits), t.variable)
        for t, source, target in zip(tensors, sources, targets)
    ]
    # exact allocations, so that memcheck sees a rate read out of bounds
    on_gpu = [gpu.allocate(array.nbytes) for array in (rates, scale)]
    gpu.write(on_gpu[0], rates)
    gpu.write(on_gpu[1], scale)
    word = ctypes.c_uint64.from_address(gpu.pinned_word)
    word.value = 0
    gpu.synchronize()
    prepared = launcher.prepare(spans)
    stream = gpu.stream if stream is None else stream
    for _ in range(passes):
        launcher.launch(
            machine.library, stream, format_.number, prepared, launcher.Rates(*on_gpu, len(rates), gpu.pinned_word)
        )
    gpu.synchronize()
    with np.errstate(all="ignore"):
        effective = rates * scale
        if not ((effective >= 0) & (effective < 1)).all():
            effective = np.zeros_like(effective)
    for t, source, target in zip(tensors, sources, targets):
        rate = effective[0 if len(effective) == 1 else t.variable]
        wanted = decayed(format_, t.bits, rate)
        if t.target_offset is None:
            for _ in range(passes - 1):
                wanted = decayed(format_, wanted, rate)
        else:
            _compare(format_, "source", t, source.read(), t.bits, 0)
        _compare(format_, "target", t, target.read(), wanted, rate)
    gpu.free_all()
    return word.value


def _compare(format_, what, tensor, bits, wanted, rate):
    wrong = differing(format_, bits, wanted, rate)
    if len(wrong):
        first = wrong[0]
        found = "%d elements differ, the first at %d: %#x, not %#x" % (len(wrong), first, bits[first], wanted[first])
        raise Failure("%s of %s (rate %r): %s" % (what, tensor, float(rate), found))


def mixed_tensors(format_, sizes):
    """Variable i of sizes[i]; every third one is not decayed in place."""
    return [Tensor(random_bits(format_, i, size), i, 0, 0 if i % 3 == 0 else None) for i, size in enumerate(sizes)]


def check_sizes_and_alignments(machine, format_):
    chunk = machine.chunk(format_)
    sizes = (0, 1, 7, 8, 9, 255, 257, 8191, chunk - 1, chunk, chunk + 1, 3 * chunk + 5)
    offsets = ((0, None), (1, None), (0, 0), (1, 0), (0, 1), (1, 1), (3, 3))
    tensors = [
        Tensor(random_bits(format_, i, size), i, *places)
        for i, (size, places) in enumerate(itertools.product(sizes, offsets))
    ]
    rates = np.linspace(0.01, 0.9, len(tensors))
    _expect(decay(machine, format_, tensors, rates, 0.7), 0)


def check_more_tensors_than_a_launch_holds(machine, format_):
    limit = machine.library.tf1_wd_tensors_per_launch()
    for count in (limit - 1, limit, limit + 1, 3 * limit + 1):
        sizes = [(0, 1, 33, 300, 5)[i % 5] for i in range(count)]
        sizes[-1] = machine.chunk(format_) + 3
        tensors = mixed_tensors(format_, sizes)
        rates = np.linspace(0, 0.9, count)
        _expect(decay(machine, format_, tensors[::-1], rates), 0)  # not in the order of the rates


def check_nothing_to_do(machine, format_):
    _expect(decay(machine, format_, [], [0.5]), 0)
    _expect(decay(machine, format_, mixed_tensors(format_, [0] * 200), [0.5]), 0)


def check_one_rate_for_all(machine, format_):
    tensors = mixed_tensors(format_, [machine.chunk(format_) + 1, 9, 1000])
    for rate, scale in ((0.3, 1.0), (3.0, 0.1), (0.5, 1e-3)):
        _expect(decay(machine, format_, tensors, [rate], scale), 0)


def check_every_kind_of_number(machine, format_):
    """All numbers of two bytes; of the others, many."""
    count = 1 << 16
    bits = np.arange(count, dtype=np.uint16) if format_.stored is np.uint16 else random_bits(format_, 1, count)
    for rate in (1e-4, 0.3, 0.999):
        _expect(decay(machine, format_, [Tensor(bits, 0), Tensor(bits, 1, 1, 1)], [rate]), 0)


def check_rate_zero_copies_all_bits(machine, format_):
    tensors = mixed_tensors(format_, [machine.chunk(format_) + 9, 2 * machine.chunk(format_), 9, 1])
    _expect(decay(machine, format_, tensors, [0.0]), 0)
    _expect(decay(machine, format_, tensors, [-0.0]), 0)
    _expect(decay(machine, format_, tensors, [0.9], 0.0), 0)
    _expect(decay(machine, format_, tensors, [0.0, 0.5, 0.0, 0.5]), 0)


def check_rate_zero_in_place_touches_no_memory(machine, format_):
    nowhere = 4096  # no memory is there
    rates = machine.gpu.allocate(16)
    machine.gpu.write(rates, np.array([0.0, 1.0], format_.computed))
    launched = launcher.Rates(rates, rates + np.dtype(format_.computed).itemsize, 1, machine.gpu.pinned_word)
    prepared = launcher.prepare([launcher.Span(nowhere, nowhere, size, 0) for size in (1, 100000)])
    machine.gpu.synchronize()
    launcher.launch(machine.library, machine.gpu.stream, format_.number, prepared, launched)
    machine.gpu.synchronize()
    machine.gpu.free_all()


def check_refused_rates_change_nothing(machine, format_):
    limit = machine.library.tf1_wd_tensors_per_launch()
    tensors = mixed_tensors(format_, [machine.chunk(format_) + 9, *[20] * (3 * limit)])
    for position in (0, limit + 1, 3 * limit):
        for bad, scale in ((-0.25, 1.0), (1.0, 1.0), (0.75, 2.0), (np.inf, 1.0), (np.nan, 1.0)):
            rates = np.full(len(tensors), 0.25)
            rates[position] = bad
            _expect_refused(decay(machine, format_, tensors, rates, scale), position, bad * scale)


def check_a_refused_rate_for_all_changes_nothing(machine, format_):
    tensors = mixed_tensors(format_, [9, 1000])
    _expect_refused(decay(machine, format_, tensors, [1.5]), 0, 1.5)
    _expect_refused(decay(machine, format_, tensors, [0.5], np.nan), 0, np.nan)


def check_streams_and_order(machine, format_):
    tensors = [Tensor(random_bits(format_, 1, 5000), 0), Tensor(random_bits(format_, 2, 3), 1)]
    for stream in (machine.gpu.stream, 0):
        _expect(decay(machine, format_, tensors, [0.1, 0.2], stream=stream, passes=3), 0)


def _expect(word, wanted):
    if word != wanted:
        raise Failure("the refused word is %#x, not %#x" % (word, wanted))


def _expect_refused(word, position, rate):
    found = np.uint32(word & 0xFFFFFFFF).reshape(1).view(np.float32)[0]
    same = found == np.float32(rate) or (np.isnan(found) and np.isnan(rate))
    if word >> 32 != position + 1 or not same:
        raise Failure("refused word %#x: variable %d, rate %r" % (word, (word >> 32) - 1, float(found)))


CHECKS = [function for name, function in sorted(globals().items()) if name.startswith("check_")]


def run_checks(machine):
    """Yields (check, format, what failed or an empty text)."""
    for check, format_ in itertools.product(CHECKS, FORMATS):
        name = check.__name__[len("check_") :].replace("_", " ")
        try:
            machine.gpu.free_all()  # what a check that failed has left
            check(machine, format_)
        except (Failure, NoGpu, launcher.LaunchError) as error:
            yield name, format_.name, str(error)
        else:
            yield name, format_.name, ""


def overrun(machine):
    """Decays one element more than a tensor has."""
    format_ = FORMATS[2]
    address = machine.gpu.allocate(4 * 1001)
    rates = machine.gpu.allocate(8)
    machine.gpu.write(rates, np.array([0.5, 1.0], np.float32))
    prepared = launcher.prepare([launcher.Span(address, address, 1002, 0)])
    launched = launcher.Rates(rates, rates + 4, 1, machine.gpu.pinned_word)
    launcher.launch(machine.library, machine.gpu.stream, format_.number, prepared, launched)
    machine.gpu.synchronize()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--overrun", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        library = launcher.load(launcher.build(directory))
        try:
            machine = Machine(Gpu(), library, 0 if arguments.exact or arguments.overrun else GUARD_BYTES)
        except NoGpu as error:
            sys.exit("No check was run: %s" % error)
        print(launcher.describe(library))
        if arguments.overrun:
            return overrun(machine)
        failed = 0
        for name, format_name, failure in run_checks(machine):
            print("%s, %s: %s" % (name, format_name, failure or "ok"), flush=True)
            failed += bool(failure)
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
