"""Decisions and their table; no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tf1_wd.errors import InvalidRateError
from tf1_wd.plan.decisions import DecayPlan, Trained, decide, half_life
from tf1_wd.plan.options import make_rules


def trained(name="w", shape=(2, 3), has_gradient=True):
    return Trained(name, object(), name, shape, has_gradient)


def decision(variable=None, loss=None, collection=None, **options):
    variable = trained() if variable is None else variable
    rates = [{} if rate is None else {variable.key: rate} for rate in (loss, collection)]
    return decide([variable], make_rules(**options), *rates)[0]


def test_the_loss_wins_over_the_collection():
    assert decision(loss=0.1, collection=0.2).rate == 0.1
    assert "loss" in decision(loss=0.1, collection=0.2).why


def test_given_rates_win_over_both():
    assert decision(loss=0.1, collection=0.2, rates={"w": 0.3}).rate == 0.3
    assert decision(loss=0.1, rates={"other": 0.3}).rate == 0.1


def test_the_first_pattern_that_matches_gives_the_rate():
    assert decision(rates={"^w$": 0.3, "w": 0.4}).rate == 0.3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"exclude": "w"}, "excluded by 'w'"),
        ({"include": "other"}, "not in include"),
        ({"source": "collection"}, "penalty in the loss only, and source='collection'"),
    ],
)
def test_what_does_not_decay_has_its_reason(options, reason):
    got = decision(loss=0.1, **options)
    assert got.rate is None
    assert got.why == reason


def test_rate_zero_is_no_decay():
    assert decision(loss=0.0).rate is None
    assert "rate 0" in decision(loss=0.0).why


def test_rates_are_checked_with_their_scale():
    with pytest.raises(InvalidRateError, match="times scale 4"):
        decision(loss=0.25, scale=4.0)


def test_half_life_is_the_number_of_steps_in_which_a_weight_halves():
    assert half_life(0.5) == pytest.approx(1.0)
    assert (1 - 5e-4) ** half_life(5e-4) == pytest.approx(0.5)
    assert half_life(0.0) is None


def test_the_table_shows_every_variable_its_rate_and_why():
    variables = [trained("net/w", (20, 30)), trained("net/b", (30,)), trained("net/s", ())]
    decisions = decide(variables, make_rules(exclude="b"), {"net/w": 5e-4, "net/b": 5e-4, "net/s": object()}, {})
    text = str(DecayPlan(tuple(decisions), (("l1", "stays"),), "after"))
    lines = text.splitlines()
    assert lines[0].split() == ["variable", "shape", "rate", "r", "half-life", "why"]
    assert lines[2].split()[:4] == ["net/w", "20x30", "0.0005", "%.6g" % (math.log(0.5) / math.log(1 - 5e-4))]
    assert "excluded by 'b'" in lines[3]
    assert lines[4].split()[:4] == ["net/s", "scalar", "run", "time"]
    assert lines[5] == "term l1: stays"
    assert "2 of 3 variables decay, 601 of 631 weights" in lines[6]
    assert "w <- (1 - r) (w - step)" in lines[6]


def test_the_parts_of_a_plan_are_values():
    decisions = decide([trained("a"), trained("b")], make_rules(), {"a": 0.5}, {})
    plan = DecayPlan(tuple(replace(d, scale="lr:0") for d in decisions), (), "before")
    assert [d.name for d in plan.decaying] == ["a"]
    assert [d.name for d in plan.left_alone] == ["b"]
    assert "scale lr:0" in str(plan)
