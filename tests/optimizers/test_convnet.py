"""Layer parameter files of cuda-convnet: read, mapped onto variables, and trained by, in both rules."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.convnet import FILE, LEARNING, NAMES, section
from support.pages import of, runs_all
from tf1_wd.errors import (
    AlreadyDecoupledError,
    CoupledPenaltyError,
    InvalidOptionError,
    InvalidRateError,
    NoMatchError,
    UnsupportedUpdateError,
)

STEPS = 20
BOTH_RULES = pytest.mark.parametrize("decoupled", [False, True])


# --- training


def start(name):
    return np.random.RandomState(len(name)).uniform(-2, 2, (2, 3))


def gradient_of(name, w):
    """Of a quadratic loss; its curvature differs by element."""
    return np.array([[1.0, 0.5, 2.0], [0.25, 1.5, 1.0]]) * (w - 0.3)


def build(optimizer, global_step=None):
    variables = [tf.get_variable(name, initializer=start(name)) for name in NAMES]
    curvature = tf.constant([[1.0, 0.5, 2.0], [0.25, 1.5, 1.0]], tf.float64)
    loss = tf.add_n([0.5 * tf.reduce_sum(curvature * tf.square(v - 0.3)) for v in variables])
    return optimizer.minimize(loss, global_step), variables


def run_steps(train_op, variables):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(STEPS):
            session.run(train_op)
        return dict(zip(NAMES, session.run(variables)))


def by_numpy(decoupled, scales):
    weights = {name: start(name) for name in NAMES}
    for name, (eps, mom, wc) in LEARNING.items():
        w, inc = weights[name], 0.0
        for s in scales:
            dw = -gradient_of(name, w)
            if decoupled:
                inc = mom * inc + s * eps * dw
                w = w + inc - s * eps * wc * w
            else:
                inc = mom * inc - wc * s * eps * w + s * eps * dw
                w = w + inc
        weights[name] = w
    return weights


def assert_equal(found, expected):
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_the_rule_of_cuda_convnet_trains_as_numpy_does(write, kind):
    found = run_steps(*build(tf1_wd.CudaConvnetOptimizer(write(FILE))))
    assert_equal(found, by_numpy(False, [1.0] * STEPS))


def test_decoupled_decay_trains_as_numpy_does(write, kind, backend):
    found = run_steps(*build(tf1_wd.CudaConvnetOptimizer(write(FILE), decoupled=True, backend=backend)))
    assert_equal(found, by_numpy(True, [1.0] * STEPS))


@BOTH_RULES
def test_a_schedule_multiplies_learning_rates_and_decay_of_its_own_step(write, kind, decoupled):
    """The momentum keeps each gradient with the learning rate of its own step, as in cuda-convnet."""
    step = tf.train.get_or_create_global_step()
    scale = tf.where(step < STEPS // 2, tf.constant(1.0), tf.constant(0.25))
    found = run_steps(*build(tf1_wd.CudaConvnetOptimizer(write(FILE), decoupled, scale), step))
    assert_equal(found, by_numpy(decoupled, [1.0] * (STEPS // 2) + [0.25] * (STEPS // 2)))


@BOTH_RULES
def test_a_scale_of_unknown_shape_is_a_scalar_when_it_runs_or_moves_nothing(write, kind, decoupled, backend):
    w, scale = tf.get_variable("conv1/weights", initializer=start("w")), tf.placeholder(tf.float32)
    optimizer = tf1_wd.CudaConvnetOptimizer(write(section()), decoupled, scale, backend=backend)
    train_op = optimizer.minimize(tf.reduce_sum(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for wrong in ([1.0], [1.0, 2.0, 3.0]):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"scale must be a scalar(.|\n)*conv1/weights"):
                session.run(train_op, {scale: wrong})
        np.testing.assert_array_equal(session.run([w, optimizer.get_slot(w, "inc")]), [start("w"), np.zeros([2, 3])])
        session.run(train_op, {scale: 0.5})
        found = session.run(w)
    np.testing.assert_allclose(found, start("w") - 0.5 * 0.1 * (1 + 0.5 * start("w")), rtol=1e-6)


def test_the_two_rules_and_no_decay_differ():
    coupled, decoupled = (by_numpy(rule, [1.0] * STEPS) for rule in (False, True))
    for name, (_, momentum, wc) in LEARNING.items():
        assert (np.abs(coupled[name] - decoupled[name]).max() > 1e-3) == (wc > 0 and momentum > 0)


def test_all_decoupled_decays_of_a_device_are_one_op(write, kind, graph):
    build(tf1_wd.CudaConvnetOptimizer(write(FILE), decoupled=True, backend="native"))
    assert len([op for op in graph.get_operations() if op.type in ("Tf1WdDecay", "Tf1WdResourceDecay")]) == 1


@BOTH_RULES
def test_a_learning_rate_of_zero_freezes_and_without_a_gradient_nothing_moves(write, kind, decoupled):
    frozen, unused, bias = (tf.get_variable(n, initializer=start(n)) for n in ("a/weights", "b/weights", "a/biases"))
    optimizer = tf1_wd.CudaConvnetOptimizer(write(section("a", epsW=0) + section("b")), decoupled)
    train_op = optimizer.minimize(tf.reduce_sum(frozen) + tf.reduce_sum(bias))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        before = session.run([frozen, unused, bias])
        session.run(train_op)
        after = session.run([frozen, unused, bias])
    assert [(x != y).any() for x, y in zip(before, after)] == [False, False, True]
    assert optimizer.get_slot(frozen, "inc") is None


@BOTH_RULES
def test_rows_without_a_gradient_decay_and_keep_their_momentum(write, kind, decoupled):
    table = tf.get_variable("conv1/weights", initializer=start("conv1/weights"))
    optimizer = tf1_wd.CudaConvnetOptimizer(write(section()), decoupled)
    train_op = optimizer.minimize(tf.reduce_sum(tf.nn.embedding_lookup(table, [1, 1])))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train_op)
        found = session.run(table)
    w, inc = start("conv1/weights"), 0.0
    for _ in range(3):
        inc = 0.9 * inc - 0.1 * np.array([[0.0], [2.0]]) - (0.0 if decoupled else 0.1 * 0.5 * w)
        w = w + inc - (0.1 * 0.5 * w if decoupled else 0.0)
    np.testing.assert_allclose(found, w, rtol=1e-6)


@BOTH_RULES
def test_a_variable_that_is_listed_twice_takes_both_gradients_and_decays_once(write, kind, decoupled, backend):
    w = tf.get_variable("conv1/weights", initializer=start("w"))
    optimizer = tf1_wd.CudaConvnetOptimizer(write(section()), decoupled, backend=backend)
    twice = tf.IndexedSlices(tf.constant([[1.0, 2.0, 3.0]], tf.float64), tf.constant([1]), tf.constant([2, 3]))
    train_op = optimizer.apply_gradients([(tf.ones_like(w), w), (twice, w)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train_op)
        found = session.run(w)
    w, inc, gradient = start("w"), 0.0, np.array([[1.0, 1.0, 1.0], [2.0, 3.0, 4.0]])
    for _ in range(3):
        inc = 0.9 * inc - 0.1 * gradient - (0.0 if decoupled else 0.1 * 0.5 * w)
        w = w + inc - (0.1 * 0.5 * w if decoupled else 0.0)
    np.testing.assert_allclose(found, w, rtol=1e-6)


L2_OF = {
    "l2_loss": lambda w: 0.25 * tf.nn.l2_loss(w),
    "a sum of squares": lambda w: 0.125 * tf.reduce_sum(tf.square(w)),
}


@pytest.mark.parametrize("penalty", L2_OF)
def test_l2_in_the_loss_of_a_layer_that_decays_decoupled_is_refused_before_anything_is_built(write, kind, penalty):
    w, other = (tf.get_variable(name, initializer=start("w")) for name in ("conv1/weights", "conv2/weights"))
    file = write(section() + section("conv2", wc=0))
    data_loss, penalty = tf.reduce_sum(w) + tf.reduce_sum(other), L2_OF[penalty]
    with pytest.raises(CoupledPenaltyError, match=r"conv1/weights holds L2 of it.*wc of \[conv1\] of .*or set wc=0"):
        tf1_wd.CudaConvnetOptimizer(file, decoupled=True).minimize(data_loss + penalty(w))
    assert tf.global_variables() == [w, other]
    train_op = tf1_wd.CudaConvnetOptimizer(file, decoupled=True).minimize(data_loss + penalty(other))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        found = session.run([w, other])
    np.testing.assert_allclose(found[0], start("w") - 0.1 - 0.1 * 0.5 * start("w"), rtol=1e-6)
    np.testing.assert_allclose(found[1], start("w") - 0.1 - 0.1 * 0.25 * start("w"), rtol=1e-6)


def test_l2_in_the_loss_and_wc_of_the_rule_of_cuda_convnet_add_up(write, kind):
    w = tf.get_variable("conv1/weights", initializer=start("w"))
    loss = tf.reduce_sum(w) + L2_OF["l2_loss"](w)
    train_op = tf1_wd.CudaConvnetOptimizer(write(section())).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        found = session.run(w)
    np.testing.assert_allclose(found, start("w") - 0.1 - 0.1 * (0.5 + 0.25) * start("w"), rtol=1e-6)


def test_what_cannot_be_trained_is_refused_when_it_is_built(write):
    w = tf.get_variable("conv1/weights", initializer=start("w"))
    loss = tf.reduce_sum(w)
    with pytest.raises(InvalidRateError, match=r"layer-params.cfg: \[conv1\] epsW \* wc = 0.1 \* 10 = 1 takes all of"):
        tf1_wd.CudaConvnetOptimizer(write(section(wc=10)), decoupled=True).minimize(loss)
    with pytest.raises(InvalidOptionError, match=r"nothing to train: every eps of .*conv1/weights.* is 0"):
        tf1_wd.CudaConvnetOptimizer(write(section(epsW=0))).minimize(loss)
    with pytest.raises(NoMatchError, match=r"\[conv2\]: no variable matches"):
        tf1_wd.CudaConvnetOptimizer(write(section() + section("conv2"))).minimize(loss)
    tf.get_variable("fc/weights", initializer=1.0)
    tf1_wd.CudaConvnetOptimizer(write(section())).minimize(loss)  # one that the loss does not reach needs no layer


def test_a_distribution_strategy_is_refused(write):
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        loss = tf.reduce_sum(tf.get_variable("conv1/weights", initializer=start("w")))
        with pytest.raises(UnsupportedUpdateError, match="train without a strategy"):
            tf1_wd.CudaConvnetOptimizer(write(section())).minimize(loss)


@BOTH_RULES
def test_a_step_that_a_loss_scale_optimizer_skips_moves_nothing(write, kind, decoupled):
    from tensorflow.python.training.experimental import loss_scale, loss_scale_optimizer

    w, x = tf.get_variable("conv1/weights", initializer=np.float32(start("w"))), tf.placeholder(tf.float32, [])
    optimizer = tf1_wd.CudaConvnetOptimizer(write(section()), decoupled)
    scale = loss_scale.DynamicLossScale(initial_loss_scale=8.0)
    train_op = loss_scale_optimizer.MixedPrecisionLossScaleOptimizer(optimizer, scale).minimize(tf.reduce_sum(w) * x)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train_op, {x: 1.0})
        before = session.run([w, optimizer.get_slot(w, "inc")])
        np.testing.assert_allclose(before[0], start("w") - 0.1 - 0.05 * start("w"), rtol=1e-5)
        session.run(train_op, {x: np.inf})
        np.testing.assert_array_equal(session.run([w, optimizer.get_slot(w, "inc")]), before)


@BOTH_RULES
def test_a_scope_adds_no_second_decay(write, decoupled):
    loss = tf.reduce_sum(tf.get_variable("conv1/weights", initializer=start("w")))
    with pytest.raises(AlreadyDecoupledError, match="CudaConvnetOptimizer decays weights by itself"):
        with tf1_wd.decoupled_weight_decay(rates=0.1):
            tf1_wd.CudaConvnetOptimizer(write(section()), decoupled).minimize(loss)
    with tf1_wd.decoupled_weight_decay(rates=0.1) as decay:
        tf1_wd.CudaConvnetOptimizer(write(section(wc=0)), decoupled).minimize(loss)
    assert [d.rate for d in decay.plan.decays] == [0.1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "cosine"}, "scale must be a float or a scalar Tensor, not 'cosine'"),
        ({"scale": "0.5"}, "scale must be a float or a scalar Tensor, not '0.5'"),
        ({"scale": True}, "scale must be a float or a scalar Tensor, not True"),
        ({"scale": lambda: tf.constant(True)}, "scale must be a number; .* is bool"),
        ({"scale": lambda: tf.constant("a")}, "scale must be a number; .* is string"),
        ({"scale": lambda: tf.constant(1j)}, "scale must be a number; .* is complex128"),
        ({"scale": lambda: tf.Variable(True)}, "scale must be a number; .* is bool"),
        ({"decoupled": "no"}, "decoupled='no' must be True or False"),
        ({"decoupled": 1}, "decoupled=1 must be True or False"),
        ({"scopes": "fc"}, "scopes='fc' must map layers of the file to their names in the graph"),
        ({"scopes": ["fc"]}, r"scopes=\['fc'\] must map layers"),
        ({"scopes": {"conv1": None}}, r"scopes={'conv1': None} must map layers"),
        ({"scopes": False}, "scopes=False must map layers"),
        ({"scale": 0}, "scale=0 must be finite and greater than 0"),
        ({"weights": "("}, r"weights='\(' is not a regular expression"),
        ({"biases": "b"}, r"biases='b' must hold \{layer\}"),
    ],
)
def test_options_that_make_no_sense_are_refused(write, options, message):
    options = {name: value() if callable(value) else value for name, value in options.items()}
    with pytest.raises(InvalidOptionError, match=message):
        tf1_wd.CudaConvnetOptimizer(write(section()), **options)


def test_print_shows_which_variable_learns_by_which_numbers_and_what_is_not_used(write):
    optimizer = tf1_wd.CudaConvnetOptimizer(write(FILE))
    build(optimizer)
    lines = [line.split() for line in str(optimizer).splitlines()]
    assert ["fc10/W", "fc10", "0.05", "0.9", "2", "0.1"] in lines
    assert "inc <- mom inc - s eps (g + wc w), w <- w + inc" in str(optimizer)
    assert "[fc10] dropout, [logprob] coeff" in str(optimizer)


@runs_all("docs/guide/cuda-convnet.md", "ini", "python", "")
def test_the_page_runs_and_prints_what_it_shows(tmp_path, monkeypatch, capsys):
    (file,), (code,), (shown,) = (of("docs/guide/cuda-convnet.md", language) for language in ("ini", "python", ""))
    (tmp_path / "layer-params.cfg").write_text(file.text)
    monkeypatch.chdir(tmp_path)
    exec(code.text, {})
    assert capsys.readouterr().out == shown.text


def test_the_example_of_the_docstring(write, monkeypatch):
    text, code, result = re.search(
        r"( +\[conv1\].*?)\n\n.*>>> (.*?)\n +(.*?)\n", tf1_wd.read_layer_params.__doc__, re.DOTALL
    ).groups()
    monkeypatch.chdir(os.path.dirname(write(text)))
    assert repr(eval(code, {"tf1_wd": tf1_wd})) == result


def test_momentum_carries_the_coupled_decay_on_as_the_page_says():
    """Without gradients, wc / (1 - mom) decoupled ends where wc coupled does, but for the first steps."""
    mom, decay, steps = 0.9, 1e-4, 2000
    w, inc = 1.0, 0.0
    for _ in range(steps):
        inc = mom * inc - decay * w
        w += inc
    np.testing.assert_allclose(w, (1 - decay / (1 - mom)) ** steps, rtol=0.02)
