"""Number formats of the GPU kernels, and what a decay must leave: NumPy on the CPU, written apart from the kernels.

Tensors are arrays of bits here: NumPy has no bfloat16, and what is compared is bits.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np


class Format(NamedTuple):
    name: str
    number: int  # GpuType of decay_launch.h
    stored: type  # bits of an element
    computed: type  # also the type of the rates
    load: Callable  # bits -> numbers
    store: Callable  # numbers -> bits, to the nearest, ties to even


def load_bfloat16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def store_bfloat16(values):
    bits = values.view(np.uint32)
    kept, dropped = bits >> 16, bits & 0xFFFF
    up = (dropped > 0x8000) | ((dropped == 0x8000) & (kept & 1 == 1))
    return np.where(np.isnan(values), 0x7FC0, kept + up).astype(np.uint16)


FORMATS = (
    Format(
        *("float16", 0, np.uint16, np.float32),
        *(lambda bits: bits.view(np.float16).astype(np.float32), lambda v: v.astype(np.float16).view(np.uint16)),
    ),
    Format("bfloat16", 1, np.uint16, np.float32, load_bfloat16, store_bfloat16),
    Format("float32", 2, np.uint32, np.float32, lambda bits: bits.view(np.float32), lambda v: v.view(np.uint32)),
    Format("float64", 3, np.uint64, np.float64, lambda bits: bits.view(np.float64), lambda v: v.view(np.uint64)),
)


def random_bits(format_, seed, size):
    """Every kind of number: infinities, NaN, subnormal numbers and zeros of both signs among them."""
    width = np.dtype(format_.stored).itemsize
    return np.random.RandomState(seed).randint(0, 256, size * width, dtype=np.uint8).view(format_.stored)


def decayed(format_, bits, rate):
    """Bits of w - rate * w, the product rounded before it is subtracted; rate is of the computed type."""
    if rate == 0:
        return bits
    with np.errstate(all="ignore"):
        values = format_.load(bits)
        return format_.store(values - rate * values)


def differing(format_, bits, wanted, rate):
    """Positions at which bits differ. Which NaN a NaN becomes is the machine's choice, but only if it was computed."""
    wrong = bits != wanted
    if rate != 0:
        wrong &= ~(np.isnan(format_.load(bits)) & np.isnan(format_.load(wanted)))
    return np.flatnonzero(wrong)
