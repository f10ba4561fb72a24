"""The file of layer parameters, and which variable learns by which numbers."""

from __future__ import annotations

import os
import pathlib
import re

import pytest

import tf1_wd
from support.convnet import FILE, LAYERS, LEARNING, NAMES, section
from tf1_wd.errors import InvalidOptionError, NoMatchError
from tf1_wd.plan.layer_params import LayerParams, Learning, assign

# --- the file


def test_a_file_is_read_whether_options_have_lines_of_their_own_or_share_one(write):
    params = tf1_wd.read_layer_params(write(FILE))
    assert params.layers == LAYERS
    assert params.ignored == ("[fc10] dropout", "[logprob] coeff")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (section(epsW=None, espW=0.1), r"layer-params.cfg: \[conv1\] has a key 'espW': did you mean epsW\?"),
        (section(epsW=None, stepW=0.1), r"\[conv1\] has no epsW: a layer that learns has epsW"),
        (section(wc=None, momB=None), r"\[conv1\] has no momB, wc: a layer that learns has epsW, epsB"),
        (section(wc="0_5"), r"layer-params.cfg: \[conv1\] wc=0_5 is neither a number"),
        (section() + section(""), r"line 7: \[\] has no name"),
        (section(" "), r"line 1: \[\] has no name"),
        (section(wc="much"), r"layer-params.cfg: \[conv1\] wc=much is neither a number"),
        (section(epsW="const[base=0.1]"), r"\[conv1\] epsW=const.* is neither a number.* give the rest as scale="),
        (section(wc=-1), r"\[conv1\] wc=-1: -1 must be finite and not negative"),
        (section(epsW="nan"), r"\[conv1\] epsW=nan: nan must be finite"),
        (section(momB=1), r"\[conv1\] momB=1: a momentum must be less than 1"),
        (section(epsB="0.1,0.2"), r"\[conv1\] epsB=0.1,0.2: the biases of a layer have one number"),
        (section(wc="0,1"), r"\[conv1\] has lists of different lengths, epsW 1, momW 1, wc 2"),
        (section() + section(), r"line 7: \[conv1\] is there twice"),
        ("[conv1] wc=1 WC=2", r"line 1: \[conv1\] has WC twice"),
        ("epsW=1", r"line 1: 'epsW=1' is neither \[layer\] nor"),
        (section() + "wc 1", r"line 7: 'wc 1' is neither \[layer\] nor"),
        ("[logprob]\ncoeff=1", r"no section has the keys epsW, epsB, momW, momB, wc"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_file_section_and_key(write, text, message):
    with pytest.raises(InvalidOptionError, match=message):
        tf1_wd.read_layer_params(write(text))


@pytest.mark.parametrize("path", [None, 3, ["layer-params.cfg"]])
def test_what_is_no_path_is_refused_and_a_path_may_be_of_any_kind(path, write):
    for read in (tf1_wd.read_layer_params, tf1_wd.CudaConvnetOptimizer):
        with pytest.raises(InvalidOptionError, match=r"is named by its path, and not by .*%s" % re.escape(str(path))):
            read(path)
    there = write(section())
    for path in (there, os.fsencode(there), pathlib.Path(there)):
        assert tf1_wd.read_layer_params(path).path == there


# --- which variable learns by which numbers


def test_layers_are_mapped_onto_variables_by_name(write):
    found = assign(tf1_wd.read_layer_params(write(FILE)), NAMES, NAMES)
    assert {name: (one.eps, one.momentum, one.wc) for name, one in found.items()} == LEARNING
    assert [found[name].layer for name in NAMES] == ["conv1"] * 2 + ["conv2"] * 2 + ["fc10"] * 3


def test_names_of_another_kind_are_mapped_by_patterns_and_scopes(write):
    params = tf1_wd.read_layer_params(write(section(wc=0.25)))
    names = ["first_filters", "first_offset"]
    options = dict(weights="{layer}_filters", biases="{layer}_offset", scopes={"conv1": "first"})
    assert assign(params, names, names, **options) == {
        "first_filters": Learning("conv1", 0.1, 0.9, 0.25),
        "first_offset": Learning("conv1", 0.1, 0.9, 0.0),
    }


def test_one_number_serves_all_weights_of_a_layer():
    params = LayerParams("some.cfg", (LAYERS[0],), ())
    names = ["conv1/W", "conv1/W_1", "conv1/b"]
    assert assign(params, names, names) == {
        "conv1/W": Learning("conv1", 0.05, 0.9, 0.0),
        "conv1/W_1": Learning("conv1", 0.05, 0.9, 0.0),
        "conv1/b": Learning("conv1", 0.1, 0.8, 0.0),
    }


@pytest.mark.parametrize(
    ("count", "said"),
    [(2, "x0/W, x1/W"), (5, "x0/W, x1/W, x2/W, x3/W, x4/W"), (6, "x0/W, x1/W, x2/W, x3/W, x4/W, ...")],
)
def test_a_layer_without_variables_is_answered_with_five_names_at_most(count, said):
    with pytest.raises(NoMatchError, match=r"how its variables are called\. Near names: %s$" % re.escape(said)):
        assign(LayerParams("some.cfg", (LAYERS[0],), ()), ["x%d/W" % i for i in range(count)], [])


@pytest.mark.parametrize(
    ("text", "names", "options", "error", "message"),
    [
        (section("conv2"), ["conv1/weights"], {}, NoMatchError, r"\[conv2\]: no variable matches .* conv1/weights$"),
        (section(), ["conv1/weights", "fc/W"], {}, NoMatchError, r"has no layer for fc/W: .* Its layers are conv1$"),
        (section(), ["x/W"], {"scopes": {"conv": "x"}}, NoMatchError, r"no layer 'conv'. Near names: conv1$"),
        (
            section(epsW="1,1", momW="0,0", wc="0,0"),
            ["conv1/W"],
            {},
            InvalidOptionError,
            r"\[conv1\] has 2 numbers for epsW, momW and wc, and its weights are conv1/W: give",
        ),
        (
            section() + section("a"),
            ["conv1/W"],
            {"scopes": {"a": "conv1"}},
            InvalidOptionError,
            r"\[a\]: variable conv1/W belongs to \[conv1\] too",
        ),
    ],
)
def test_a_layer_without_variables_and_a_variable_without_a_layer_are_refused(
    write, text, names, options, error, message
):
    with pytest.raises(error, match=message):
        assign(tf1_wd.read_layer_params(write(text)), names, names, **options)


def test_a_layer_in_a_graph_without_variables_is_answered_with_no_names():
    with pytest.raises(NoMatchError, match=r"how its variables are called\.$"):
        assign(LayerParams("some.cfg", (LAYERS[0],), ()), [], [])


def test_a_byte_order_mark_is_read_over_and_another_encoding_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "layers.cfg"
    path.write_bytes(b"\xef\xbb\xbf[conv1]\nepsW=0.1\nepsB=0.1\nmomW=0.9\nmomB=0.9\nwc=0.5\n")
    assert tf1_wd.read_layer_params(path).layers[0].wc == (0.5,)
    path.write_bytes("[conv1]\nepsW=0.1\n".encode("utf-16"))
    with pytest.raises(InvalidOptionError, match=r"layers\.cfg is no text in UTF-8"):
        tf1_wd.read_layer_params(path)
