"""Checks and times the decay op's GPU code on this machine's first GPU: python benchmarks/gpu/run.py

Needs a GPU with its driver, g++, NumPy, and PyTorch built for CUDA; no TensorFlow and no CUDA toolkit. For memcheck it
needs compute-sanitizer, of a toolkit or from PyPI (nvidia-cuda-sanitizer-api). In this order:

1. every format, size, alignment and kind of rate, bit for bit against NumPy (checks.py; PyTorch takes no part);
2. the same under memcheck (memcheck.py);
3. times of whole models by CUDA events, against a copy on the GPU, torch._foreach_mul_, and one kernel a tensor
   (timing.py). All ways take turns, on copies of the model, so that no weights stay in the GPU's cache from one use to
   the next; the GPU is kept waiting until the work is queued. Medians over the rounds.

What it prints belongs into benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-only", action="store_true", help="no times; needs no PyTorch")
    parser.add_argument("--repeat", type=int, default=21, help="rounds (default: %(default)s)")
    arguments = parser.parse_args()
    need("numpy", "numpy")
    if not arguments.check_only:
        need("torch", "torch (built for CUDA, https://pytorch.org), or pass --check-only")
        cuda_torch()
    print("%s, `%s`, Python %s" % (datetime.date.today(), command_line(), platform.python_version()), flush=True)
    if subprocess.run([sys.executable, os.path.join(HERE, "checks.py")]).returncode:
        sys.exit("benchmarks/gpu: checks failed or could not run: see above")
    from memcheck import memcheck

    if memcheck() is False:
        sys.exit("benchmarks/gpu: memcheck found errors: see above")
    if not arguments.check_only:
        time_models(arguments.repeat)


def need(module, what):
    if importlib.util.find_spec(module) is None:
        sys.exit("benchmarks/gpu: Python has no module %s: pip install %s" % (module, what))


def cuda_torch():
    """PyTorch, if it can use a GPU."""
    import torch

    if not torch.cuda.is_available():
        built = "built for CUDA %s" % torch.version.cuda if torch.version.cuda else "not built for CUDA"
        sys.exit(
            "benchmarks/gpu: PyTorch %s, %s, finds no GPU: --check-only needs no PyTorch" % (torch.__version__, built)
        )
    return torch


def command_line():
    return " ".join(["python", "benchmarks/gpu/run.py", *sys.argv[1:]])


def driver_version():
    """Of the NVIDIA driver, as people know it."""
    try:
        with open("/proc/driver/nvidia/version") as file:
            found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", file.readline())
    except OSError:
        found = None
    return found.group() if found else "unknown"


def models():
    """(name, sizes of the tensors, format) of what is timed."""
    from model_shapes import bert_large, resnet50
    from timing import TINY

    resnet, bert = ([product(shape) for shape in shapes] for shapes in (resnet50(), bert_large()))
    return [
        ("ResNet-50", resnet, "float32"),
        ("BERT-large", bert, "float32"),
        ("BERT-large", bert, "bfloat16"),
        ("500 tiny tensors", TINY, "float32"),
    ]


def product(shape):
    result = 1
    for size in shape:
        result *= size
    return result


def time_models(rounds):
    import launcher
    import timing

    from tf1_wd.plan import text_table

    torch = cuda_torch()
    gpu = torch.cuda.get_device_name(0)
    with tempfile.TemporaryDirectory() as directory:
        library = launcher.load(launcher.build(directory))
    print(
        "\n%s, NVIDIA driver %s, PyTorch %s, medians of %d rounds" % (gpu, driver_version(), torch.__version__, rounds)
    )
    header = ("way", "GPU us", "TB/s", "of copy", "host us", "remark")
    for name, sizes, format_name in models():
        bytes_moved = 2 * sum(sizes) * (4 if format_name == "float32" else 2)
        title = "%s, %s: %d tensors, %.2f million weights, %.1f MB read and written"
        print("\n" + title % (name, format_name, len(sizes), sum(sizes) / 1e6, bytes_moved / 1e6))
        available = torch.cuda.mem_get_info()[0]
        if 3 * bytes_moved > available:
            print(
                "not timed: needs %.1f GB of the GPU's memory, %.1f are free" % (3e-9 * bytes_moved, 1e-9 * available)
            )
            continue
        samples = timing.measure(library, sizes, format_name, rounds)
        rows = timing.rows(samples, bytes_moved)
        print(text_table.table([[round(c, 2) if isinstance(c, float) else c for c in row] for row in rows], header))
        for line in expectations(name, format_name, rows[0], gpu):
            print(line)
        sys.stdout.flush()
        torch.cuda.empty_cache()


def expectations(name, format_name, ours, gpu):
    """Lines: what was wanted of this model, and whether it is so."""
    _, us, _, share, _, _ = ours
    lines = []
    if (name, format_name) == ("BERT-large", "float32"):
        lines.append("wanted: at least 0.90 of the copy's rate: %.2f, %s" % (share, met(share >= 0.9)))
    if name == "ResNet-50":
        said = "%.1f us, %s" % (us, met(us <= 60)) if "H200" in gpu else "this is none (%.1f us)" % us
        lines.append("wanted: at most 60 us on an H200: %s" % said)
    return lines


def met(yes):
    return "met" if yes else "NOT MET"


if __name__ == "__main__":
    main()
