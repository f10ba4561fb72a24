"""Checks and times the decay op inside TensorFlow on this machine's first GPU: python benchmarks/gpu/tensorflow_op.py

Needs TensorFlow's CUDA wheel (pip install tensorflow, not tensorflow-cpu), the NVIDIA driver, libcudart.so.12 (pip
install nvidia-cuda-runtime-cu12) and g++. TensorFlow makes no GPU:0 without cuBLAS, cuDNN and others of CUDA's
libraries; those that are missing get empty ones in their place, as nothing here calls them: it is constants,
assignments, reads and our op.

On the fake driver: with the environment that build() of tests/native/fake_gpu/build.py returns.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path += [os.path.join(os.path.dirname(os.path.abspath(__file__)), *up) for up in ([".."], ["..", ".."])]
sys.path.append(os.path.join(sys.path[-1], "tests", "fake_gpu"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from formats import FORMATS, decayed, differing, random_bits
from model_shapes import resnet50

KINDS = ("reference", "resource")
SIZES = [1 + i * 97 % 300 for i in range(300)] + [65536, 65537]
GPU = "/gpu:0"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-only", action="store_true", help="no times")
    parser.add_argument("--repeat", type=int, default=200, help="runs that are timed (default: %(default)s)")
    arguments = parser.parse_args()
    with library_folder() as folder:
        if folder is not None:
            # the loader reads the variable when a process starts
            path = ":".join(filter(None, [os.environ.get("LD_LIBRARY_PATH"), folder]))
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=dict(os.environ, LD_LIBRARY_PATH=path)).returncode)
    check_and_time(arguments)


@contextlib.contextmanager
def library_folder():
    """A folder with an empty library for each that is missing; None if none is."""
    from build import EMPTY_LIBRARIES

    missing = [name for name in EMPTY_LIBRARIES if not loads(name)]
    if not missing or os.environ.get("TF1_WD_EMPTY_LIBRARIES"):
        yield None
        return
    os.environ["TF1_WD_EMPTY_LIBRARIES"] = "made"
    with tempfile.TemporaryDirectory() as folder:
        for name in missing:
            command = ["g++", "-shared", "-x", "c++", os.devnull, "-o", os.path.join(folder, name)]
            subprocess.run(command, check=True, timeout=60)
        print("empty libraries in place of %s" % ", ".join(missing), flush=True)
        yield folder


def loads(library):
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def check_and_time(arguments):
    import tensorflow.compat.v1 as tf

    from tf1_wd.native import loader

    tf.disable_v2_behavior()
    gpus = [device for device in tf.config.list_physical_devices() if device.device_type == "GPU"]
    if not gpus:
        sys.exit("TensorFlow %s finds no GPU; with TF_CPP_MIN_LOG_LEVEL=0 it says why" % tf.version.VERSION)
    loader.native_ops()
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "a GPU")
    print("%s, %s, TensorFlow %s" % (datetime.date.today(), name, tf.version.VERSION), flush=True)
    for kind in KINDS:
        for format_ in FORMATS:
            check_bits(tf, kind, format_)
            print("%s, %s: the bits of NumPy, %d tensors" % (kind, format_.name, len(SIZES)), flush=True)
        check_refused_rate(tf, kind)
        print("%s: a refused rate changed nothing and was named" % kind, flush=True)
    if not arguments.check_only:
        for kind in KINDS:
            time_resnet50(tf, kind, arguments.repeat)


@contextlib.contextmanager
def session(tf):
    """A session that puts every op where it was told to."""
    config = tf.ConfigProto(allow_soft_placement=False)
    config.gpu_options.allow_growth = True
    with tf.Graph().as_default(), tf.device(GPU), tf.Session(config=config) as opened:
        yield opened


def variables_of(tf, kind, arrays):
    resource = kind == "resource"
    return [tf.get_variable("w%d" % i, initializer=tf.constant(a), use_resource=resource) for i, a in enumerate(arrays)]


def check_bits(tf, kind, format_):
    """Three decays of many tensors, while values that were read before are kept."""
    from tf1_wd.native.decay import decay

    dtype = tf.as_dtype(format_.name).as_numpy_dtype
    before = [random_bits(format_, i, size) for i, size in enumerate(SIZES)]
    rates = np.linspace(0, 0.9, len(SIZES)).astype(format_.computed)
    effective = rates * format_.computed(0.7)
    with session(tf) as opened:
        variables = variables_of(tf, kind, [bits.view(dtype) for bits in before])
        step = decay(variables, rates, 0.7, backend="native")
        opened.run(tf.global_variables_initializer())
        wanted = before
        for _ in range(3):
            held = opened.run(variables)
            opened.run(step)
            compare(format_, held, wanted, effective)
            wanted = [decayed(format_, bits, rate) for bits, rate in zip(wanted, effective)]
            compare(format_, opened.run(variables), wanted, effective)


def compare(format_, arrays, wanted, rates):
    for i, (array, bits, rate) in enumerate(zip(arrays, wanted, rates)):
        wrong = differing(format_, np.asarray(array).view(format_.stored), bits, rate)
        if len(wrong):
            sys.exit("FAILED: %s, tensor %d differs from NumPy in %d elements" % (format_.name, i, len(wrong)))


def check_refused_rate(tf, kind):
    from tf1_wd.native.decay import decay

    with session(tf) as opened:
        variables = variables_of(tf, kind, [np.float32([4.0]), np.float32([8.0])])
        rates = tf.placeholder(tf.float32, [2])
        step = decay(variables, rates, 1.0, backend="native")
        opened.run(tf.global_variables_initializer())
        opened.run(step, {rates: [0.5, 1.5]})
        values = np.concatenate(opened.run(variables))
        try:
            opened.run(step, {rates: [0.5, 0.5]})
        except tf.errors.InvalidArgumentError as error:
            named = "w1: rate * scale = 1.5" in str(error)
        else:
            named = False
        if not named or list(values) != [4.0, 8.0]:
            sys.exit("FAILED: a refused rate left %s and was %snamed" % (values, "" if named else "not "))


def time_resnet50(tf, kind, repeat):
    """session.run of the op alone, beside that of an op that does nothing; both wait for the GPU."""
    from tf1_wd.native.decay import decay

    with session(tf) as opened:
        variables = variables_of(tf, kind, [np.full(shape, 0.5, np.float32) for shape in resnet50()])
        step, nothing = decay(variables, 1e-4, 1.0, backend="native"), tf.no_op()
        opened.run(tf.global_variables_initializer())
        times = {"decay": [], "nothing": []}
        for i in range(repeat + 20):
            for name, op in (("decay", step), ("nothing", nothing)):
                start = time.perf_counter()
                opened.run(op)
                if i >= 20:  # the first ones warm up
                    times[name].append(1e6 * (time.perf_counter() - start))
        decay_us, nothing_us = (statistics.median(times[name]) for name in ("decay", "nothing"))
        print(
            "ResNet-50, float32, %s variables: %.0f us a session.run of the decay, %.0f us of nothing; medians of %d"
            % (kind, decay_us, nothing_us, repeat)
        )


if __name__ == "__main__":
    main()
