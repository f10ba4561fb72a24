"""What is said of a rate that makes no decay, and of where a rate comes from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tf1_wd.errors import InvalidOptionError, InvalidRateError, NoMatchError, NothingToDecayError
from tf1_wd.plan.decisions import DecayPlan, Trained, decide
from tf1_wd.plan.options import check_matches, make_rules
from tf1_wd.plan.rates import check_rate, given_as
from tf1_wd.plan.reasons import Fate, Note, Reason
from tf1_wd.plan.scale_option import check_scale

BOUNDS = "is not a finite number in [0, 1), the part of a weight that a step may take off"
HINT = (
    "; or, if the learning rate is to multiply it, as it does in AdamW and with L2 in the loss, pass "
    "convention='adamw' (which is scale='learning_rate')"
)


def decision(has_gradient=True, loss=None, collection=None, **options):
    rates = [{} if rate is None else {"w": rate} for rate in (loss, collection)]
    return decide([Trained("w", object(), "w", (2,), has_gradient)], make_rules(**options), *rates)[0]


# --- which rates are refused, in which words


def test_a_rate_of_an_option_is_refused_in_these_words():
    with pytest.raises(InvalidRateError) as caught:
        given_as(5, "rates", 1.0, has_convention=True)
    assert str(caught.value) == "decay rate 5.0 given as rates %s. Give another%s" % (BOUNDS, HINT)
    assert caught.value.option == "rates"
    with pytest.raises(InvalidRateError) as caught:
        given_as(5, "rates", 1.0, has_convention=False)
    assert str(caught.value) == "decay rate 5.0 given as rates %s. Give another" % BOUNDS


def test_a_rate_of_a_penalty_is_refused_in_these_words():
    with pytest.raises(InvalidRateError) as caught:
        check_rate(1.0, "net/w", "penalty in the loss", 1.0, has_convention=True)
    assert str(caught.value) == (
        "decay rate 1.0 of variable net/w (penalty in the loss) %s. "
        "Correct the coefficient, or give another with rates=%s" % (BOUNDS, HINT)
    )
    assert caught.value.variable == "net/w"


@pytest.mark.parametrize(("rate", "scale"), [(0.5, 4.0), (2.0, 4.0), (-0.5, 1.0), (math.inf, 1.0), (-1.0, "eta:0")])
def test_the_learning_rate_is_no_remedy_where_it_would_not_help(rate, scale):
    with pytest.raises(InvalidRateError) as caught:
        check_rate(rate, "w", "penalty in the loss", scale, has_convention=True)
    assert str(caught.value).endswith("or give another with rates=")


def test_a_scale_that_is_no_number_is_not_compared_with_one():
    class Symbolic:
        def __ne__(self, other):
            raise TypeError("a symbolic value is no Python bool")  # as a Tensor says with v2 behavior

    with pytest.raises(InvalidRateError, match=r"or give another with rates=$"):
        check_rate(math.inf, "w", "penalty in the loss", Symbolic(), has_convention=True)


def test_the_learning_rate_is_no_remedy_unless_the_function_has_the_option():
    with pytest.raises(InvalidRateError) as caught:
        check_rate(5.0, "w", "penalty in the loss")
    assert str(caught.value).endswith("or give another with rates=")


def test_a_rate_beyond_1_by_its_scale_names_the_scale():
    with pytest.raises(InvalidRateError, match=r"\(penalty in the loss\), times scale 4, is not a finite number"):
        check_rate(0.25, "w", "penalty in the loss", 4.0)


def test_what_is_no_number_is_no_rate_of_an_option():
    with pytest.raises(InvalidRateError, match=r"^rates='much' is not a number$") as caught:
        make_rules(rates="much")
    assert caught.value.option == "rates"


def test_a_scale_of_zero_is_named_as_it_was_given():
    with pytest.raises(NothingToDecayError, match=r"^scale=0 is 0, so nothing would ever decay"):
        check_scale(0)


@pytest.mark.parametrize("scale", [1.0, "learning_rate"])
def test_a_rate_of_zero_is_one(scale):
    assert make_rules(rates=0, scale=scale).rates == ((None, 0.0),)


# --- where a rate comes from


def test_a_variable_without_any_rate_says_so():
    got = decision()
    assert (got.rate, got.why, got.reason) == (None, "no penalty, no rate given", Reason.NO_RATE)


def test_a_rate_that_is_given_needs_a_gradient_or_a_penalty_in_the_loss():
    alone = decision(has_gradient=False, rates=0.25)
    assert (alone.rate, alone.why, alone.reason) == (
        None,
        "rates=0.25, but no gradient reaches it",
        Reason.NO_GRADIENT,
    )
    in_loss = decision(has_gradient=False, rates=0.25, loss=0.5)
    assert (in_loss.rate, in_loss.reason) == (0.25, Reason.GIVEN)


def test_a_penalty_of_the_collection_needs_a_gradient_and_one_of_the_loss_does_not():
    alone = decision(has_gradient=False, collection=0.25)
    assert (alone.rate, alone.why) == (None, "penalty in the collection, but no gradient reaches it")
    assert alone.reason is Reason.NO_GRADIENT
    assert decision(has_gradient=False, loss=0.25).rate == 0.25


@pytest.mark.parametrize(("source", "other"), [("loss", "collection"), ("collection", "loss")])
def test_a_penalty_of_the_other_source_is_named_with_the_option(source, other):
    got = decision(source=source, **{other: 0.25})
    assert (got.rate, got.why) == (None, "penalty in the %s only, and source=%r" % (other, source))
    assert got.reason is Reason.OTHER_SOURCE
    assert decision(source=source, **{source: 0.25}).rate == 0.25


def test_a_multiplier_is_named_behind_the_rate():
    got = decision(rates=0.25, multipliers={"w": 2.0})
    assert (got.rate, got.why) == (0.5, "rates=0.25, times 2 by multipliers['w']")


def test_a_multiplier_of_zero_is_no_decay():
    got = decision(loss=0.25, multipliers={"w": 0.0})
    assert (got.rate, got.why) == (None, "penalty in the loss, times 0 by multipliers['w'], with rate 0")
    assert got.reason is Reason.ZERO_RATE


@pytest.mark.parametrize(
    ("sparse", "words"),
    [
        ("all_rows", ""),
        ("touched_rows", "; touched rows only"),
        (
            "lazy",
            "; lazy: rows decay when next touched, and the loss counts the penalty of rows as last touched",
        ),
    ],
)
def test_which_rows_decay_is_said_of_a_sparse_gradient_alone(sparse, words):
    for of_gradient in ({"is_sparse": True}, {"is_sparse": False}, {}):
        table = Trained("w", object(), "w", (2,), True, **of_gradient)
        got = decide([table], make_rules(sparse=sparse), {"w": 0.25}, {})[0]
        is_sparse = of_gradient.get("is_sparse", False)
        assert got.why == "penalty in the loss" + words * is_sparse
        assert got.rows == (sparse if is_sparse else "all_rows")


def test_rows_without_a_penalty_in_the_loss_are_not_said_to_be_counted_there():
    table = Trained("w", object(), "w", (2,), True, is_sparse=True)
    got = decide([table], make_rules(sparse="lazy", rates=0.25), {}, {})[0]
    assert got.why == "rates=0.25; lazy: rows decay when next touched"


# --- options


def test_a_word_of_an_option_is_a_text_even_where_an_array_compares_as_one():
    for value in (np.array(["after", "before"]), ["after"], None, 1):
        with pytest.raises(InvalidOptionError, match=r"unknown; choose one of: 'auto', 'loss', 'collection'$"):
            make_rules(source=value)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("rates", {}, "^rates is empty; leave it out, or map patterns to rates$"),
        ("include", [], "^include is empty; leave it out, or name variables$"),
        (
            "include",
            np.ones(2),
            "^include takes regular expressions, callables of a variable, variables, or a list of them",
        ),
        ("include", 3, "^include takes regular expressions"),
        ("summary", 1, "^summary=1 must be True or False$"),
        ("multipliers", {}, "^multipliers={} must map patterns to factors"),
        ("multipliers", 2.0, "^multipliers=2.0 must map patterns to factors"),
        ("multipliers", {"w": "much"}, "^multipliers: 'much' for w is not a number$"),
        ("multipliers", {"w": -1.0}, "^multipliers: -1.0 for w must be finite and not negative$"),
        ("multipliers", {"w": math.inf}, "^multipliers: inf for w must be finite and not negative$"),
    ],
)
def test_what_an_option_does_not_take_is_refused_in_these_words(option, value, words):
    with pytest.raises(InvalidOptionError, match=words):
        make_rules(**{option: value})


def test_a_function_that_has_a_name_of_its_own_is_called_and_is_no_variable():
    class Everything:
        name = "everything"

        def __call__(self, variable):
            return True

    assert decision(loss=0.25, include=Everything()).rate == 0.25
    assert decision(loss=0.25, exclude=Everything()).rate is None


@pytest.mark.parametrize(("count", "said"), [(1, "w0"), (5, "w0, w1, w2, w3, w4"), (6, "w0, w1, w2, w3, w4, ...")])
def test_a_pattern_that_matches_nothing_is_answered_with_five_names_at_most(count, said):
    rules = make_rules(include="zzz")
    with pytest.raises(NoMatchError) as caught:
        check_matches(rules, [(object(), "w%d" % i) for i in range(count)])
    assert str(caught.value) == "include='zzz' matches no variable. Near names: %s" % said
    assert (caught.value.pattern, caught.value.option) == ("'zzz'", "include")


@pytest.mark.parametrize(
    ("pattern", "near"),
    [("kernal", "net/kernel"), ("^net/krnel$", "net/kernel"), ("BIAS", "net/bias, top/bias"), ("top/bais", "top/bias")],
)
def test_the_names_nearest_to_a_pattern_come_first(pattern, near):
    names = ["net/kernel", "net/bias", "top/gamma", "top/bias"]
    with pytest.raises(NoMatchError, match="Near names: (top/bias, net/bias|%s)" % near):
        check_matches(make_rules(exclude=pattern), [(object(), name) for name in names])


def test_a_name_that_is_not_near_to_a_pattern_is_left_out():
    with pytest.raises(NoMatchError, match=r"Near names: alpha/w$"):
        check_matches(make_rules(exclude="alpah/w"), [(object(), name) for name in ("alpha/w", "rnn/cell/q")])


def test_a_pattern_before_there_are_variables_is_answered_with_what_to_do():
    with pytest.raises(NoMatchError, match="no trainable variables yet: build the model before the train_op"):
        check_matches(make_rules(exclude="bias"), [])


# --- a plan as values


def test_a_plan_in_json_holds_every_part_of_each_decision():
    variables = [Trained("a", object(), "net/a", (2, 3), True), Trained("b", object(), "net/b", (None,), True)]
    decays = decide(variables, make_rules(order="before"), {"a": 0.5}, {"b": object()})
    plan = DecayPlan(tuple(decays), (("l1", Fate.OWN_STEP),), "before", (("net/a", "said"),))
    assert plan.as_dict() == {
        "order": "before",
        "variables": [
            {
                "name": "net/a",
                "shape": [2, 3],
                "rate": 0.5,
                "scale": 1.0,
                "half_life": pytest.approx(1.0),
                "rows": "all_rows",
                "others": [],
                "why": "penalty in the loss",
                "reason": "loss",
            },
            {
                "name": "net/b",
                "shape": [None],
                "rate": "run time",
                "scale": 1.0,
                "half_life": "run time",
                "rows": "all_rows",
                "others": [],
                "why": "penalty in the collection",
                "reason": "collection",
            },
        ],
        "terms": {"l1": str(Fate.OWN_STEP)},
        "fates": {"l1": "own_step"},
        "notes": [["net/a", "said"]],
    }


def test_a_plan_in_which_nothing_decays_says_so_in_its_last_line():
    variables = [Trained("a", object(), "a", (2, 3), True), Trained("b", object(), "b", (None,), True)]
    plan = DecayPlan(tuple(decide(variables, make_rules(), {}, {})), (), "after")
    assert str(plan).splitlines()[-1] == (
        "0 of 2 variables decay, 0 of 6 weights (not counting 1 of unknown shape): w <- (1 - r) (w - step), r times "
        "scale 1. Half-life: steps in which a weight that gets no gradient halves."
    )


@pytest.mark.parametrize("said", [Fate, Note, Reason])
def test_each_reason_has_words_of_its_own(said):
    assert len(said.__members__) == len(list(said))  # two of one text would be one member
    assert all(one.value for one in said)


def test_a_reason_is_stored_under_its_name():
    assert [reason.value for reason in Reason] == [reason.name.lower() for reason in Reason]


def test_what_somebody_chose_not_to_decay_is_a_choice():
    assert {reason for reason in Reason if reason.is_a_choice} == {
        Reason.EXCLUDED,
        Reason.NOT_INCLUDED,
        Reason.ZERO_RATE,
    }


def test_a_term_that_does_nothing_is_idle():
    assert {fate for fate in Fate if fate.is_idle} == {
        Fate.NOT_APPLIED,
        Fate.OTHER_SOURCE,
        Fate.NO_VARIABLE,
        Fate.LEFT_OUT,
    }
