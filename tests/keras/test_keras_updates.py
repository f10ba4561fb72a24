"""tf1_wd.keras and updates, plans and models of other shapes, in processes of their own; see cases/keras_updates.py.

All weights start as ones and the learning rate is 0, so that a weight of rate 0.1 is 0.9 after one update.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import tf1_wd
from support.keras_modes import EAGER, MODES

RATE, LR = 0.1, 1e-3
KEPT, LEFT = (1 - RATE) * np.ones(()), np.ones(())
WITHIN = dict(rtol=2e-4)  # layers of float16 in graph mode keep their weights in it
CLASSES = {"exclude": [RATE, None], "include": [None, RATE], "rates": [RATE, 0.3]}


@functools.lru_cache(None)
def found(mode):
    """The JSON that tests/keras/cases/keras_updates.py prints."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "keras_updates.py")
    out = subprocess.run([sys.executable, script, mode], stdout=subprocess.PIPE, text=True, check=True, timeout=400)
    return json.loads(out.stdout)


def fact(mode, name):
    """What one function of that file has found."""
    value = found(mode)[name]
    assert not (isinstance(value, dict) and "failed" in value), value["failed"]
    return value


def assert_refused(error, kind, *texts):
    assert error is not None
    assert error[0] == kind, error
    for text in texts:
        assert text in error[1]


@pytest.fixture(params=MODES)
def mode(request):
    """Runs the test on each Keras, in each mode that it has."""
    return request.param


# --- which weights an update decays


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_an_update_of_the_variables_underneath_decays_the_weights_of_keras(mode, dtype):
    np.testing.assert_allclose(fact(mode, "variables_underneath")[dtype], [KEPT, KEPT], **WITHIN)


if EAGER:

    @pytest.mark.parametrize("eager", EAGER)
    def test_an_update_of_what_a_tape_has_watched_decays_it(eager):
        for case, got in fact(eager, "watched_variables").items():
            np.testing.assert_allclose(got, [KEPT, KEPT], err_msg=case, **WITHIN)


def test_an_update_called_with_keywords_decays(mode):
    found = fact(mode, "keyword_calls")
    assert len(found) == (3 if mode == "keras3" else 1)
    for call, got in found.items():
        np.testing.assert_allclose(got, [KEPT, KEPT], err_msg=call, **WITHIN)


def test_an_update_without_any_weight_of_the_plan_is_refused(mode):
    error = fact(mode, "foreign_updates")["refused"]
    assert_refused(error, "NothingToDecayError", "none of the 1 variables of this update is in it", "/kernel)")


def test_an_update_of_weights_that_the_plan_leaves_alone_is_none_of_these(mode):
    assert fact(mode, "foreign_updates")["bias"] == LEFT


def test_the_variable_underneath_a_weight_selects_it(mode):
    assert fact(mode, "selected_underneath") == [None, RATE]


# --- plans that are out of date


@pytest.mark.parametrize("use", ["decouple", "add_l2"])
def test_a_plan_made_before_a_layer_was_unfrozen_is_refused(mode, use):
    error = fact(mode, "stale_plans")["unfrozen " + use]
    assert_refused(error, "InvalidOptionError", "/kernel trains, and was frozen when", "make the plan anew")
    assert "base" in error[1]
    assert "head" not in error[1]


@pytest.mark.parametrize("use", ["decouple", "add_l2"])
def test_a_plan_made_before_a_layer_was_added_is_refused(mode, use):
    error = fact(mode, "stale_plans")["added " + use]
    assert_refused(error, "InvalidOptionError", "trains and is not in the plan", "make the plan anew")
    assert "second" in error[1]
    assert "first" not in error[1]


@pytest.mark.parametrize("use", ["decouple", "add_l2"])
def test_a_plan_made_anew_is_taken(mode, use):
    assert fact(mode, "stale_plans")["anew " + use] is None


def test_a_weight_that_is_excluded_on_purpose_may_be_unfrozen(mode):
    np.testing.assert_allclose(fact(mode, "excluded_on_purpose"), [LEFT, KEPT], **WITHIN)


def test_an_update_of_a_weight_that_was_frozen_for_the_plan_is_refused(mode):
    error = fact(mode, "unfrozen_later")
    assert_refused(
        error, "InvalidOptionError", "base", "was frozen when the plan was made", "compile with a new", "plan anew"
    )


# --- optimizers and losses that others change


def test_a_weight_decay_set_after_decouple_is_refused_before_it_decays_twice(mode):
    facts = fact(mode, "weight_decay_set_later")
    assert_refused(
        facts["refused"], "AlreadyDecoupledError", "SGD decays by a plan, and weight_decay=0.2 was set since"
    )
    np.testing.assert_allclose(facts["kept"], [LEFT])
    np.testing.assert_allclose(facts["after"], [KEPT], **WITHIN)


def test_l2_of_a_model_is_in_another_that_shares_the_layer_in_keras_3_alone(mode):
    facts = fact(mode, "shared_l2")
    np.testing.assert_allclose(facts["a"], KEPT, **WITHIN)
    np.testing.assert_allclose(facts["b"], KEPT if mode == "keras3" else LEFT, **WITHIN)


# --- layers that are never called, classes of layers


def test_a_layer_that_is_never_called_is_refused_with_the_ways_out(mode):
    error = fact(mode, "unused_layers")["refused"]
    assert_refused(
        error, "InvalidOptionError", "is not built", "build that layer, or exclude it (exclude=layer), or take"
    )


@pytest.mark.parametrize("by", ["layer", "pattern", "class"])
def test_a_layer_that_is_never_called_can_be_excluded_with_all_inside_of_it(mode, by):
    (kernel, rate, _), (_, none, _) = fact(mode, "unused_layers")[by]
    assert (kernel, rate, none) == ("kernel", RATE, None)


def test_a_model_with_such_a_layer_decays(mode):
    np.testing.assert_allclose(fact(mode, "unused_layers")["trained"], KEPT, **WITHIN)


def test_excluding_what_is_inside_of_a_layer_does_not_exclude_the_layer(mode):
    assert_refused(fact(mode, "unused_layers")["inside"], "InvalidOptionError", "Block 'unused' is not built")


def test_a_pattern_that_names_neither_weight_nor_layer_is_refused_still(mode):
    assert_refused(fact(mode, "unused_layers")["wrong"], "NoMatchError", "exclude='typo' matches no variable")


@pytest.mark.parametrize("option", CLASSES)
def test_a_class_of_layers_stands_for_the_weights_of_its_layers(mode, option):
    assert fact(mode, "classes")[option] == CLASSES[option]


def test_a_class_that_names_no_weight_is_refused_by_its_name(mode):
    facts = fact(mode, "classes")
    assert_refused(facts["none"], "NoMatchError", "exclude=LSTM matches no variable")
    assert_refused(facts["not of layers"], "InvalidOptionError", "exclude=int is a class, but none of Keras layers")
    assert_refused(facts["all"], "NothingToDecayError", "excluded by Conv2D", "excluded by Dense")


# --- Keras 3 in graph mode

if "keras3" in MODES:

    def test_keras_3_does_not_fit_in_graph_mode_and_decouple_says_so():
        facts = fact("keras3 graph", "keras3_in_graphs")
        ways = ("TF_USE_LEGACY_KERAS=1", "var_list=[w.value for w in model.trainable_weights]")
        assert_refused(facts["refused"], "UnsupportedUpdateError", "Keras 3 does not train in graph mode", *ways)
        assert facts["fits"] == "RuntimeError"

    def test_keras_3_in_graph_mode_has_plans_and_trains_with_an_optimizer_of_tf_train():
        facts = fact("keras3 graph", "keras3_in_graphs")
        assert facts["decaying"] == 14
        step = LR * np.ones((4, 1))  # Adam's first, where each gradient is positive
        wanted = (1 - 0.05) * (np.array(facts["start"]) - step)
        np.testing.assert_allclose(facts["trained"], wanted, rtol=2e-5, atol=2e-6)


# --- import


@pytest.mark.parametrize("name", ["keras", "legacy", "conventions"])
def test_a_module_that_is_not_imported_is_named_with_its_import(name):
    with pytest.raises(AttributeError, match=r"^tf1_wd\.%s is a module of its own: import tf1_wd\.%s$" % (name, name)):
        tf1_wd.__getattr__(name)
