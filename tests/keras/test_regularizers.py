"""tf1_wd.keras and the L2 that a model has already, in processes of their own; see cases/keras_regularizers.py.

A has l2(0.15), so rate 0.3; B has l1_l2(0.05, 0.1), so rate 0.2, and an L1 that stays in the gradient.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from support import oracle
from support.keras_modes import EAGER, MODES

LR, STEPS = 0.05, 4
X = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25], [-1.0, 1.0]])
Y = np.array([[0.5], [-1.0], [1.0], [0.0]])
START = [np.array([[1.0, 0.5], [0.25, -1.0]]), np.array([[0.75], [-0.5]])]
L1, RATES = (0.0, 0.05), (0.3, 0.2)


@functools.lru_cache(None)
def found(mode):
    """The JSON that tests/keras/cases/keras_regularizers.py prints."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "keras_regularizers.py")
    architectures = [] if mode == "graph" else ["ResNet50"] if mode == MODES[-1] else ["MobileNet"]
    out = subprocess.run(
        [sys.executable, script, mode, *architectures], stdout=subprocess.PIPE, text=True, check=True, timeout=900
    )
    return json.loads(out.stdout)


def fact(mode, name):
    """What one function of that file has found."""
    value = found(mode)[name]
    assert not (isinstance(value, dict) and "failed" in value), value["failed"]
    return value


@pytest.fixture(params=MODES)
def mode(request):
    """Runs the test on each Keras, in each mode that it has."""
    return request.param


def trained(name="sgd", order="after", scale=lambda t: 1.0, decay=RATES, coupled=(0.0, 0.0), l1=L1):
    """The kernels after each of STEPS updates. decay: rates taken off. coupled: rates of L2 in the gradient."""
    kernels, trajectory = [k.copy() for k in START], []
    optimizers = [oracle.Optimizer(name, LR) for _ in kernels]
    for t in range(STEPS):
        a, b = kernels
        error = 2.0 * (X @ a @ b - Y) / Y.size
        slopes = [X.T @ error @ b.T, (X @ a).T @ error]
        slopes = [g + c * w + s * np.sign(w) for g, c, w, s in zip(slopes, coupled, kernels, l1)]
        moved = [w - o.step(w, g) for w, o, g in zip(kernels, optimizers, slopes)]
        rates = [r * scale(t) for r in decay]
        if order == "after":
            kernels = [(1.0 - r) * m for r, m in zip(rates, moved)]
        else:
            kernels = [m - r * w for r, m, w in zip(rates, moved, kernels)]
        trajectory.append(kernels)
    return trajectory


def assert_trained(got, want):
    for step, kernels in zip(got, want):
        for g, w in zip(step, kernels):
            np.testing.assert_allclose(g, w, rtol=2e-5, atol=2e-6)
    assert len(got) == len(want)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_the_l2_of_regularizers_decays_the_weights_and_l1_stays_in_the_gradient(mode, name):
    assert_trained(fact(mode, "trajectories")[name + " snippet"], trained(name))


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_a_decay_times_the_learning_rate_takes_the_rates_of_regularizers(mode, name):
    assert_trained(fact(mode, "trajectories")[name + " adamw"], trained(name, "before", lambda t: LR))


def test_fit_decays_by_the_regularizers(mode):
    assert_trained([fact(mode, "fit")], trained()[-1:])


def test_the_plan_names_where_the_rates_come_from(mode):
    plan = fact(mode, "plan")
    np.testing.assert_allclose(plan["rates"][0], 0.3, rtol=1e-6)
    assert plan["rates"][1] is None
    assert "L2 regularizer of Dense" in plan["printed"]
    assert "a/kernel: has an L2 regularizer, which decouple takes out of the gradient" in plan["printed"]
    assert "b/kernel: has a regularizer and does not decay: its gradient goes through the optimizer" in plan["printed"]


def test_an_excluded_weight_keeps_its_l2_in_the_gradient(mode):
    assert_trained(fact(mode, "excluded"), trained(decay=(0.3, 0.0), coupled=(0.0, 0.2)))


def test_rates_win_over_the_regularizer_whose_l2_leaves_the_gradient_all_the_same(mode):
    assert_trained(fact(mode, "given_another_rate"), trained(decay=(0.5, 0.2)))


def test_the_loss_still_reports_the_penalties_of_the_old_weights(mode):
    before, during = fact(mode, "value_of_the_loss")
    penalties = 0.15 * np.sum(START[0] ** 2) + 0.1 * np.sum(START[1] ** 2) + 0.05 * np.sum(np.abs(START[1]))
    np.testing.assert_allclose([before, during], np.mean((X @ START[0] @ START[1] - Y) ** 2) + penalties, rtol=1e-5)


def test_no_update_overtakes_the_penalties_that_the_loss_reports():
    assert fact("graph", "updates_wait_for_reads") == {"reads": 1, "waits": True}


def test_a_function_of_ones_own_that_is_l2_gives_its_rate(mode):
    assert_trained(fact(mode, "as_a_function"), trained(decay=(0.3, 0.0), l1=(0.0, 0.0)))


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        ("of its own", "NothingToDecayError", "its regularizer in Dense is not known to be L2"),
        ("l1", "NothingToDecayError", "no L2 regularizer"),
        ("a role", "InvalidOptionError", "bias=0.1 without a rate"),
        ("a rate", "CoupledPenaltyError", "tf1_wd.keras.plan(model), takes the rates of the L2 regularizers"),
    ],
)
def test_what_gives_no_rate_is_refused(mode, what, kind, text):
    error = fact(mode, "not_l2")[what]
    assert error[0] == kind
    assert text in error[1]


def test_a_function_that_is_more_than_l2_gives_its_rate_and_the_rest_stays_in_the_gradient(mode):
    assert_trained(fact(mode, "more_than_l2")["trained"], trained())


@pytest.mark.parametrize("of", ["printed", "of Keras"])
def test_the_plan_names_the_rest_of_a_regularizer_that_is_more_than_l2(mode, of):
    printed = fact(mode, "more_than_l2")[of]
    assert "b/kernel: its regularizer is more than L2, such as L1: the gradient of the rest goes through" in printed
    assert "a/kernel: its regularizer" not in printed


@pytest.mark.parametrize("what", ["class", "function", "by name"])
def test_a_model_without_l2_decays_by_a_rate_as_the_refusal_says(mode, what):
    found = fact(mode, "advised_to_pass_a_rate")[what]
    assert_trained(found["trained"], trained(decay=(0.3, 0.0 if what == "by name" else 0.3), l1=(0.1, 0.0)))
    if what != "by name":
        assert found["refused"][0] == "NothingToDecayError"
        assert "pass a rate, tf1_wd.keras.plan(model, rate)" in found["refused"][1]
        assert "a/kernel: has a regularizer that is not L2, or not known as it: its gradient goes" in found["printed"]


def test_a_weight_with_l2_is_excluded_from_a_plan_with_a_rate_as_the_refusal_says(mode):
    found = fact(mode, "excluded_from_a_rate")
    assert found["refused"][0] == "CoupledPenaltyError"
    assert "or exclude these weights" in found["refused"][1]
    assert_trained(found["trained"], trained(decay=(0.3, 0.0), coupled=(0.0, 0.2)))


@pytest.mark.skipif(not EAGER, reason="in graph mode a regularizer that reads a variable is not known to be L2")
@pytest.mark.parametrize("mode", EAGER)
@pytest.mark.parametrize(("what", "l1"), [("l2", 0.0), ("more", 0.05)])
def test_a_coefficient_may_be_a_variable_that_changes(mode, what, l1):
    found = fact(mode, "coefficient_in_a_variable")
    wanted = trained(scale=lambda t: 0.3 if t == 0 else 0.1, decay=(1.0, 0.0), l1=(l1, 0.0))
    assert_trained(found[what]["trained"], wanted)
    assert "as its variables have it in each step" in found[what]["printed"]
    assert found["rates"][0] == "InvalidOptionError"
    assert found["add_l2"][0] == "CoupledPenaltyError"


def test_l2_that_the_model_has_is_not_added_to_its_loss_again(mode):
    kind, message = fact(mode, "added_twice")
    assert kind == "CoupledPenaltyError"
    assert "has an L2 regularizer" in message


def test_compiled_anew_the_l2_is_coupled_until_it_is_decoupled_again(mode):
    after = fact(mode, "compiled_anew")
    assert_trained(after["coupled"], trained(decay=(0.0, 0.0), coupled=RATES))
    assert_trained(after["decoupled"], trained())


def test_l2_by_add_loss_beside_a_plan_is_refused_before_the_first_step(mode):
    if mode == "keras3":
        pytest.skip("Keras 3 takes no functions in add_loss")
    found = fact(mode, "added_by_a_function")
    assert found["refused"][0] == "CoupledPenaltyError"
    assert "a/kernel" in found["refused"][1]
    assert_trained([found["weights"]], [found["started"]])


@pytest.mark.skipif(not EAGER, reason="eager mode is of TensorFlow 2")
@pytest.mark.parametrize("mode", EAGER)
def test_an_error_that_leaves_a_traced_step_keeps_its_class(mode):
    kind, message = fact(mode, "refused_in_fit")
    assert kind == "AlreadyDecoupledError"
    assert "decays by a plan, and weight_decay=0.1 was set since" in message


def test_a_regularizer_set_after_the_layer_was_built_is_none(mode):
    assert_trained(fact(mode, "attribute_after_build"), trained(decay=(0.3, 0.0), l1=(0.0, 0.0)))


def test_saving_warns_once_that_the_file_has_no_decay_and_what_it_advises_works(mode):
    saved = fact(mode, "saved")
    assert len(saved["told"]) == 1
    assert "call tf1_wd.keras.plan and decouple again" in saved["told"][0]
    assert_trained(saved["trained"], trained())


@pytest.mark.parametrize(("order", "word"), [("after", "snippet"), ("before", "paper")])
@pytest.mark.parametrize("kind", ["function", "schedule"])
def test_a_scale_may_follow_the_iterations(mode, kind, order, word):
    assert_trained(
        fact(mode, "schedules")["%s %s" % (kind, word)], trained(order=order, scale=lambda t: 0.5 ** (t + 1))
    )


@pytest.mark.skipif(not EAGER, reason="in graph mode a variable of the program is initialised by the program")
@pytest.mark.parametrize("mode", EAGER)
def test_a_scale_may_be_a_variable_that_changes(mode):
    wanted = trained(scale=lambda t: 0.5 if t == 0 else 0.25)
    assert_trained(fact(mode, "scale_in_a_variable"), wanted)


def test_a_scale_that_returns_a_number_is_refused(mode):
    error = fact(mode, "schedules")["number snippet"]
    assert error[0] == "InvalidOptionError"
    assert "the same in every step" in error[1]


@pytest.mark.skipif(not EAGER, reason="eager mode is of TensorFlow 2")
@pytest.mark.parametrize("name", ["MobileNet", "ResNet50"] if len(EAGER) > 1 else ["ResNet50"])
def test_real_architectures_fit_as_a_loop_on_the_loss_of_the_data_with_decay(name):
    modes = [mode for mode in EAGER if name in found(mode)]
    assert modes
    for mode in modes:
        step = found(mode)[name]
        assert step["worst"] < 1e-6
        assert step["moved"] > 50
        assert step["decaying"] > 20
