"""Decisions and their table; no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tf1_wd.errors import InvalidRateError
from tf1_wd.plan.decisions import Decay, DecayPlan, Trained, decide, half_life, in_two_updates
from tf1_wd.plan.options import make_rules
from tf1_wd.plan.reasons import Fate, over_updates


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


# --- several updates


def decay_of(rate, why="why", scale=1.0):
    return Decay("w", "w", (2,), rate, why, scale)


def test_a_variable_of_two_updates_has_both_rates():
    both = in_two_updates(decay_of(0.3), decay_of(0.1))
    assert (both.rate, both.others) == (0.3, ((0.1, 1.0),))
    assert both.why == "why; with another update at rate 0.1"
    assert in_two_updates(both, decay_of(0.1)) == both
    scaled = in_two_updates(decay_of(0.3), decay_of(0.1, scale=0.5))
    assert scaled.why == "why; with another update at rate 0.1 times scale 0.5"
    assert in_two_updates(both, decay_of(0.1, scale=0.5)).others == ((0.1, 1.0), (0.1, 0.5))


def test_a_variable_of_two_updates_says_which_does_the_same_and_which_nothing():
    assert in_two_updates(decay_of(0.3), decay_of(0.3)).why == "why; again with another update"
    for first, second in ((0.3, None), (None, 0.3)):
        both = in_two_updates(decay_of(first), decay_of(second))
        assert (both.rate, both.why) == (0.3, "why; no decay with another update")
    assert in_two_updates(decay_of(None, "first"), decay_of(None, "second")).why == "first"


def test_a_term_that_acts_in_one_update_is_not_called_idle():
    said = [("l1", Fate.NO_VARIABLE), ("a", Fate.NO_VARIABLE), ("l1", Fate.IN_LOSS), ("a", Fate.NOT_APPLIED)]
    assert over_updates(said) == [("l1", Fate.IN_LOSS), ("a", Fate.NOT_APPLIED)]
    assert over_updates([*said, ("l1", Fate.OWN_STEP)])[:2] == [("l1", Fate.IN_LOSS), ("l1", Fate.OWN_STEP)]


# --- rates beyond 1


@pytest.mark.parametrize("scale", [0.01, "learning_rate", lambda step: step])
def test_a_rate_is_checked_with_what_multiplies_it(scale):
    assert make_rules(rates=5, scale=scale).rates == ((None, 5.0),)
    assert decision(loss=5.0, scale=scale).rate == 5.0
    for wrong in (-0.1, math.inf, math.nan):
        with pytest.raises(InvalidRateError):
            make_rules(rates={"w": wrong}, scale=scale)
        with pytest.raises(InvalidRateError, match="of variable w"):
            decision(loss=wrong, scale=scale)


def test_a_multiplier_counts_before_a_rate_is_checked():
    assert decision(rates=5, multipliers={"w": 0.1}).rate == 0.5
    with pytest.raises(InvalidRateError, match="of variable w"):
        decision(rates=0.5, multipliers={"w": 2.0})
