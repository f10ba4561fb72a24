"""Mutation testing: changes the code a little, runs the tests that reach the change, lists the changes none notices.

    python tools/mutate.py tf1_wd/plan                          # all mutants of a folder
    python tools/mutate.py --sample 150 --seed 1 tf1_wd/decay   # so many of them, drawn by chance

The first call records in .mutation/ which lines each test of --tests executes; later calls record again what changed.
A mutant lives in the memory of one process: no file is changed. That process is a fork of one that has imported
TensorFlow and has run nothing, as TensorFlow's threads do not live on in a fork. Each mutant gets the tests that
execute its line until one fails: the cheapest first, then, for --budget seconds, those that execute most of its module,
one case of each test function before further cases.

docs/develop/mutants.md says why the survivors that are known may live. Exit 1 if there are others. Needs pytest,
coverage, and Python 3.9 or later.
"""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import importlib.machinery
import importlib.util
import itertools
import json
import os
import pathlib
import random
import re
import signal
import sys
import time
import traceback
from typing import NamedTuple

import mutants

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT = ROOT / ".mutation"
EXPLAINED = ROOT / "docs" / "develop" / "mutants.md"
MUTATED = ("plan", "penalties", "decay")  # the folders of tf1_wd that tests are recorded for
TESTS = (
    "tests/plan",
    "tests/penalties",
    "tests/graph",
    "tests/decay",
    "tests/optimizers",
    "tests/conventions",
    "tests/test_reasons.py",
)
QUICK = (0.5, 3.0)  # seconds of tests to begin with: most mutants do not live longer
LIMIT = 60.0  # seconds for a process, over ten times what its tests took
PYTEST = ["-q", "-x", "-o", "addopts=", "--assert=plain", "-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning"]
KILLED, SURVIVED, UNREACHED = "killed", "survived", "no test"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="modules or folders of tf1_wd/plan, penalties or decay")
    parser.add_argument("--sample", type=int, help="how many mutants to try, drawn by chance; all of them without it")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after these, and count what was tried")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of tests a mutant has to survive")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="files or folders of tests")
    parser.add_argument("--lines", type=int, nargs="+", help="mutants of these lines alone")
    parser.add_argument("--log", help="append a line of JSON for each mutant to this file")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import_tensorflow()
    tests = recorded(options.tests)
    chosen = [
        (path, tree, m) for path in modules(options.paths) for tree in [parsed(path)] for m in mutants.mutants_of(tree)
    ]
    if options.lines:
        chosen = [one for one in chosen if set(options.lines) & set(one[2].lines)]
    made = len(chosen)
    if options.sample is not None and options.sample < made:
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    start, survivors, number = time.time(), [], 0
    for number, (path, tree, mutant) in enumerate(chosen, 1):
        if time.time() - start > 60 * options.minutes:
            number -= 1
            break
        outcome, seconds = verdict(path, tree, mutant, tests, options.budget)
        line = "%s:%d %s: %s -> %s" % (path, mutant.lines.start, mutant.place, mutant.old, mutant.new)
        if options.log:
            with open(options.log, "a") as file:
                file.write(json.dumps([outcome, round(seconds, 1), line]) + "\n")
        if outcome != KILLED:
            survivors.append((path, mutant, line))
            print("%d/%d %s: %s" % (number, len(chosen), outcome, line), flush=True)
    return report(made, number, survivors, time.time() - start)


def report(made, tried, survivors, seconds):
    """Prints the counts, and the survivors that nothing explains; 1 if there are such."""
    known = explained()
    new = [line for path, mutant, line in survivors if (path, mutant.place, mutant.old, mutant.new) not in known]
    counts = (tried, made, tried - len(survivors), len(survivors) - len(new), len(new), seconds / 60)
    print("\n%d of %d mutants: %d killed, %d survivors explained, %d not; %.1f minutes" % counts)
    print("\n".join(new))
    return 1 if new else 0


def explained():
    """{(module, function, old, new)} of the page of survivors."""
    found, path = set(), None
    for line in EXPLAINED.read_text().splitlines() if EXPLAINED.exists() else []:
        heading = re.match(r"## `(.*)`", line)
        path = heading.group(1) if heading else path
        known = re.match(r"- `(.*?)`: `(.*?)` -> `(.*?)`: ", line)
        if known:
            found.add((path, known.group(1), known.group(2), known.group(3)))
    return found


# --- the modules


def modules(paths):
    """The modules below the paths, relative to the project."""
    for path in map(pathlib.Path, paths):
        below = sorted((ROOT / path).rglob("*.py")) if (ROOT / path).is_dir() else [ROOT / path]
        yield from (one.relative_to(ROOT).as_posix() for one in below)


def parsed(path):
    return ast.parse((ROOT / path).read_text())


class Mutated(importlib.machinery.SourceFileLoader):
    """Imports a module from the code that it is given, in place of the file's."""

    def __init__(self, path, code):
        super().__init__(path[: -len(".py")].replace("/", ".").replace(".__init__", ""), str(ROOT / path))
        self.code = code

    def get_code(self, fullname):
        return self.code

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, self.path, loader=self)


# --- processes


def import_tensorflow():
    """What a fork finds imported; nothing of the project."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("tf_keras") is not None:
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
        import tf_keras  # noqa: F401
    import pytest  # noqa: F401
    import tensorflow.compat.v1  # noqa: F401

    gc.freeze()  # a fork shares these pages as long as nobody writes there


def in_fork(function, limit):
    """What `function` returns, a number, called in a fork; -1 if it crashes or takes longer than `limit` seconds."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setsid()
            silence = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(silence, stream)
            code = function()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    end = time.time() + limit
    while time.time() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def verdict(path, tree, mutant, tests, budget):
    """(outcome, seconds) of a mutant."""
    start, reaching = time.time(), tests_of(path, mutant, tests)
    if not reaching:
        return UNREACHED, 0.0
    with mutant.applied():
        code = compile(ast.fix_missing_locations(tree), str(ROOT / path), "exec")
    for few in [*(cheapest(reaching, seconds) for seconds in QUICK), deepest(reaching, budget)]:
        limit = LIMIT + 10 * sum(test.seconds for test in few)
        if few and in_fork(lambda chosen=few: pytest_of(chosen, [Mutated(path, code)]), limit) != 0:
            return KILLED, time.time() - start
        if len(few) == len(reaching):
            break
    return SURVIVED, time.time() - start


def pytest_of(chosen, finders):
    """pytest's exit code for some tests, in their order."""
    import pytest

    sys.meta_path[:0] = finders
    place = {test.name: i for i, test in enumerate(chosen)}

    class Chosen:
        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(self, items):
            items[:] = sorted((i for i in items if i.nodeid in place), key=lambda item: place[item.nodeid])

    files = dict.fromkeys(name.split("::")[0] for name in place)
    return int(pytest.main([*PYTEST, *files], plugins=[Chosen()]))


# --- which tests execute a line


def recorded(paths):
    """{file of tests: its record}, made where it is missing, or older than the file or a module that it executes."""
    files = [f for p in map(pathlib.Path, paths) for f in (sorted(p.rglob("test_*.py")) if p.is_dir() else [p])]
    KEPT.mkdir(exist_ok=True)
    records = {}
    for file in map(str, files):
        kept = KEPT / (file.replace("/", ".") + ".json")
        known = json.loads(kept.read_text()) if kept.exists() else None
        if known is None or known["stamp"] != stamp_of([file, *known["modules"]]):
            start = time.time()
            ended = in_fork(lambda file=file, kept=kept: record(file, kept), 1800)
            print("recorded %s in %.0f s%s" % (file, time.time() - start, "" if ended == 0 else ": FAILED"), flush=True)
        if kept.exists():
            records[file] = json.loads(kept.read_text())
    return records


def stamp_of(paths):
    contents = [pathlib.Path(path).read_bytes() if os.path.exists(path) else b"gone" for path in paths]
    return hashlib.sha256(b"".join(contents)).hexdigest()


def record(file, kept):
    """Writes what the tests of a file execute: for each that passes, its seconds and {module: lines}."""
    import coverage
    import pytest

    seen = coverage.Coverage(data_file=None, include=["%s/tf1_wd/%s/*" % (ROOT, folder) for folder in MUTATED])
    seconds = {}

    class Recording:
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(self, item):
            seen.switch_context(item.nodeid)
            start = time.time()
            yield
            seconds.setdefault(item.nodeid, time.time() - start)

        def pytest_runtest_logreport(self, report):
            if not report.passed:
                seconds[report.nodeid] = None  # it fails or is skipped by itself

    seen.start()
    options = [word for word in PYTEST if word != "-x"]
    ended = pytest.main([*options, file], plugins=[Recording()])
    seen.stop()
    lines = {name: {} for name, took in seconds.items() if took is not None}
    data = seen.get_data()
    for module in data.measured_files():
        for line, names in data.contexts_by_lineno(module).items():
            for name in names:
                if name in lines:
                    lines[name].setdefault(os.path.relpath(module, ROOT), []).append(line)
    loaded = sorted(os.path.relpath(module, ROOT) for module in data.measured_files())
    tests = {name: {"seconds": seconds[name], "lines": executed} for name, executed in lines.items()}
    kept.write_text(json.dumps({"stamp": stamp_of([file, *loaded]), "modules": loaded, "tests": tests}))
    return 0 if ended in (0, 5) else 1


class Reaching(NamedTuple):
    """A test that executes a mutant: its seconds, and how many lines of the module it executes."""

    name: str
    seconds: float
    depth: int


def tests_of(path, mutant, records):
    """Every Reaching of a mutant; what an import executes is executed for every test."""
    found = []
    for one in records.values():
        for name, test in one["tests"].items():
            executed = test["lines"].get(path, ())
            uses = mutant.at_import and (executed or path in one["modules"])
            if uses or any(line in mutant.lines for line in executed):
                found.append(Reaching(name, test["seconds"], len(executed)))
    return found


def cheapest(tests, seconds):
    """The most tests that take no longer than `seconds` together."""
    return within(sorted(tests, key=lambda test: test.seconds), seconds)


def deepest(tests, seconds):
    """Tests for so many seconds: a case of each function, those first that go deepest into the module; then others."""
    by_function = {}
    for test in sorted(tests, key=lambda test: (-test.depth, test.seconds)):
        by_function.setdefault(test.name.split("[")[0], []).append(test)
    cases = itertools.zip_longest(*by_function.values())
    return within([test for test in itertools.chain.from_iterable(cases) if test], seconds)


def within(tests, seconds):
    """The first tests, as long as they take no longer than `seconds` together."""
    sums = itertools.accumulate(test.seconds for test in tests)
    return [test for test, total in zip(tests, sums) if total <= seconds]


if __name__ == "__main__":
    sys.exit(main())
