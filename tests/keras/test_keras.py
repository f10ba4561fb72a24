"""tf1_wd.keras on real Keras models, in processes of their own: graph mode, tf.keras or tf-keras eagerly, and Keras 3.

cases/keras_models.py trains; the rules are here, in NumPy (float64), at rates of 0.1 and 0.2.
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
from support.pages import of, runs_all

LR, STEPS = 0.05, 4
RATES = [0.0, 0.2, 0.1]  # the first layer is frozen
X = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25], [-1.0, 1.0]])
Y = np.array([[0.5, 1.0], [-1.0, 0.0], [1.0, 1.0], [0.0, -0.5]])
START = np.array([[[1.0, 0.5], [0.25, -1.0]], [[0.75, -0.5], [1.0, 1.25]], [[1.5, 1.0], [-0.5, 2.0]]])


@functools.lru_cache(None)
def found(mode):
    """The JSON that tests/keras/cases/keras_models.py prints."""
    folder = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, os.path.join(folder, "cases", "keras_models.py"), mode, *trained(mode)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=900)
    return json.loads(out.stdout)


def trained(mode):
    """The real architectures that are trained: building and differentiating ResNet50 takes half a minute."""
    return ["MobileNet", "ResNet50"] if mode == MODES[-1] else ["MobileNet"]


@pytest.fixture(params=MODES)
def mode(request):
    """Runs the test on each Keras, in each mode that it has."""
    return request.param


def gradients(kernels):
    """Of the mean squared error of x A B C, by each of A, B and C."""
    a, b, c = kernels
    error = 2.0 * (X @ a @ b @ c - Y) / Y.size
    return [X.T @ error @ (b @ c).T, (X @ a).T @ error @ c.T, (X @ a @ b).T @ error]


def train(name, order="after", scale=1.0, lr=LR, coupled=False):
    """The kernels after each of STEPS updates. scale, lr: floats, or functions of the step's number from 0."""
    kernels, trajectory = START.copy(), []
    optimizers = [oracle.Optimizer(name, lr) for _ in kernels]
    for t in range(STEPS):
        slopes = gradients(kernels)
        for i in (1, 2):
            w, optimizer = kernels[i], optimizers[i]
            optimizer.lr = lr(t) if callable(lr) else lr
            r = RATES[i] * (scale(t) if callable(scale) else scale)
            step = optimizer.step(w, slopes[i] + (RATES[i] * w if coupled else 0.0))
            r = 0.0 if coupled else r
            kernels[i] = (1 - r) * (w - step) if order == "after" else w - step - r * w
        trajectory.append(kernels.copy())
    return np.array(trajectory)


def halved(t):
    return LR * 0.5**t


WANTED = {
    "sgd adamw": dict(name="sgd", order="before", scale=LR),
    "sgd half": dict(name="sgd", scale=0.5),
    "sgd schedule after": dict(name="sgd", scale=halved, lr=halved),
    "sgd schedule before": dict(name="sgd", order="before", scale=halved, lr=halved),
    "sgd float64 after": dict(name="sgd", lr=0.0625, scale=0.7),
    "sgd float64 before": dict(name="sgd", lr=0.0625, order="before", scale=0.7),
    "adam after": dict(name="adam"),
    "adam before": dict(name="adam", order="before"),
    "momentum after": dict(name="momentum"),
    "ftrl before": dict(name="ftrl", order="before"),  # its step reads the weights
}


# --- which weights


@pytest.mark.parametrize("name", ["ResNet50", "MobileNet"])
def test_the_plan_of_a_real_architecture_decays_the_kernels_that_its_layers_count(mode, name):
    facts = found(mode)["real"][name]
    layers = facts["by_class"]
    kernels = [sizes[0] for kind in ("Conv2D", "Dense") for sizes in layers.get(kind, [])]
    assert facts["plan"] == [len(kernels), sum(kernels)]
    assert facts["plan"] == {"ResNet50": [54, 23_461_056], "MobileNet": [15, 3_143_520]}[name]
    assert facts["listed"] == {"ResNet50": [320, 320], "MobileNet": [137, 137]}[name]


@pytest.mark.parametrize("name", ["ResNet50", "MobileNet"])
def test_depthwise_kernels_and_biases_of_a_real_architecture_decay_when_asked(mode, name):
    facts = found(mode)["real"][name]
    layers = facts["by_class"]
    sizes = [size for kind in ("Conv2D", "Dense", "DepthwiseConv2D") for s in layers.get(kind, []) for size in s]
    assert facts["depthwise"] == [len(sizes), sum(sizes)]
    assert len(layers.get("DepthwiseConv2D", [])) == {"ResNet50": 0, "MobileNet": 13}[name]


def test_a_step_of_a_real_architecture_decays_each_planned_weight_once_and_no_other(mode):
    for name in trained(mode):
        facts = found(mode)["real"][name]
        assert facts["worst"] < 1e-5
        assert facts["moved"] == facts["listed"][1]  # each weight was trained, so that a decay could be seen


KINDS = [  # (what the name holds, last word of the name in each Keras, rate, why)
    ("conv", "kernel", 0.1, "kernel of Conv2D: rate=0.1"),
    ("conv", "bias", 0.05, "bias of Conv2D: bias=0.05"),
    ("depthwise", "kernel", 0.02, "depthwise of DepthwiseConv2D: depthwise=0.02"),
    ("separable", "depthwise_kernel", 0.02, "depthwise of SeparableConv2D: depthwise=0.02"),
    ("separable", "pointwise_kernel", 0.1, "kernel of SeparableConv2D: rate=0.1"),
    ("norm", "gamma", None, "normalization: never"),
    ("norm", "moving_mean", None, "not trainable"),
    ("transpose", "kernel", None, "excluded by transpose"),
    ("shared", "kernel", 0.1, "kernel of Derived: rate=0.1"),
    ("frozen", "kernel", None, "not trainable"),
    ("own", "w", None, "Own is a layer that is not known: name its weights in rates="),
    ("own", "kernel", 0.1, "kernel of Dense: rate=0.1"),
    ("table", "embeddings", 0.03, "embeddings of Embedding: embeddings=0.03"),
    ("time", "kernel", 0.1, "kernel of Dense: rate=0.1"),
    ("forward_lstm", "kernel", 0.1, "kernel of LSTMCell: rate=0.1"),
    ("backward_lstm", "recurrent_kernel", 0.04, "recurrent of LSTMCell: recurrent=0.04"),
    ("backward_lstm", "bias", 0.05, "bias of LSTMCell: bias=0.05"),
    ("slopes", "alpha", None, "slope of an activation: never"),
    ("layer_norm", "beta", None, "normalization: never"),
]


@pytest.mark.parametrize("case", KINDS, ids=lambda case: "%s %s" % case[:2])
def test_each_kind_of_weight_has_its_rate_and_its_reason_once(mode, case):
    layer, last, rate, why = case
    rows = [
        (r, w)
        for name, r, w in found(mode)["kinds"]["plan"]
        if name.startswith(layer) or "/" + layer in name
        if name.split("/")[-1] in (last, "depthwise_" + last)
    ]
    assert rows.count((rate, why)) == 1


def test_every_weight_of_a_model_is_listed_once(mode):
    facts = found(mode)["kinds"]
    assert len(facts["plan"]) == facts["weights"] == 38


def test_cells_inside_of_a_stack_are_found(mode):
    whys = [why for _, _, why in found(mode)["kinds"]["plan"]]
    for cell in ("GRUCell", "SimpleRNNCell"):
        assert whys.count("kernel of %s: rate=0.1" % cell) == 1
        assert whys.count("recurrent of %s: recurrent=0.04" % cell) == 1


def test_a_weight_of_a_layer_that_is_not_known_takes_the_rate_that_names_it(mode):
    assert found(mode)["kinds"]["named"] == 1


def test_by_default_kernels_and_recurrent_kernels_decay_and_nothing_else(mode):
    whys = found(mode)["kinds"]["defaults"]
    assert {why.split(": ")[1] for why in whys if "=0.1" in why} == {"rate=0.1"}
    assert "recurrent of LSTMCell: rate=0.1" in whys
    for off in (
        "depthwise of DepthwiseConv2D: depthwise=0",
        "bias of Dense: bias=0",
        "embeddings of Embedding: embeddings=0",
    ):
        assert off in whys


# --- training


@pytest.mark.parametrize("case", WANTED)
def test_a_decoupled_model_trains_as_its_rule_says(mode, case):
    within = dict(rtol=2e-5, atol=2e-6)
    if "float64" in case:
        within = dict(rtol=1e-6 if mode == "keras3" else 1e-12)  # Keras 3 computes the loss in float32
    np.testing.assert_allclose(found(mode)["trajectories"][case], train(**WANTED[case]), **within)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_coupled_model_trains_with_the_rate_in_its_gradient(mode, name):
    np.testing.assert_allclose(found(mode)["coupled"][name], train(name, coupled=True), rtol=2e-5, atol=2e-6)


def test_constraints_hold_after_the_decay(mode):
    np.testing.assert_allclose(found(mode)["constrained"], np.ones((2, 2)), atol=1e-5)


@pytest.mark.parametrize("way", ["own", "compiled"])
def test_the_rates_of_a_plan_serve_optimizers_of_tf_train(way):
    np.testing.assert_allclose(found("graph")["scope"][way], train("adam"), rtol=2e-5, atol=2e-6)


def test_in_graph_mode_the_compiled_op_decays():
    assert found("graph")["ops"] == 1


if EAGER:

    @pytest.fixture(params=EAGER)
    def eager(request):
        return request.param

    def test_an_update_decays_only_what_it_updates(eager):
        in_python, in_function = found(eager)["own_loop"]
        np.testing.assert_allclose(in_python[0], [START[0], START[1], 0.9 * START[2]], rtol=1e-6)
        np.testing.assert_allclose(in_python[1], [START[0], 0.8 * START[1], 0.81 * START[2]], rtol=1e-6)
        np.testing.assert_allclose(in_function, in_python, rtol=1e-7)

    def test_a_step_that_a_loss_scale_optimizer_skips_decays_nothing(eager):
        skipped, taken = found(eager)["loss_scale"]
        np.testing.assert_array_equal(skipped, START)
        np.testing.assert_allclose(taken, [START[0], 0.8 * START[1], 0.9 * START[2]], rtol=1e-6)

    def test_l2_is_added_to_a_model_that_has_trained_already(eager):
        got = found(eager)["late_coupling"]
        np.testing.assert_allclose(got, train("sgd", coupled=True), rtol=2e-5, atol=2e-6)


@runs_all("docs/guide/keras.md", "python")
def test_the_page_runs_as_it_stands(mode):
    count, in_graphs = len(of("docs/guide/keras.md", "python")), 1 if mode == "graph" else 0
    assert found(mode)["page"] == {"blocks": count, "decaying": 14, "rates": in_graphs}


# --- refusals

REFUSED = {
    "backend": ("UnsupportedUpdateError", "kernel is no variable of TensorFlow"),
    "not built": ("InvalidOptionError", "call the model on a batch, or model.build(...)"),
    "no model": ("InvalidOptionError", "plan takes a Keras model or layer, and got [1]"),
    "no match": ("NoMatchError", "exclude='secnd' matches no variable. Near names: "),
    "rate": ("InvalidRateError", "rate=1.5 must be a number in [0, 1)"),
    "rate too": ("InvalidRateError", "bias='much' is not a number"),
    "option": ("InvalidOptionError", "there is no option depth_wise: options are rates, include"),
    "rates": ("InvalidOptionError", "rates=0.1: the rate of all kernels is rate="),
    "scale": ("InvalidOptionError", "returned 1.0, which is the same in every step"),
    "L2 by a schedule": ("InvalidOptionError", "L2 takes a float scale"),
    "frozen": ("NothingToDecayError", "no weight of the model decays"),
    "not compiled": ("InvalidOptionError", "call model.compile(optimizer, loss) first"),
    "twice": ("AlreadyDecoupledError", "SGD decays by a plan already: compile with a new optimizer"),
    "regularized": ("CoupledPenaltyError", "third/kernel: has an L2 regularizer"),
    "own regularizer": ("CoupledPenaltyError", "third/kernel: has an L2 regularizer"),
    "another model": ("InvalidOptionError", "the plan is of another model: "),
    "another model too": ("InvalidOptionError", "Make a plan of this model: tf1_wd.keras.plan(model, rate)"),
    "no plan": ("InvalidOptionError", "0.1 is no plan of tf1_wd.keras.plan(model, rate)"),
    "inside": ("CoupledPenaltyError", ""),
    "rates of lr": ("InvalidOptionError", "give these to decoupled_weight_decay or attach"),
    "both": ("CoupledPenaltyError", "holds the L2 of a plan already"),
    "tf.train": ("UnsupportedUpdateError", "rates=tf1_wd.keras.rates(plan)"),
    "decay=": ("UnsupportedUpdateError", "SGD has decay=0.1: its learning rate differs from the one it shows"),
    "late": ("UnsupportedUpdateError", "call add_l2 before model.compile"),
    "own": ("AlreadyDecoupledError", "AdamW decays weights by itself (weight_decay=0.1)"),
    "ema": ("UnsupportedUpdateError", "SGD has use_ema=True: its averages would not see the decay"),
    "strategy": ("UnsupportedUpdateError", "under a distribution strategy"),
    "accumulates": ("UnsupportedUpdateError", "SGD has gradient_accumulation_steps=2"),
}


def test_what_cannot_be_done_right_is_refused_with_the_way_out(mode):
    refused = found(mode)["refused"]
    assert len(refused) >= 21
    for case, error in refused.items():
        kind, text = REFUSED[case]
        assert error is not None, case
        assert error[0] == kind, case
        assert text in error[1], case
