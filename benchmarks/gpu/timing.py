"""Times the decay of whole models on a GPU, all ways in turn, by CUDA events. Needs PyTorch built for CUDA."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from typing import Callable, NamedTuple

import launcher
import numpy as np
import torch
from formats import FORMATS, decayed, differing

RATES = (1e-4, 2e-4)  # so small that weights live through all rounds
TINY = [1 + i * 997 % 1000 for i in range(500)]
ALIGNMENT = 256  # bytes, as frameworks align their tensors
MAX_LAUNCHES = 500  # in one sample: the driver queues about a thousand before it waits
AHEAD_CYCLES = 40_000_000  # some 20 ms, for which the GPU waits while the host queues the work of a sample
TORCH_TYPES = {"float32": (torch.float32, torch.int32), "bfloat16": (torch.bfloat16, torch.int16)}


class Set(NamedTuple):
    """The weights of a model, once, on the GPU."""

    flat: torch.Tensor  # as many elements as the tensors have
    tensors: list
    prepared: launcher.Pass


class Way(NamedTuple):
    launches: int  # of kernels for one set, about
    run: Callable  # of a set and the one that was used longest ago


class Sample(NamedTuple):
    gpu_us: float  # of one set
    host_us: float
    queued: bool  # all was queued before the GPU began, which so had no pause


def make_sets(sizes, dtype):
    """Copies of a model, so many that by the time one is used again nothing of it is left in the GPU's L2 cache."""
    width = torch.empty(0, dtype=dtype).element_size()
    padded = [-(-size * width // ALIGNMENT) * ALIGNMENT // width for size in sizes]
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    count = max(4, math.ceil(4 * cache / (sum(sizes) * width)))
    return [_make_set(sizes, padded, dtype) for _ in range(count)]


def _make_set(sizes, padded, dtype):
    buffer = torch.randn(sum(padded), device="cuda", dtype=dtype)
    tensors = [part[:size] for part, size in zip(buffer.split(padded), sizes)]
    spans = [launcher.Span(t.data_ptr(), t.data_ptr(), t.numel(), i) for i, t in enumerate(tensors)]
    return Set(buffer[: sum(sizes)], tensors, launcher.prepare(spans))


class Decay:
    """Our launcher on PyTorch's tensors and current stream, with a rate for each tensor."""

    def __init__(self, library, format_, count):
        self._library, self._number = library, format_.number
        values = np.resize(np.array(RATES, format_.computed), count)
        self.rates = values
        self._on_gpu = torch.from_numpy(values).cuda()
        self._scale = torch.ones(1, dtype=self._on_gpu.dtype, device="cuda")
        self.refused = torch.zeros(1, dtype=torch.int64).pin_memory()
        addresses = [t.data_ptr() for t in (self._on_gpu, self._scale)]
        self._list = launcher.Rates(*addresses, count, self.refused.data_ptr())

    def __call__(self, set_, at_once=0):
        stream = torch.cuda.current_stream().cuda_stream
        launcher.launch(self._library, stream, self._number, set_.prepared, self._list, at_once)


def check(decay, set_, format_, bits_dtype):
    """A decay of the whole model must leave the same bits as NumPy."""

    def bits():
        return [t.view(bits_dtype).to("cpu", copy=True).numpy().view(format_.stored) for t in set_.tensors]

    before = bits()
    decay(set_)
    torch.cuda.synchronize()
    if decay.refused.item():
        raise SystemExit("a rate was refused: %#x" % decay.refused.item())
    for i, (old, new) in enumerate(zip(before, bits())):
        rate = decay.rates[i]
        wrong = differing(format_, new, decayed(format_, old, rate), rate)
        if len(wrong):
            raise SystemExit("tensor %d of %s differs from NumPy in %d elements" % (i, format_.name, len(wrong)))


def ways(decay, sizes, per_launch):
    """{name: Way}."""
    return {
        "tf1_wd": Way(math.ceil(len(sizes) / per_launch), lambda set_, far: decay(set_)),
        "device copy": Way(1, lambda set_, far: far.flat.copy_(set_.flat)),
        "torch._foreach_mul_": Way(
            math.ceil(len(sizes) / 32), lambda set_, far: torch._foreach_mul_(set_.tensors, 1 - RATES[0])
        ),
        "a kernel a tensor": Way(len(sizes), lambda set_, far: decay(set_, at_once=1)),
    }


def sample(way, sets, turn):
    """Times a way over the next sets."""
    repetitions = max(1, min(len(sets), 8, MAX_LAUNCHES // way.launches))
    chosen = [next(turn) for _ in range(repetitions)]
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(AHEAD_CYCLES)
    start.record()
    began = time.perf_counter()
    for i in chosen:
        way.run(sets[i % len(sets)], sets[(i + len(sets) // 2) % len(sets)])
    host = time.perf_counter() - began
    end.record()
    queued = not start.query()
    end.synchronize()
    return Sample(1e3 * start.elapsed_time(end) / repetitions, 1e6 * host / repetitions, queued)


def measure(library, sizes, format_name, rounds):
    """{way: [Sample of each round]} of a model with tensors of these sizes."""
    dtype, bits_dtype = TORCH_TYPES[format_name]
    format_ = next(f for f in FORMATS if f.name == format_name)
    sets = make_sets(sizes, dtype)
    decay = Decay(library, format_, len(sizes))
    check(decay, sets[0], format_, bits_dtype)
    table = ways(decay, sizes, library.tf1_wd_tensors_per_launch())
    turn = itertools.count()
    samples = {name: [] for name in table}
    for round_ in range(rounds + 2):
        for name, way in table.items():
            taken = sample(way, sets, turn)
            if round_ >= 2:  # the first two warm up
                samples[name].append(taken)
    return samples


def rows(samples, bytes_moved):
    """[way, us on the GPU, TB/s, share of the copy's rate, us on the host, remark]: medians of the rounds."""
    copy = samples["device copy"]
    result = []
    for name, taken in samples.items():
        us = statistics.median(s.gpu_us for s in taken)
        share = statistics.median(c.gpu_us / s.gpu_us for c, s in zip(copy, taken))
        host = statistics.median(s.host_us for s in taken)
        remark = "" if all(s.queued for s in taken) else "host too slow"
        result.append([name, us, bytes_moved / us / 1e6, share, host, remark])
    return result
