"""Runs tools/fuzz.py on the op compiled for a sanitizer of g++, on the TensorFlow of this Python.

    python tools/sanitize.py address --cases 1000     # AddressSanitizer and UndefinedBehaviorSanitizer
    python tools/sanitize.py thread --cases 1000      # ThreadSanitizer
    python tools/sanitize.py thread --prove           # puts faults into copies of the sources: each must be reported

Exits with 1 where there is a report, or where a fault of --prove is not reported. Needs g++ with its sanitizers, and
setarch (util-linux).

AddressSanitizer looks for no leaks: TensorFlow and Python leave much behind at exit, and its stacks do not reach
through TensorFlow, which is compiled without frame pointers, so that a leak of the op could not be told from theirs.

ThreadSanitizer: TensorFlow is not compiled for it. What TensorFlow does by itself is left out
(ignore_noninstrumented_modules), so that every report is of two accesses by the op's own code, and nothing of the op is
suppressed. TensorFlow's locks and thread pool are invisible, too: TOLD names the places where the copy that is compiled
tells ThreadSanitizer what they order. These are no suppressions: a lock that the op does not take is not told. Two runs
of a session without locks (use_locking=False) are ordered by the session alone, which nothing tells: each case locks.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tf1_wd.native import build, loader  # noqa: E402

TOOLS = os.path.dirname(os.path.abspath(__file__))
TSAN = os.path.join(TOOLS, "tsan")
REPORT = re.compile(r"^(==\d+==ERROR: AddressSanitizer|WARNING: ThreadSanitizer|.*: runtime error: ).*", re.M)
SEED = re.compile(r"^seed (\d+)$", re.M)


class Change(NamedTuple):
    """One place of the sources, as a copy of them has it that is compiled."""

    file: str
    old: str
    new: str


class Sanitizer(NamedTuple):
    options: Sequence[str]  # for the compiler
    runtimes: Sequence[str]  # libraries that are loaded before all others
    environment: dict[str, str]
    arguments: Sequence[str]  # for tools/fuzz.py
    told: Sequence[Change]
    faults: dict[str, Change]  # what is wrong: how to make it so


ACQUIRE = "for (auto* mutex : mutexes_) mutex->lock();"
RELEASE = "for (auto* mutex : mutexes_) mutex->unlock();"
TOLD = [
    Change("decay_cpu.cc", '#include "decay.h"', '#include "decay.h"\n#include "shard.h"'),
    Change("decay_cpu.cc", "tensorflow::Shard(", "Shard("),
    Change("variable_access.h", '#include "decay.h"', '#include "decay.h"\n#include "shard.h"'),
    Change("variable_access.h", ACQUIRE, ACQUIRE + " for (auto* mutex : mutexes_) __tsan_acquire(mutex);"),
    Change("variable_access.h", RELEASE, "for (auto* mutex : mutexes_) __tsan_release(mutex); " + RELEASE),
]
RUN = "const auto run = ["
ADDRESS = Sanitizer(
    # Without vptr: it wants type information that TensorFlow's libraries do not export. Without those of null pointers:
    # with them g++ 12 takes comparisons in absl's headers for no constants. AddressSanitizer sees their use.
    [
        "-fsanitize=address,undefined",
        "-fno-sanitize=vptr,null,nonnull-attribute,returns-nonnull-attribute",
        "-fno-sanitize-recover=undefined",
    ],
    ["libasan.so", "libubsan.so"],
    {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"},
    [],
    [],
    {
        "an element behind the last": Change("decay_cpu.cc", "+ begin, end - begin,", "+ begin, end - begin + 1,"),
        "memory that was given back": Change(
            "decay_cpu.cc",
            RUN,
            "const int64_t* gone = ends.data(); ends = std::vector<int64_t>(ends.begin(), ends.end()); "
            "if (*gone < 0) return; " + RUN,
        ),
        "an overflow of a signed integer": Change(
            "decay_cpu.cc",
            RUN,
            "int64_t most = INT64_MAX; most += static_cast<int64_t>(pass.size()); if (most == total) return; " + RUN,
        ),
    },
)
THREAD = Sanitizer(
    ["-fsanitize=thread"],
    ["libtsan.so"],
    {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1"},
    ["--locking"],
    TOLD,
    {
        "a decay that takes no lock": Change(
            "variable_access.h", "std::sort(mutexes_.begin(), mutexes_.end());", "mutexes_.clear();"
        ),
        "shards that share an element": Change(
            "decay_cpu.cc", "begin - first, last - first", "begin - first - (begin > first), last - first"
        ),
    },
)
SANITIZERS = {"address": ADDRESS, "thread": THREAD}


def changed_sources(folder: str, changes: Sequence[Change]) -> str:
    """A copy of the op's sources with `changes`; each place must be there, and once."""
    copy = os.path.join(folder, "csrc")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(build.SOURCES, copy)
    shutil.copy(os.path.join(TSAN, "shard.h"), copy)
    for change in changes:
        path = os.path.join(copy, change.file)
        with open(path) as file:
            text = file.read()
        if text.count(change.old) != 1:
            raise SystemExit(
                "tools/sanitize.py: %s has %r %d times" % (change.file, change.old, text.count(change.old))
            )
        with open(path, "w") as file:
            file.write(text.replace(change.old, change.new))
    return copy


def compile_from(sources: str, options: Sequence[str], output: str) -> str:
    """Compiles all of a folder as the package compiles the op, but with more options; returns `output`."""
    compiler = build.find_compiler()
    ours, build.SOURCES = build.SOURCES, sources
    try:
        compiler = compiler._replace(command=(*compiler.command, *options))
        build.compile_library(loader.tensorflow_build(), compiler, output)
    finally:
        build.SOURCES = ours
    return output


def compile_op(sanitizer: Sanitizer, folder: str, fault: Change | None = None) -> str:
    """The op for a sanitizer; with a fault, if one is given. Returns the path of the library."""
    sources = changed_sources(folder, [*([fault] if fault else []), *sanitizer.told])
    options = [*sanitizer.options, "-g1", "-fno-omit-frame-pointer"]
    if sanitizer.told:
        options.append(compile_from(TSAN, ["-c"], os.path.join(folder, "shard.o")))
    return compile_from(sources, options, os.path.join(folder, "libtf1_wd.so"))


def fuzz(sanitizer: Sanitizer, library: str, arguments: Sequence[str]) -> tuple[int, str]:
    """(exit status, all that was said) of tools/fuzz.py with a library, under the sanitizer's runtime."""
    compiler = build.find_compiler().command
    found = [
        subprocess.run([*compiler, "-print-file-name=" + name], stdout=subprocess.PIPE, check=True).stdout
        for name in sanitizer.runtimes
    ]
    preload = "LD_PRELOAD=" + ":".join(path.decode().strip() for path in found)
    # without random addresses, of which ThreadSanitizer bears few
    command = ["setarch", os.uname().machine, "-R", "env", preload, sys.executable, os.path.join(TOOLS, "fuzz.py")]
    command += ["--backend", "native", "--library", library, "--trace", *sanitizer.arguments, *arguments]
    said = subprocess.run(
        command, env={**os.environ, **sanitizer.environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return said.returncode, said.stdout.decode(errors="replace")


def sanitize(name: str, arguments: Sequence[str]) -> int:
    """Fuzzes the op under a sanitizer; 0 if it had nothing to say, and all cases were right."""
    with tempfile.TemporaryDirectory() as folder:
        status, said = fuzz(SANITIZERS[name], compile_op(SANITIZERS[name], folder), arguments)
    reports = REPORT.findall(said)
    if reports or status:
        print(SEED.sub("", said[-20000:]).strip())
        print("the last case: seed %s; exit %d" % ((SEED.findall(said) or ["none"])[-1], status))
    closing = [line for line in said.split("\n") if line.startswith("===")] or ["=== it did not end ==="]
    print("%s, %s: %d reports ===" % (closing[-1][:-4], name, len(reports)))
    return 1 if reports or status else 0


def prove(name: str, arguments: Sequence[str]) -> int:
    """Fuzzes ops with a fault each; 0 if every one was reported, in a function of the op."""
    missed = 0
    for fault, change in SANITIZERS[name].faults.items():
        with tempfile.TemporaryDirectory() as folder:
            _, said = fuzz(SANITIZERS[name], compile_op(SANITIZERS[name], folder, change), arguments)
        report = REPORT.search(said)
        ours = report and "/csrc/" in said[report.start() :]  # a frame of the op's sources
        missed += not ours
        print("%s: %s" % (fault, report.group().strip() if report and ours else "NOT REPORTED"), flush=True)
        if not ours:
            print(said[-3000:])
    print("=== %s: %d faults, %d not reported ===" % (name, len(SANITIZERS[name].faults), missed))
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sanitizer", choices=sorted(SANITIZERS))
    parser.add_argument("--prove", action="store_true", help="compile faults, and demand a report of each")
    parser.add_argument("--cases", type=int, help="how many (default: 200; 60 for each fault)")
    parser.add_argument("--seconds", type=float, help="for how long")
    parser.add_argument("--seed", type=int, default=1, help="of the first case")
    options = parser.parse_args()
    if options.cases is None and options.seconds is None:
        options.cases = 60 if options.prove else 200
    arguments = ["--seed", str(options.seed)]
    for name in ("cases", "seconds"):
        if getattr(options, name) is not None:
            arguments += ["--" + name, str(getattr(options, name))]
    return (prove if options.prove else sanitize)(options.sanitizer, arguments)


if __name__ == "__main__":
    sys.exit(main())
