"""Random decays by the op and by its twin, against NumPy in float64; the twin also against the op, bit by bit.

    python tools/fuzz.py --cases 2000                    # both backends, and their bits
    python tools/fuzz.py --seconds 60 --seed 7 --backend native
    python tools/fuzz.py --huge                          # more than 2^31 elements; 9 GB for the op, 17 for the twin

Case i has the seed SEED + i and depends on nothing else: a case that fails prints the command that repeats it.
Exits with 1 if one failed.
"""

from __future__ import annotations

import argparse
import collections
import functools
import itertools
import os
import sys
import threading
import time
from typing import Any, Sequence

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # whose allocator refuses what --huge asks for

import numpy as np
import tensorflow.compat.v1 as tf
from fuzz_cases import FORMATS, Case, Outcome, difference, make_case, problem_of, to_bits, to_numbers

from tf1_wd import errors
from tf1_wd.native import decay as native_decay
from tf1_wd.native import loader

BACKENDS = ("native", "tensorflow")
MOST_FAILURES = 10  # that are told before the run ends
STORM_THREADS, STORM_RUNS = 8, 4


# Running them


def execute(case: Case, backend: str) -> Outcome:
    """The variables after the decays of a case."""
    form = FORMATS[case.format]
    integers = tf.as_dtype(form.bits)
    config = tf.ConfigProto(intra_op_parallelism_threads=case.threads, inter_op_parallelism_threads=case.threads)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        starts = [tf.placeholder(integers, weight.shape) for weight in case.weights]
        resource = case.kind == "resource"
        variables = [
            tf.get_variable("w%d" % i, initializer=tf.bitcast(start, form.dtype), use_resource=resource)
            for i, start in enumerate(starts)
        ]
        there = [i for i in range(len(variables)) if i != case.missing]
        session.run([variables[i].initializer for i in there], dict(zip(starts, case.weights)))
        if case.sharing and 0 in there and 1 in there:
            session.run(variables[1].assign(variables[0].read_value()).op)
        held = session.run([variables[i].read_value() for i in there]) if case.held and resource else []
        refused = message = ""
        try:
            step, feed = make_step(case, variables, backend, session)
            for _ in range(case.runs):
                session.run(step, feed)
        except (errors.InvalidRateError, tf.errors.OpError) as error:
            refused, message = type(error).__name__, str(error)
        reads: list[Any] = [None] * len(variables)
        for i, bits in zip(there, session.run([tf.bitcast(variables[i], integers) for i in there])):
            reads[i] = np.asarray(bits)
        changed = [
            i for i, array in zip(there, held) if not (np.asarray(array).view(form.bits) == case.weights[i]).all()
        ]
        return Outcome(refused, message, reads, "what was fetched of %s changed" % changed if changed else "")


def make_step(case: Case, variables: Sequence[Any], backend: str, session: Any) -> tuple[Any, dict[Any, Any]]:
    """(the decay of a case, what to feed it)."""
    rates: Any = case.rates
    scale: Any = case.scale
    feed = {}
    if case.given.startswith("fed"):
        shapes = [None, None] if case.given == "fed without shape" else [case.rates.shape, ()]
        rates, scale = (tf.placeholder(value.dtype, shape) for value, shape in zip((rates, scale), shapes))
        feed = {rates: case.rates, scale: case.scale}
    elif case.given == "a variable":
        scale = tf.get_variable("scale", initializer=case.scale, use_resource=case.kind == "resource")
        session.run(scale.initializer)
    listed = [variables[i] for i in case.listing]
    return native_decay.decay(listed, rates, scale, backend=backend, use_locking=case.use_locking), feed


def check_decay(seed: int, backends: Sequence[str], locking: bool = False) -> str:
    """What is wrong with the decay of a seed, or ""."""
    case = make_case(seed)
    case = case._replace(use_locking=True) if locking else case
    outcomes = [execute(case, backend) for backend in backends]
    for backend, outcome in zip(backends, outcomes):
        problem = problem_of(case, outcome, backend)
        if problem:
            return "%s: %s; %s" % (backend, problem, case)
    problem = difference(case, *outcomes) if len(outcomes) == 2 else ""
    return problem and "%s; %s" % (problem, case)


# Storms


def check_storm(seed: int, backends: Sequence[str]) -> str:
    """What is wrong with decays of the same variables by eight threads at once, or "".

    Each variable has one rate, so that all orders give the same bits: those of NumPy, one decay after the other.
    """
    random = np.random.RandomState(seed)
    kind, name = random.choice(["reference", "resource"]), random.choice(sorted(FORMATS))
    form = FORMATS[name]
    count, size = random.randint(1, 6), int(random.choice([5, 1000, 20000, 100000]))
    starts = [to_bits(random.uniform(0.5, 2, size), name) for _ in range(count)]
    rates = random.uniform(0.01, 0.3, count).astype(form.rate)
    orders = [random.randint(0, count, random.randint(1, 2 * count + 1)).tolist() for _ in range(STORM_THREADS)]
    times = [STORM_RUNS * sum(order.count(i) for order in orders) for i in range(count)]
    states = [serial_states(start, rate, n, name) for start, rate, n in zip(starts, rates, times)]
    for backend in backends:
        found, torn = run_storm(kind, name, starts, rates, orders, backend, states)
        wrong = [i for i in range(count) if not (found[i] == states[i][-1]).all()]
        if wrong or torn:
            return "%s: storm of %s %s, %d variables of %d elements: %s" % (
                *(backend, kind, name, count, size),
                "wrong at the end: %s; read in between: %s" % (wrong, torn),
            )
    return ""


def serial_states(bits: np.ndarray, rate: Any, times: int, name: str) -> list[np.ndarray]:
    """The bits of a variable after 0, 1, 2 ... decays."""
    states = [bits]
    for _ in range(times):
        value = to_numbers(states[-1], name)
        states.append(to_bits(value - rate * value, name))
    return states


def run_storm(kind, name, starts, rates, orders, backend, states):
    """(the bits at the end, what was read in between that is none of the states)."""
    form = FORMATS[name]
    integers, resource = tf.as_dtype(form.bits), kind == "resource"
    config = tf.ConfigProto(intra_op_parallelism_threads=4, inter_op_parallelism_threads=STORM_THREADS)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        variables = [
            tf.get_variable("w%d" % i, initializer=tf.bitcast(tf.constant(start), form.dtype), use_resource=resource)
            for i, start in enumerate(starts)
        ]
        reads = [tf.bitcast(variable.read_value(), integers) for variable in variables]
        steps = [
            native_decay.decay([variables[i] for i in order], rates[order], 1.0, backend=backend) for order in orders
        ]
        session.run(tf.global_variables_initializer())
        torn: list[str] = []

        def decay_and_read(step, i):
            try:
                for _ in range(STORM_RUNS):
                    session.run(step)
                    if resource:  # a reader of a reference may see half of an update
                        read = session.run(reads[i])
                        if not any((read == state).all() for state in states[i]):
                            torn.append("w%d" % i)
            except Exception as error:  # told by the thread that waits
                torn.append("%s: %s" % (type(error).__name__, error))

        threads = [
            threading.Thread(target=decay_and_read, args=[step, k % len(starts)], daemon=True)
            for k, step in enumerate(steps)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(600)
        if any(thread.is_alive() for thread in threads):
            raise SystemExit("tools/fuzz.py: a storm hangs: %s %s %s, orders %s" % (backend, kind, name, orders))
        return session.run(reads), torn


# Refusals


def check_refusal(seed: int, backends: Sequence[str]) -> str:
    """What is wrong where variables cannot share an op, or rates and scale have no fitting shape; or ""."""
    random = np.random.RandomState(seed)
    first, second = random.permutation(sorted(FORMATS))[:2]
    kinds = random.permutation(["reference", "resource"])
    for backend in backends:
        with tf.Graph().as_default(), tf.Session() as session:

            def variable(label, name, kind):
                start = tf.cast(tf.constant([2.0, -4.0]), name)
                return tf.get_variable(label, initializer=start, use_resource=kind == "resource")

            one, same = (variable(label, first, kinds[0]) for label in ("one", "same"))
            others = {
                "other": variable("other", second, kinds[0]),
                "kind": variable("kind", first, kinds[1]),
                "integer": variable("integer", "int32", kinds[0]),
            }
            session.run(tf.global_variables_initializer())
            for label, other in others.items():
                try:
                    native_decay.decay([one, other], 0.5, 1.0, backend=backend)
                except errors.InvalidOptionError as error:
                    if label not in str(error):
                        return "%s: the message does not name %s: %s" % (backend, label, error)
                else:
                    return "%s: [one, %s] is not refused" % (backend, label)
            rates, scale = (tf.placeholder(FORMATS[first].rate) for _ in range(2))
            step = native_decay.decay([one, same], rates, scale, backend=backend)
            shape = [[3], [1, 2], [2, 1], [0], [1]][random.randint(5)]
            for wrong in ({rates: np.full(shape, 0.5), scale: 1.0}, {rates: 0.5, scale: np.full(shape, 0.5)}):
                try:
                    session.run(step, wrong)
                except tf.errors.InvalidArgumentError:
                    continue
                return "%s: rates or scale of shape %s are not refused" % (backend, shape)
            if backend == "native" and kinds[0] == "resource":
                wide = FORMATS[second].rate
                arguments = [one.handle], wide(0.5), wide(1.0)
                raw = loader.native_ops().tf1_wd_resource_decay(*arguments, T=FORMATS[second].dtype)
                try:
                    session.run(raw)
                except tf.errors.InvalidArgumentError:
                    pass
                else:
                    return "native: a %s resource decays as %s" % (first, second)
            if session.run([tf.cast(w, tf.float32) for w in (one, same)])[1].tolist() != [2.0, -4.0]:
                return "%s: something was refused, and decayed" % backend
    return ""


# Huge


def check_huge(backend: str) -> str:
    """What is wrong with a decay of more than 2^31 elements, between two small variables; or ""."""
    period = np.arange(1, 8192, dtype=np.float32)  # 8191 numbers, so that a shift by a power of two is seen
    times = 2**31 // len(period) + 2
    rate, part = 0.25, 8191 * 4096
    dtype = tf.float16 if backend == "native" else tf.float32  # the twin computes half types in float32, in copies
    rounded = period.astype(dtype.as_numpy_dtype)
    want = (rounded.astype(np.float32) * (1 - rate)).astype(rounded.dtype)
    with tf.Graph().as_default(), tf.Session() as session:
        pattern = tf.cast(tf.constant(period), dtype)
        first, last = (tf.get_variable(name, initializer=pattern, use_resource=True) for name in ("first", "last"))
        huge = tf.get_variable("huge", initializer=tf.tile(pattern, [times]), use_resource=True)
        begin = tf.placeholder(tf.int64, [])
        size = tf.placeholder(tf.int64, [])
        read = tf.slice(huge, [begin], [size])
        step = native_decay.decay([first, huge, last], rate, 1.0, backend=backend)
        session.run(tf.global_variables_initializer())
        session.run(step)
        total = times * len(period)
        print("%s: %d elements of %s (2^31 + %d)" % (backend, total, dtype.name, total - 2**31), flush=True)
        for start in range(0, total, part):
            found = session.run(read, {begin: start, size: min(part, total - start)}).reshape(-1, len(period))
            if not (found == want).all():
                return "%s: wrong between element %d and %d" % (backend, start, start + part)
        if not all((value == want).all() for value in session.run([first, last])):
            return "%s: a small variable beside it is wrong" % backend
    return ""


# The command


def check(seed: int, backends: Sequence[str], locking: bool = False) -> tuple[str, str]:
    """(what kind of case the seed is, what is wrong or ""). locking: True to take the variables' locks in each case."""
    drawn = np.random.RandomState(seed).rand()
    kind, function = (
        ("storms", check_storm)
        if drawn < 0.04
        else ("refusals", check_refusal)
        if drawn < 0.07
        else ("decays", functools.partial(check_decay, locking=locking))
    )
    return kind, function(seed, backends)


def fuzz(
    seed: int,
    backends: Sequence[str],
    cases: int | None,
    seconds: float | None,
    trace: bool = False,
    locking: bool = False,
) -> int:
    """Runs cases, prints those that fail and a closing line; returns how many failed."""
    start = time.monotonic()
    counts: collections.Counter[str] = collections.Counter()
    failed = 0
    for i in itertools.count() if cases is None else range(cases):
        if seconds is not None and time.monotonic() - start > seconds:
            break
        if trace:
            print("seed %d" % (seed + i), flush=True)
        kind, problem = check(seed + i, backends, locking)
        counts[kind] += 1
        if problem:
            failed += 1
            only = "" if len(backends) > 1 else " --backend " + backends[0]
            print(
                "FAILED: %s\n  again: python tools/fuzz.py --seed %d --cases 1%s" % (problem, seed + i, only),
                flush=True,
            )
            if failed == MOST_FAILURES:
                break
    told = ", ".join("%d %s" % (count, kind) for kind, count in sorted(counts.items()))
    about = (tf.version.VERSION, " and ".join(backends), sum(counts.values()), told, seed, failed)
    print("=== TensorFlow %s, %s: %d cases (%s) from seed %d, %d failed ===" % about, flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, help="how many (default: 200, where --seconds is not given)")
    parser.add_argument("--seconds", type=float, help="for how long")
    parser.add_argument("--seed", type=int, default=1, help="of the first case")
    parser.add_argument("--backend", choices=BACKENDS, help="this one alone (default: both, and their bits)")
    parser.add_argument("--huge", action="store_true", help="more than 2^31 elements, in place of random cases")
    parser.add_argument("--library", help="try this compiled op, in place of that of the package")
    parser.add_argument("--locking", action="store_true", help="take the variables' locks in each case")
    parser.add_argument("--trace", action="store_true", help="print each seed before its case")
    options = parser.parse_args()
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()
    if options.library:
        status = loader.Status("native", options.library, "named by --library", None)
        loader._loaded = status, tf.load_op_library(options.library)
    backends = [options.backend] if options.backend else list(BACKENDS)
    if options.huge:
        problems = [problem for problem in map(check_huge, backends) if problem]
        print("\n".join(problems) or "=== TensorFlow %s: huge, 0 failed ===" % tf.version.VERSION)
        return 1 if problems else 0
    cases = 200 if options.cases is None and options.seconds is None else options.cases
    return 1 if fuzz(options.seed, backends, cases, options.seconds, options.trace, options.locking) else 0


if __name__ == "__main__":
    sys.exit(main())
