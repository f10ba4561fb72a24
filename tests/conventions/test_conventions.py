"""Rates converted between systems train alike; where a conversion is refused, no rate does."""

from __future__ import annotations

import doctest
import itertools
import re

import numpy as np
import pytest

import tf1_wd
from support import trajectories
from support.page_tables import rows
from support.pages import runs
from support.paths import ROOT
from support.trajectories import ETA, LR, SHRINK, by_numpy
from tf1_wd.conventions import CONVENTIONS
from tf1_wd.conventions.convert import convert_rate
from tf1_wd.errors import InvalidOptionError, InvalidRateError, NoEqualRateError

OPTIMIZERS = ("sgd", "momentum", "adam")
# one of each rule: those that are written alike are equal by themselves
RULES = ("snippet", "contrib", "paper", "keras", "keras_l2", "l2_loss", "cuda_convnet")
FRACTION = {"1": SHRINK, "learning_rate": SHRINK / LR, "eta": SHRINK / ETA}


def pairs(names):
    return pytest.mark.parametrize(("from_", "to"), list(itertools.permutations(names, 2)))


def train(name, optimizer, rate):
    """Trajectories in which the learning rate of the others is eta times the alpha of the paper."""
    return by_numpy(name, optimizer, rate, LR if CONVENTIONS[name].times != "eta" else LR / ETA)


def converted(from_, to, optimizer, **options):
    rate = FRACTION[CONVENTIONS[from_].times]
    known = dict(learning_rate=LR / ETA if "eta" in times(from_, to) else LR, eta=ETA, optimizer=optimizer)
    return rate, convert_rate(rate, from_, to, **dict(known, **options))


def times(*names):
    return {CONVENTIONS[name].times for name in names}


def worst(got, want):
    """The largest distance, as a part of the largest weight."""
    return np.max(np.abs(got - want), axis=(0, -2, -1)) / np.max(np.abs(want))


@pairs(RULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_converted_rate_trains_alike_and_where_none_is_given_no_rate_does(from_, to, optimizer):
    try:
        rate, other = converted(from_, to, optimizer)
    except NoEqualRateError:
        rate = FRACTION[CONVENTIONS[from_].times]
        rates = np.linspace(0.0, 4.0, 4001)[:, None, None] * FRACTION[CONVENTIONS[to].times]
        assert worst(train(to, optimizer, rates), train(from_, optimizer, rate)[:, None]).min() > 1e-3
    else:
        np.testing.assert_allclose(train(to, optimizer, other), train(from_, optimizer, rate), rtol=1e-9)


def test_the_pairs_that_have_equal_rates():
    def equal(optimizer):
        found = set()
        for from_, to in itertools.permutations(RULES, 2):
            try:
                converted(from_, to, optimizer)
            except NoEqualRateError:
                continue
            found.add((from_, to))
        return found

    decoupled = set(itertools.permutations(["contrib", "paper", "keras"], 2))
    coupled = set(itertools.permutations(["l2_loss", "keras_l2", "cuda_convnet"], 2))
    assert equal("adam") == equal("momentum") == decoupled | coupled
    assert equal("sgd") == set(itertools.permutations([n for n in RULES if n != "snippet"], 2))


def test_learning_rate_schedules_are_no_matter_where_both_multiply_by_them():
    lr, eta = np.linspace(0.25, 0.05, trajectories.STEPS), np.linspace(1.0, 0.2, trajectories.STEPS)
    same = convert_rate(0.5, "pytorch", "bert", learning_rate=lambda step: 0.25)
    np.testing.assert_allclose(by_numpy("bert", "adam", same, lr), by_numpy("pytorch", "adam", 0.5, lr), rtol=1e-12)
    other = convert_rate(0.125, "paper", "keras", learning_rate=0.25, eta=lambda step: 1.0)
    got = by_numpy("keras", "adam", other, 0.25 * eta)
    np.testing.assert_allclose(got, by_numpy("paper", "adam", 0.125, 0.25, eta), rtol=1e-12)


@pytest.mark.parametrize("schedule", [lambda step: 0.1, np.array([0.1, 0.2]), "cosine"])
def test_a_schedule_that_only_one_of_the_two_multiplies_by_is_refused(schedule):
    with pytest.raises(NoEqualRateError, match=r"learning_rate=.* is no constant: of 'contrib' and 'keras'.*scale="):
        convert_rate(0.05, "contrib", "keras", learning_rate=schedule)
    with pytest.raises(NoEqualRateError, match=r"eta=.* is no constant"):
        convert_rate(0.05, "chainer", "tf_addons", eta=schedule)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_learning_rate_that_the_error_names_makes_both_orders_equal(optimizer):
    with pytest.raises(NoEqualRateError, match=r"r = 0.0625.* 6.25 % shorter.*0.9375 times its own in 'contrib'"):
        convert_rate(SHRINK, "snippet", "contrib")
    got, want = by_numpy("contrib", optimizer, SHRINK, LR * 0.9375), by_numpy("snippet", optimizer, SHRINK)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    with pytest.raises(NoEqualRateError, match=r"'snippet' decays .* after .* and 'keras' .* 0.9375 times .* 'keras'"):
        convert_rate(0.5, "keras", "snippet", learning_rate=LR)


def test_orders_that_differ_are_converted_where_that_is_asked_for():
    assert convert_rate(SHRINK, "snippet", "keras", learning_rate=LR, approximate=True) == SHRINK / LR
    assert convert_rate(0.5, "pytorch_l2", "snippet", LR, optimizer="SGD", approximate=True) == SHRINK


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0.1, "kerras", "snippet"), {}, "from_='kerras' is unknown; choose one of: 'adamw', 'bert'"),
        ((0.1, "keras", None), {}, "to=None is unknown"),
        ((0.1, "keras", "contrib"), {}, "learning_rate= is missing: of 'keras' and 'contrib'"),
        ((0.1, "contrib", "paper"), {}, "eta= is missing"),
        ((0.1, "contrib", "paper"), {"eta": 0}, "eta=0 must be a finite number greater than 0"),
        ((0.1, "pytorch_l2", "pytorch"), {}, "optimizer= is missing.*depends on the optimizer"),
        ((0.1, "pytorch_l2", "pytorch"), {"optimizer": 3}, "optimizer=3: pass its name"),
        ((0.1, "pytorch_l2", "pytorch"), {"optimizer": "adam"}, "Adam divides the L2 by the same running variance"),
        ((0.1, "l2_loss", "keras"), {"optimizer": "momentum"}, "momentum carries the L2 of earlier weights on"),
        ((0.1, "l2_loss", "keras"), {"optimizer": "LAMB"}, "'lamb' does more to a gradient"),
    ],
)
def test_what_is_missing_or_has_no_equal_is_named(arguments, options, message):
    with pytest.raises(InvalidOptionError, match=message):
        convert_rate(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0.1x", "keras", "bert"), "rate='0.1x' is not a number"),
        ((-0.1, "keras", "bert"), "rate=-0.1 must be finite and not negative"),
        ((float("nan"), "keras", "bert"), "rate=nan must be finite"),
        ((1.5, "contrib", "keras", 0.1), "rate=1.5 of 'contrib' takes 1.5 of a weight off"),
        ((50, "keras", "contrib", 0.1), "rate=50 of 'keras' takes 5 of a weight off"),
    ],
)
def test_a_rate_that_is_none_is_refused(arguments, message):
    with pytest.raises(InvalidRateError, match=message):
        convert_rate(*arguments)


PAGE = ROOT / "docs" / "guide" / "conventions.md"


@pytest.mark.parametrize("pair", [("contrib", "adamw"), ("adamw", "contrib")])
def test_a_rate_that_no_float_holds_is_refused_and_so_is_a_learning_rate_without_a_reciprocal(pair):
    with pytest.raises(InvalidOptionError, match=r"=1e-320 must be .* greater than 0, and 1 / learning_rate finite"):
        convert_rate(1e-10, *pair, learning_rate=1e-320)
    with pytest.raises(InvalidRateError, match=r"rate=1e-100 of 'adamw' would be 0 of 'contrib', beyond .*=1e-300"):
        convert_rate(1e-100, "adamw", "contrib", learning_rate=1e-300)
    assert convert_rate(0.0, *pair, learning_rate=1e-300) == 0.0


def test_the_page_has_the_rows_of_the_module():
    shown = {row[0].strip("`"): row[1:] for row in rows(PAGE) if len(row) == 6}
    assert list(shown) == [name for name in CONVENTIONS if name != "adamw"]
    for name, (system, rule, lines, options, test) in shown.items():
        row = CONVENTIONS[name]
        assert (system, rule.strip("`")) == (row.system, row.formula)
        assert lines == ("<br>".join("`%s`" % line for line in row.lines.values()) or "-")
        assert options == ("`%s`" % row.options if row.options else "no scope: the L2 stays in the gradient")
        assert re.fullmatch("`test_[a-z0-9_]+`", test)


@runs("docs/guide/conventions.md", block=">>> import tf1_wd")
def test_the_conversions_on_the_page_are_what_convert_rate_returns(block):
    examples = doctest.DocTestParser().get_doctest(block.text, {}, "conventions.md", str(PAGE), block.line)
    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples)
    assert (failed, tried) == (0, 7)


def test_the_example_of_the_docstring():
    line, result = re.search(r">>> (.*)\n +(.*)", convert_rate.__doc__).groups()
    assert eval(line, {"tf1_wd": tf1_wd}) == pytest.approx(float(result), rel=1e-12)
