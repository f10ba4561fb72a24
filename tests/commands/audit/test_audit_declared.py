"""L2 that a program declares: by regularizers of Keras layers and optimizers of its own, and in which line."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from support.watching import LR, RATE, collected, data, finding, regularization, sgd, watched, weights


def of_a_keras_layer():
    built = keras_layer()
    tf.train.AdamOptimizer(LR).minimize(data(built.kernel))
    return built


def of_a_keras_layer_and_added():
    built = keras_layer()
    tf.train.AdamOptimizer(LR).minimize(data(built.kernel) + tf.add_n(built.losses))
    return built


def keras_layer():
    built = tf.keras.layers.Dense(1, use_bias=False, kernel_regularizer=tf.keras.regularizers.l2(0.15), name="fc")
    built(tf.ones([2, 3]))
    return built


def test_l2_of_a_keras_layer_that_no_loss_holds_is_inert():
    layers = []
    report = watched(lambda: layers.append(of_a_keras_layer()))
    found = finding(report, "inert")
    assert found.variables == ("fc/kernel",)
    assert "--rate 0.3 SCRIPT" in found.remedy
    assert (report.variables[0].rate, report.variables[0].place) == (pytest.approx(0.3), "layer")
    with tf.Graph().as_default():
        assert "inert" not in watched(lambda: layers.append(of_a_keras_layer_and_added())).codes


def declared_in_a_function():
    def made(name):
        return weights(name, regularizer=tf.keras.regularizers.l2(0.5 * RATE))  # declared here

    loss = data(made("a"), made("b"))
    sgd(loss + sum(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


def test_the_source_of_a_regularizer_is_where_it_is_declared(kind):
    # `weights` calls get_variable, and Keras the rest: not the line that adds the terms up
    assert ["get_variable" in v.source for v in watched(declared_in_a_function).variables] == [True, True]


class DecayingOptimizer(tf.train.Optimizer):
    """As BERT's: its decay is a part of the assignment."""

    weight_decay_rate = RATE

    def __init__(self):
        super().__init__(False, "Decaying")

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        return tf.group(*[v.assign(v - LR * (g + self.weight_decay_rate * v)) for g, v in grads_and_vars])


def own_decay_of_an_optimizer():
    DecayingOptimizer().minimize(data(weights()))


def test_the_decay_of_an_optimizer_is_told_once(kind):
    assert finding(watched(own_decay_of_an_optimizer), "already-decoupled").variables == ("w",)


def misspelt_beside_another_filter():
    w, bias = weights(), weights("fc/bias", [3])
    names = lambda v: "biasses" not in v.name and "fc" not in v.name  # noqa: E731
    sgd(data(w, bias) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, bias) if names(v)]))


def either_of_two_filters():
    w, bias = weights(), weights("fc/bias", [3])
    terms = [tf.nn.l2_loss(v) for v in (w, bias) if not ("fc" in v.name or "gamma" in v.name)]
    sgd(data(w, bias) + RATE * tf.add_n(terms))


def two_spellings():
    w, bias = weights(), weights("fc/BatchNorm/beta", [3])
    terms = [tf.nn.l2_loss(v) for v in (w, bias) if "batch_norm" not in v.name and "BatchNorm" not in v.name]
    sgd(data(w, bias) + RATE * tf.add_n(terms))


def declared_beside_another():
    w, u = weights(regularizer=collected), weights("u", regularizer=lambda v: 0.5 * tf.nn.l2_loss(v))
    sgd(data(w, u) + 0.125 * tf.nn.l2_loss(w) + tf.losses.get_regularization_losses()[1])


def declared_and_half_of_it_added():
    w = weights(regularizer=collected)
    sgd(data(w) + 0.125 * tf.nn.l2_loss(w) + 0.5 * regularization())


def squared():
    w = weights(regularizer=collected)
    sgd(data(w) + RATE * tf.nn.l2_loss(regularization()))


def held_back():
    w = weights(regularizer=collected)
    sgd(data(w) / tf.stop_gradient(regularization()))


def added():
    w = weights(regularizer=collected)
    sgd(data(w) + regularization())


FINDINGS = [
    ("inert", declared_beside_another, declared_and_half_of_it_added),
    ("inert", squared, added),
    ("inert", held_back, added),
    ("empty-filter", misspelt_beside_another_filter, either_of_two_filters),
    ("empty-filter", misspelt_beside_another_filter, two_spellings),
]


@pytest.mark.parametrize(("code", "has_it", "has_it_not"), FINDINGS)
def test_a_finding_is_told_of_what_has_it_alone(code, has_it, has_it_not, kind):
    assert finding(watched(has_it), code).variables == ("w",)
    with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
        assert code not in watched(has_it_not).codes


@pytest.mark.parametrize("build", [squared, held_back])
def test_what_is_inert_is_in_the_table_with_its_rate(build, kind):
    variable = watched(build).variables[0]
    assert (variable.rate, variable.place) == (RATE, "collection")
