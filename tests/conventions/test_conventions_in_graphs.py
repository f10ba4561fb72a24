"""Rules that a graph of TensorFlow 1 holds, or that are known as formulas alone, are those of conventions.py.

The other systems are run in test_the_others_contrib.py, test_the_others_keras.py and test_the_others_elsewhere.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.paths import ROOT
from support.trajectories import (
    LR,
    SHRINK,
    STEPS,
    W0,
    assert_close,
    assert_is_its_row,
    by_numpy,
    course,
    data_loss,
    gradient,
    lines,
    rate_of,
    tf_optimizer,
    weights_after_each,
)
from support.watching import from_file, watched
from tf1_wd.conventions import CONVENTIONS
from tf1_wd.conventions.convert import convert_rate

BERT = ROOT / "legacy_examples" / "bert_optimization.py"


# --- the second SGD step


def snippet(name, optimizer="adam"):
    """(train_op, weights) of the pasted snippet, with the penalties where layers put them."""
    with tf.variable_scope("net", use_resource=name == "snippet_resource"):
        w = tf.get_variable("w", initializer=W0)
    penalty = SHRINK * tf.nn.l2_loss(w)
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, penalty)
    made = tf_optimizer(optimizer, LR)
    ((raw, _),) = made.compute_gradients(data_loss(w))
    with tf.control_dependencies([penalty]):  # without it, reading a resource variable races against the update
        after_the_read = tf.identity(raw)
    train_op = made.apply_gradients([(after_the_read, w)])
    with tf.control_dependencies([train_op]):
        return eval(CONVENTIONS[name].lines["any"], {"tf": tf}), w


@pytest.mark.parametrize("case", lines("snippet"), ids=" ".join)
def test_the_snippet_on_reference_variables_trains_as_its_row_says(case, kind):
    assert_is_its_row(case, weights_after_each(*snippet(*case[:2])))


@pytest.mark.parametrize("case", lines("snippet_resource"), ids=" ".join)
def test_the_snippet_on_resource_variables_read_before_the_step_trains_as_its_row_says(case, kind):
    assert_is_its_row(case, weights_after_each(*snippet(*case[:2])))


@pytest.mark.parametrize("name", ["snippet", "snippet_resource"])
def test_audit_recognises_the_snippet_and_its_two_behaviours(name, tmp_path):
    for report in (watched(snippet, name), from_file(lambda: None, tmp_path)):
        assert "already-decoupled" in report.codes
        assert [v.rate for v in report.variables] == [SHRINK]


# --- L2 in the loss


@pytest.mark.parametrize("case", lines("l2_loss", "keras_l2"), ids=" ".join)
def test_l2_in_the_loss_trains_as_its_row_says(case, kind):
    name, optimizer, _ = case
    w = tf.get_variable("w", initializer=W0)
    names = {"tf": tf, "keras": tf.keras, "loss": data_loss(w), "rate": rate_of(name), "w": w}
    loss = eval(CONVENTIONS[name].lines["any"], names)
    assert_is_its_row(case, weights_after_each(tf_optimizer(optimizer, LR).minimize(loss), w))


# --- formulas


@pytest.mark.parametrize("case", [("paper", "momentum", "constant"), ("paper", "adam", "schedule")], ids=" ".join)
def test_the_rules_of_the_paper_are_those_of_tf1_wd(case, kind):
    name, optimizer, schedule = case
    assert_is_its_row(case, by_numpy(name, optimizer, rate_of(name), *course(name, schedule)))


@pytest.mark.parametrize("case", lines("cuda_convnet"), ids=" ".join)
def test_the_rule_of_cuda_convnet_is_momentum_with_l2_in_the_loss(case, kind):
    name, optimizer, schedule = case
    assert_is_its_row(case, by_numpy(name, optimizer, rate_of(name), *course(name, schedule)))


# --- BERT


@pytest.fixture
def bert_optimizer():
    """The class of legacy_examples/bert_optimization.py, on this TensorFlow."""
    names = {"__name__": "optimization"}
    source = BERT.read_text().replace("import tensorflow as tf", "import tensorflow.compat.v1 as tf")
    exec(compile(source, str(BERT), "exec"), names)
    return names["AdamWeightDecayOptimizer"]


def bert_by_numpy(rate):
    """Its Adam does not correct the bias of its moments."""
    w, m, v, found = W0, 0.0, 0.0, []
    for _ in range(STEPS):
        g = gradient(w)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - LR * (m / (np.sqrt(v) + 1e-6) + rate * w)
        found.append(w)
    return np.array(found)


def test_bert_trains_as_its_row_says(bert_optimizer, kind):
    line, rate = CONVENTIONS["bert"].lines["adam"], rate_of("bert")
    names = {"AdamWeightDecayOptimizer": bert_optimizer, "lr": LR}

    def train(rate, decay=lambda train_op: train_op):
        with tf.Graph().as_default(), tf.variable_scope("net", use_resource=kind == "resource"):
            w = tf.get_variable("w", initializer=np.float32(W0))  # it knows no other dtype
            optimizer = eval(line, dict(names, rate=rate))
            train_op = optimizer.apply_gradients([(tf.gradients(data_loss(w), w)[0], w)])
            return weights_after_each(decay(train_op), w)

    found = train(rate)
    assert_close(found, bert_by_numpy(rate), atol=1e-5)
    ours = train(0.0, lambda train_op: tf1_wd.attach(train_op, rates=rate, convention="adamw", scale=LR))
    assert_close(ours, found, atol=1e-5)
    once = convert_rate(rate, "bert", "contrib", learning_rate=LR)
    ours = train(0.0, lambda train_op: tf1_wd.attach(train_op, rates=once, convention="contrib"))
    assert_close(ours, found, atol=1e-5)
