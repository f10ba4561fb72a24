"""A wheel takes ops that are whole and of these sources alone."""

from __future__ import annotations

import json

import pytest

from support.builds import copy_of_the_op, fake_compiler
from support.tools import load_tool
from tf1_wd.native import build, cache, loader


def complete_ops(folder):
    return load_tool("build_wheel").complete_ops(str(folder))


@pytest.fixture
def op(tmp_path):
    """The folder of an op, as in the cache and in the package."""
    tensorflow = loader.tensorflow_build()
    folder = tmp_path / "ops" / cache.directory_name(tensorflow)
    compiler = build.Compiler((fake_compiler(tmp_path, copy_of_the_op()),), "fake")
    cache.install(tensorflow, compiler, str(folder), check=lambda path: None)
    return folder


def test_ops_that_are_whole_are_taken(op):
    assert complete_ops(op.parent) == [str(op)]


def of_other_sources(op):
    path = op / "stamp.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), source="another")))


REFUSED = {
    "no ops in": lambda op: [path.unlink() for path in op.iterdir()] + [op.rmdir()],
    "does not hold libtf1_wd.so and stamp.json": lambda op: (op / "libtf1_wd.so").unlink(),
    "is of other sources: remove it, or make it anew": of_other_sources,
    "is not that of its stamp": lambda op: (op / "libtf1_wd.so").write_bytes(b"another"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_others_are_refused(said, op):
    REFUSED[said](op)
    with pytest.raises(SystemExit, match=said):
        complete_ops(op.parent)
