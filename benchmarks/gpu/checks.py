"""Checks the launcher and its kernels bit for bit against NumPy: python benchmarks/gpu/checks.py

Runs on a GPU, or on the fake driver of tests/native/fake_gpu. Needs g++ and NumPy. Prints a line for each check and
format.

--exact: tensors end where their memory ends, instead of before guard bytes that must not change: for memcheck, which
then sees every access behind a tensor. --overrun: nothing but an access behind a tensor, which memcheck must find.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile

import launcher
import numpy as np
from comparing import Failure, Machine, NotChecked, Tensor, compare, decay, decay_at
from device import Gpu, NoGpu, OutOfMemory
from formats import FORMATS, decayed, random_bits

GUARD_BYTES = 64


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
    for size in (1, 100000):
        decay_at(machine, format_, nowhere, size, 0.0)


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


def check_8_gib_in_a_tensor(machine, format_):
    """Positions and addresses that 32 bits do not hold; looked at around their limits and at both ends."""
    gpu, width, shown = machine.gpu, np.dtype(format_.stored).itemsize, 20000
    size = 2**33 // width + 2 * machine.chunk(format_) + 3
    try:
        address = gpu.allocate(size * width)
    except OutOfMemory:
        raise NotChecked("a GPU with %.1f GB of free memory is needed" % (1e-9 * size * width)) from None
    limits = {2**31 // width, 2**32 // width, 2**31, 2**32}
    begins = [0, *(limit - shown // 2 for limit in limits if limit < size), size - shown]
    tensors = [Tensor(random_bits(format_, i, shown), 0) for i in range(len(begins))]
    for begin, tensor in zip(begins, tensors):
        gpu.write(address + begin * width, tensor.bits)
    rate = format_.computed(0.3)
    decay_at(machine, format_, address, size, rate)
    for begin, tensor in zip(begins, tensors):
        left = gpu.read(address + begin * width, shown * width).view(format_.stored)
        compare(format_, "from element %d on" % begin, tensor, left, decayed(format_, tensor.bits, rate), rate)


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
            machine.gpu.free_all()  # what the check before has left
            check(machine, format_)
        except (Failure, NoGpu, launcher.LaunchError) as error:
            yield name, format_.name, str(error)
        except NotChecked as reason:
            print("NOT CHECKED: %s, %s: %s" % (name, format_.name, reason))
        else:
            yield name, format_.name, ""


def overrun(machine):
    """Decays one element more than there is."""
    format_, size = FORMATS[2], 1001
    decay_at(machine, format_, machine.gpu.allocate(4 * size), size + 1, 0.5)


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
