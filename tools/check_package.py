"""Checks what an index would get: the wheel, built twice, and installed beside TensorFlow where no clone is near.

    python tools/check_package.py ~/.pyenv/versions/3.7.*/bin/python python3.11 python3.13

The wheel has the same bytes both times. For each Python, in a new environment: the wheel changes no other package,
`pip check` is clean, and `tf1-wd run` trains a program with true decay by the compiled op. Needs pip and git alone.
"""

from __future__ import annotations

import argparse
import filecmp
import glob
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# what stands beside the package: another of TensorFlow's packages for each Python
BESIDE = {
    "3.7": ["tensorflow-gpu==1.15.5", "protobuf<3.21", "numpy<1.19"],
    "3.11": ["tensorflow==2.21.0"],
    "3.13": ["tensorflow-cpu==2.21.0"],
}
PROGRAM = """
import tensorflow as tf
w, x = tf.get_variable("w", [3, 2]), tf.placeholder(tf.float32, [None, 3])
loss = tf.reduce_mean(tf.square(tf.matmul(x, w))) + 0.1 * tf.nn.l2_loss(w)
train_op = tf.train.AdamOptimizer(0.1).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(train_op, {x: [[1.0, 2.0, 3.0]]})
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", help="interpreters of Python %s" % ", ".join(BESIDE))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = built_twice(scratch)
        for i, python in enumerate(options.pythons):
            check(python, wheel, os.path.join(scratch, str(i)))


def built_twice(scratch):
    """The wheel of the committed files; stops where a second one differs."""
    date = output("git", "-C", ROOT, "log", "-1", "--format=%ct").strip()
    wheels = []
    for name in ("first", "second"):
        clone, made = os.path.join(scratch, name + "-clone"), os.path.join(scratch, name)
        output("git", "clone", "--quiet", ROOT, clone)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", made, clone]
        output(*build, SOURCE_DATE_EPOCH=date)
        wheels += glob.glob(os.path.join(made, "*.whl"))
    if not filecmp.cmp(*wheels, shallow=False):
        raise SystemExit("two builds of one commit differ: %s" % os.path.basename(wheels[0]))
    print("%s: the same twice, %d bytes" % (os.path.basename(wheels[0]), os.path.getsize(wheels[0])))
    return wheels[0]


def check(python, wheel, folder):
    """Installs the wheel in a new environment of a Python, and trains with it; stops where that does not work."""
    output(python, "-m", "venv", folder)
    inside = os.path.join(folder, "bin", "python")
    version = output(inside, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    if version not in BESIDE:
        raise SystemExit("%s is Python %s; known are %s" % (python, version, ", ".join(BESIDE)))
    pip = [inside, "-m", "pip", "--disable-pip-version-check"]
    output(*pip, "install", "--quiet", *BESIDE[version])
    before = set(output(*pip, "freeze").split("\n"))
    output(*pip, "install", "--quiet", wheel)
    changed = sorted(line for line in before ^ set(output(*pip, "freeze").split("\n")) if not line.startswith("tf1-wd"))
    if changed:
        raise SystemExit("installing the wheel changed other packages: %s" % ", ".join(changed))
    output(*pip, "check")
    program = os.path.join(folder, "train.py")
    with open(program, "w") as file:
        file.write(PROGRAM)
    command = [os.path.join(folder, "bin", "tf1-wd"), "run", "--backend", "native", program]
    said = output(*command, TF1_WD_CACHE=os.path.join(folder, "cache"))
    if "1 of 1 variables decay" not in said:
        raise SystemExit("tf1-wd run did not decay the variable:\n%s" % said[-1000:])
    print("Python %s, %s: untouched, pip check clean, run decays" % (version, BESIDE[version][0]))


def output(*command, **variables):
    """What a command prints, with what it says on stderr; stops with both where it fails."""
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", **variables)
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command, cwd=os.sep, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SystemExit("%s ended with %d:\n%s" % (" ".join(command), done.returncode, done.stdout[-2000:]))
    return done.stdout


if __name__ == "__main__":
    main()
