"""Decays tensors on a GPU and compares what is left with NumPy, bit for bit."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import launcher
import numpy as np
from device import Gpu
from formats import decayed, differing

GUARD = 0xA5  # every byte around a tensor


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


class NotChecked(Exception):
    """What is missing for a check."""


class Buffer:
    """A tensor in the GPU's memory."""

    def __init__(self, machine, bits, offset):
        self._gpu, self._bits = machine.gpu, bits
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
            compare(format_, "source", t, source.read(), t.bits, 0)
        compare(format_, "target", t, target.read(), wanted, rate)
    gpu.free_all()
    return word.value


def compare(format_, what, tensor, bits, wanted, rate):
    wrong = differing(format_, bits, wanted, rate)
    if len(wrong):
        first = wrong[0]
        found = "%d elements differ, the first at %d: %#x, not %#x" % (len(wrong), first, bits[first], wanted[first])
        raise Failure("%s of %s (rate %r): %s" % (what, tensor, float(rate), found))


def decay_at(machine, format_, address, size, rate):
    """Decays what is at an address, whatever it is."""
    gpu, width = machine.gpu, np.dtype(format_.computed).itemsize
    rates = gpu.allocate(2 * width)
    gpu.write(rates, np.array([rate, 1.0], format_.computed))
    gpu.synchronize()
    prepared = launcher.prepare([launcher.Span(address, address, size, 0)])
    launched = launcher.Rates(rates, rates + width, 1, gpu.pinned_word)
    launcher.launch(machine.library, gpu.stream, format_.number, prepared, launched)
    gpu.synchronize()
