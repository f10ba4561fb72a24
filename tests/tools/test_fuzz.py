"""The fuzzer passes on the op and its twin, and fails where either is wrong; sanitizers find what they change."""

from __future__ import annotations

import numpy as np
import pytest

from support.tools import load_tool


@pytest.fixture
def tool():
    return load_tool("fuzz")


def test_the_op_and_its_twin_pass(tool, capsys):
    assert tool.fuzz(1, ["native", "tensorflow"], 40, None) == 0
    assert "native and tensorflow: 40 cases" in capsys.readouterr().out


@pytest.mark.parametrize("which", [["native"], ["tensorflow"]], ids=["native", "twin"])
def test_a_rate_of_one_part_in_a_hundred_more_fails(which, tool, capsys, monkeypatch):
    right = tool.native_decay.decay
    monkeypatch.setattr(
        tool.native_decay, "decay", lambda w, rates, scale, **more: right(w, rates * 1.01, scale, **more)
    )
    assert tool.fuzz(1, which, 20, None) > 0
    said = capsys.readouterr().out
    assert "elements are wrong" in said  # and not only that a rate of 1 is refused
    assert "again: python tools/fuzz.py --seed" in said
    assert "--backend %s" % which[0] in said


def test_a_case_comes_again_from_its_seed(tool):
    one, other = str(tool.make_case(7)), str(tool.make_case(7))
    assert one == other != str(tool.make_case(8))


def test_other_bits_of_the_twin_are_told(tool):
    case = next(c for c in map(tool.make_case, range(1, 100)) if c.format == "float32" and c.weights[0].size)
    two = [np.full_like(w, tool.to_bits(np.float64(2.0), "float32")) for w in case.weights]
    case, same = case._replace(weights=two), tool.Outcome("", "", two, "")
    assert tool.difference(case, same, same) == ""
    assert "w0" in tool.difference(case, same, same._replace(bits=[w + 1 for w in two]))


@pytest.mark.parametrize("name", ["address", "thread"])
def test_what_a_sanitizer_compiles_fits_the_sources(name, tmp_path):
    tool = load_tool("sanitize")
    sanitizer = tool.SANITIZERS[name]
    for fault in [None, *sanitizer.faults.values()]:
        tool.changed_sources(str(tmp_path), [*([fault] if fault else []), *sanitizer.told])
