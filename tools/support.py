"""Tries tf1_wd on the TensorFlow of this Python, and writes the table of what was seen on each.

    python tools/support.py --results FOLDER                     # one file there for this TensorFlow
    python tools/support.py --results FOLDER --op                # the op alone: build, load and the 8 checks
    python tools/support.py --results FOLDER --tests             # the op's tests and the core tests too
    python tools/support.py --results FOLDER --keep OPS          # keep the op there, for tools/build_wheel.py
    python tools/support.py --results FOLDER --wheel FILE        # of a wheel, in which the op is: there is no compiler
    python tools/support.py --results FOLDER --table docs/support.md

tox.ini has an environment for each TensorFlow. Needs nothing but Python where the table is written.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = "\n## Hardening\n"  # from here on the page is written by hand
EXAMPLE = os.path.join(ROOT, "legacy_examples", "tf_layers_cnn.py")  # tf.contrib, tf.layers, summaries, a Saver
TESTS = ("tests/native/test_decay_op.py", "tests/decay/test_scope.py", "tests/decay/test_selective.py")
PACKAGE = re.compile(r"(tensorflow(?:_cpu|_gpu)?|tf_nightly(?:_cpu)?)-(.+)\.dist-info$")
KINDS, OPTIMIZERS, BACKENDS = ("reference", "resource"), ("SGD", "Adam"), ("native", "tensorflow")
CHECKS = [(kind, optimizer, backend) for kind in KINDS for optimizer in OPTIMIZERS for backend in BACKENDS]
LIMIT = 900  # seconds for one part
RIGHT = ""  # what a part says that went well; else it says why not


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", help="the folder of the results, one file a TensorFlow")
    parser.add_argument("--op", action="store_true", help="build, load and the checks, no program")
    parser.add_argument("--tests", action="store_true", help="run the op's tests and the core tests too")
    parser.add_argument("--keep", metavar="OPS", help="copy the compiled op and its stamp to this folder")
    parser.add_argument("--wheel", help="try this wheel, without a compiler, in place of the clone")
    parser.add_argument("--table", help="write the table of all results to this file")
    parser.add_argument("--check", metavar="LIBRARY", help=argparse.SUPPRESS)  # in a process that may crash
    options = parser.parse_args()
    if options.check:
        return check_all(options.check)
    if options.table:
        page = table(read(options.results)) + kept_part(options.table)
        with open(options.table, "w") as file:
            file.write(page)
        return 0
    return try_all(options)


def try_all(options):
    """Tries this TensorFlow, writes its result, and closes with a line of counts; 0 if all went well."""
    start = time.time()
    package, version = installed_tensorflow()
    with tempfile.TemporaryDirectory() as scratch:
        if options.wheel:
            with zipfile.ZipFile(options.wheel) as file:
                file.extractall(os.path.join(scratch, "wheel"))
        parts = try_op(scratch, None if options.wheel else options.keep)
        if not options.op:
            parts.update(try_example(scratch))
        if options.tests:
            parts["tests"] = try_tests(scratch)
    result = {"package": package, "tensorflow": version, "python": platform.python_version(), "parts": parts}
    result.update(date=datetime.date.today().isoformat(), machine=machine())
    os.makedirs(options.results, exist_ok=True)
    name = "%s-%s-py%s.json" % (package, version, result["python"])
    with open(os.path.join(options.results, name), "w") as file:
        json.dump(result, file, indent=1)
    for name, why in parts.items():
        print("%-30s %s" % (name, why or "yes"))
    failed = sum(why != RIGHT for why in parts.values())
    counts = (len(parts) - failed, failed, time.time() - start)
    print("=== %s %s: %d passed, %d failed in %.1fs ===" % (package, version, *counts))  # as pytest closes
    return 1 if failed else 0


def installed_tensorflow():
    """(name of the package, version) of this Python's TensorFlow, which is not imported: that may fail."""
    found = importlib.util.find_spec("tensorflow")
    if found is None:
        raise SystemExit("tools/support.py: %s has no TensorFlow" % sys.executable)
    names = os.listdir(os.path.dirname(os.path.dirname(found.origin)))
    package, version = next(match.groups() for match in map(PACKAGE.match, names) if match)
    return package.replace("_", "-"), version


def machine():
    """The CPU's architecture and the compiler; no name of a host."""
    compiler = [*shlex.split(os.environ.get("CXX") or "g++"), "--version"]
    first_line = subprocess.run(compiler, stdout=subprocess.PIPE, text=True).stdout.split("\n")[0]
    return "%s %s, %s" % (platform.system(), platform.machine(), first_line)


def execute(scratch, *arguments):
    """(exit code, what it printed, what it said on stderr) of this Python, in a folder and with a cache of its own."""
    wheel = os.path.join(scratch, "wheel")
    package = wheel if os.path.isdir(wheel) else ROOT
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=path, TF_CPP_MIN_LOG_LEVEL="3", PYTHONDONTWRITEBYTECODE="1")
    environment["TF1_WD_CACHE"] = os.path.join(scratch, "cache")
    if package == wheel:
        environment["CXX"] = "/nowhere/no-compiler"
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return -1, "", "not done in %d s" % LIMIT
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def last_line(text, code):
    """Why a process ended with `code`: its last words."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return "exit %d: %s" % (code, lines[-1] if lines else "without a word")


def try_op(scratch, keep):
    """{part: RIGHT or why not} of the op: compiled as a user does it, loaded, and the checks; kept in `keep`."""
    code, printed, said = execute(scratch, "-m", "tf1_wd", "build")
    library = printed.strip().split("\n")[-1]
    compiled = RIGHT if os.path.exists(library) else last_line(said, code)
    if keep and not compiled:
        made = os.path.dirname(library)  # of a compiler, in the folder of a TensorFlow
        kept = os.path.join(keep, os.path.basename(os.path.dirname(made)))
        os.makedirs(kept, exist_ok=True)
        for name in ("libtf1_wd.so", "stamp.json"):
            shutil.copy(os.path.join(made, name), kept)
    answers = {"loads": "not compiled" if compiled else "the process crashed"}
    answers.update({" ".join(check): "not run" for check in CHECKS})
    code, printed, said = execute(scratch, os.path.abspath(__file__), "--check", library if not compiled else "none")
    for line in printed.split("\n"):
        if line.startswith("{"):
            answers.update(json.loads(line))
    return dict({"compiled": compiled}, **answers)


def try_example(scratch):
    """{part: RIGHT or why not} of one program of TensorFlow 1: audited, and run with true decay by the compiled op."""
    flags = [EXAMPLE, "--steps=5", "--logdir", os.path.join(scratch, "log")]
    code, printed, said = execute(scratch, "-m", "tf1_wd", "audit", *flags)
    audit = RIGHT if code == 0 and "warning [coupled]" in printed else last_line(said or printed, code)
    code, _, said = execute(scratch, "-m", "tf1_wd", "run", "--backend", "native", *flags)
    run = RIGHT if code == 0 and "4 of 8 variables decay" in said else last_line(said, code)
    return {"run": run, "audit": audit}


def try_tests(scratch):
    """RIGHT, or pytest's closing line."""
    # other TensorFlows warn of other things of their own
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-o", "filterwarnings=", "--rootdir", ROOT]
    tests = [os.path.join(ROOT, path) for path in TESTS]
    code, printed, said = execute(scratch, "-m", "pytest", "-c", os.path.join(ROOT, "pyproject.toml"), *options, *tests)
    return RIGHT if code == 0 else last_line(printed or said, code)


def check_all(library):
    """Prints a line of JSON for each thing that was seen, so that what comes before a crash is known."""
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    if library != "none":
        print(json.dumps({"loads": outcome(tf.load_op_library, library)}), flush=True)
    for check in CHECKS:
        print(json.dumps({" ".join(check): outcome(compare, tf, *check)}), flush=True)
    return 0


def outcome(function, *arguments):
    """RIGHT, or the error that the function raises, in a line."""
    try:
        function(*arguments)
    except Exception as error:
        return "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:300])
    return RIGHT


def compare(tf, kind, optimizer, backend):
    """Three steps at rate 0.1 against NumPy in float64; raises AssertionError where they differ."""
    import numpy as np

    import tf1_wd

    rate, learning_rate, epsilon = 0.1, 0.5, 1e-3
    values, slope = np.linspace(-2, 3, 12).reshape(3, 4), np.linspace(1, -0.5, 12).reshape(3, 4)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        start = tf.constant(values, tf.float32)
        w = tf.get_variable("w", initializer=start, use_resource=kind == "resource")
        loss = tf.reduce_sum(slope.astype(np.float32) * w) + rate * tf.nn.l2_loss(w)
        minimizer = {
            "SGD": lambda: tf.train.GradientDescentOptimizer(learning_rate),
            "Adam": lambda: tf.train.AdamOptimizer(learning_rate, epsilon=epsilon),
        }[optimizer]()
        with tf1_wd.decoupled_weight_decay(backend=backend):
            train_op = minimizer.minimize(loss)
        used = {op.type for op in graph.get_operations()} & {"Tf1WdDecay", "Tf1WdResourceDecay"}
        wanted = {"Tf1WdDecay" if kind == "reference" else "Tf1WdResourceDecay"} if backend == "native" else set()
        assert used == wanted, "ops of the graph: %s" % sorted(used)
        session.run(tf.global_variables_initializer())
        m = v = np.zeros_like(values)
        for t in range(1, 4):
            session.run(train_op)
            if optimizer == "SGD":
                step = learning_rate * slope
            else:
                m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
                step = learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + epsilon)
            values = (1 - rate) * (values - step)
        np.testing.assert_allclose(session.run(w), values, rtol=1e-4, atol=1e-5)


def read(folder):
    """All results in a folder, by version."""
    results = []
    if not os.path.isdir(folder):
        raise SystemExit("tools/support.py: no results in %s: try a TensorFlow first" % folder)
    for name in os.listdir(folder):
        if name.endswith(".json"):
            with open(os.path.join(folder, name)) as file:
                results.append(json.load(file))
    return sorted(results, key=lambda result: [int(number) for number in re.findall(r"\d+", result["tensorflow"])])


def kept_part(path):
    """What people wrote at the end of the page, with its heading."""
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        _, heading, after = file.read().partition(KEPT)
    return heading + after


def cell(parts, name):
    return "" if name not in parts else "yes" if parts[name] == RIGHT else "no: " + short(parts[name])


def checks_cell(parts, kind):
    """How many checks of a kind of variable went well, and why the first did not."""
    names = [" ".join(check) for check in CHECKS if check[0] == kind]
    wrong = [name for name in names if parts[name] != RIGHT]
    words = "%d of %d" % (len(names) - len(wrong), len(names))
    return words + (": %s" % short(parts[wrong[0]]) if wrong else "")


def short(why):
    return re.sub(r"/\S*/", "", why)[:100].replace("|", "/")


HEAD = """# On which TensorFlow it was seen to work

Written by `tools/support.py` from what it saw, %s, on %s.
`tox` makes an environment for each TensorFlow and tries all of it there; `tox -e support` writes this page
([CONTRIBUTING.md](../CONTRIBUTING.md)).

- **compiled**: `tf1-wd build` makes the op. **loads**: `tf.load_op_library` takes it.
- **reference**, **resource**: three steps at rate 0.1 equal NumPy's in float64, for SGD and Adam, each by the compiled
  op (`backend="native"`; the graph holds it) and by its twin in TensorFlow's ops: 4 checks a kind of variable.
- **run**, **audit**: `tf1-wd run --backend native` and `tf1-wd audit` of `legacy_examples/tf_layers_cnn.py`, a program
  of TensorFlow 1 with `tf.contrib` and `tf.layers`. On 2.x the [legacy runtime](guide/legacy.md) executes it, with
  tf-slim and, from 2.16 on, tf-keras.
"""


def table(results):
    """The page, as Markdown."""
    dates = sorted({result["date"] for result in results})
    machines = sorted({result["machine"] for result in results})
    columns = ["TensorFlow", "package", "Python", "compiled", "loads", "reference", "resource", "run", "audit"]
    if any("tests" in result["parts"] for result in results):
        columns.append("tests")
    rows = [columns, ["---"] * len(columns)]
    for result in results:
        parts = result["parts"]
        about = [result["tensorflow"], result["package"], result["python"]]
        op = [cell(parts, "compiled"), cell(parts, "loads"), *(checks_cell(parts, kind) for kind in KINDS)]
        rows.append([*about, *op, *(cell(parts, name) for name in columns[7:])])
    head = HEAD % (" to ".join(dict.fromkeys([dates[0], dates[-1]])), "; ".join(machines))
    return "%s\n%s\n" % (head, "\n".join("| %s |" % " | ".join(row) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
