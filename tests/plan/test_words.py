"""Facts that are said once: words of options, checks of rates and scales, copies of a variable."""

from __future__ import annotations

import math
import types

import pytest

from tf1_wd import conventions, errors
from tf1_wd.plan.options import ORDERS, PRESETS, make_rules
from tf1_wd.plan.rates import is_rate
from tf1_wd.plan.same_variable import copies_of, parts
from tf1_wd.plan.scale_option import LEARNING_RATE, check_scalar


def test_the_option_convention_means_what_the_table_of_conventions_says():
    assert PRESETS == {
        "snippet": (1.0, "after"),
        "adamw": (LEARNING_RATE, "before"),
        "contrib": (1.0, "before"),
        "paper": (None, "before"),
    }
    assert set(PRESETS) < set(conventions.CONVENTIONS)
    assert ORDERS == ("after", "before")


@pytest.mark.parametrize("name", sorted(conventions.CONVENTIONS))
def test_the_options_of_a_convention_do_what_its_row_says(name):
    row = conventions.CONVENTIONS[name]
    if row.options:
        rules = make_rules(**eval("dict(%s)" % row.options, {"eta": 0.5}))
        scale = {conventions.table.NOTHING: 1.0, conventions.table.LEARNING_RATE: LEARNING_RATE}
        assert (rules.order, rules.scale) == (row.order, scale.get(row.times, 0.5))


@pytest.mark.parametrize(
    ("value", "answer"), [(0.0, True), (0.5, True), (1.0, False), (-0.1, False), (math.nan, False), (math.inf, False)]
)
def test_a_rate_is_a_number_from_0_to_below_1(value, answer):
    assert is_rate(value) is answer


def test_a_tensor_that_is_no_scalar_is_no_scale():
    shape = types.SimpleNamespace(rank=1)
    with pytest.raises(errors.InvalidOptionError, match="scale must be a scalar; eta has shape") as caught:
        check_scalar(types.SimpleNamespace(name="eta", shape=shape))
    assert caught.value.option == "scale"


def test_the_copies_of_a_variable_are_those_of_its_strategy_or_itself():
    alone, method = object(), types.SimpleNamespace(values=lambda: [])
    mirrored = types.SimpleNamespace(values=(1, 2))
    assert [copies_of(v) for v in (alone, method, mirrored)] == [[alone], [method], [1, 2]]
    assert parts(mirrored) == [mirrored, 1, 2]
