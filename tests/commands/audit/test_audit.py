"""What an audit says of a graph: rates as numbers, and every finding with a program that is near it and has it not."""

from __future__ import annotations

import cProfile
import pstats
import re

import audit as benchmark
import pytest
import tensorflow.compat.v1 as tf

from support.paths import ROOT
from support.watching import (
    LR,
    RATE,
    adam,
    by_name,
    clip,
    collected,
    data,
    finding,
    from_file,
    regularization,
    sgd,
    watched,
    weights,
)
from tf1_wd.commands.audit import assemble
from tf1_wd.commands.audit.report import CODES
from tf1_wd.commands.audit.watched import Observer
from tf1_wd.decay.scope import hooks


@pytest.mark.parametrize(
    ("optimizer", "factor", "option"),
    [
        (lambda: tf.train.GradientDescentOptimizer(1.0), 1.0, "--source collection SCRIPT"),
        (lambda: tf.train.GradientDescentOptimizer(0.125), 1.0, "--source collection --scale 0.125 SCRIPT"),
        (lambda: tf.train.GradientDescentOptimizer(0.5), 4.0, "--source collection --scale 2 SCRIPT"),
        (lambda: tf.train.AdamOptimizer(0.5), 1.0, "--rate RATE SCRIPT"),
    ],
)
def test_the_remedy_for_a_second_step_has_the_rate_that_it_decays_by(optimizer, factor, option):
    def build():
        w = weights(regularizer=collected)
        with tf.control_dependencies([adam(data(w))]):
            optimizer().minimize(factor * regularization())

    found = finding(watched(build), "already-decoupled")
    assert option in found.remedy
    assert ("takes a fraction of w off" in found.sentence) == (option != "--rate RATE SCRIPT")


# --- rates

PENALTIES = {
    "l2_loss": (lambda w: 0.25 * tf.nn.l2_loss(w), 0.25),
    "a sum of squares": (lambda w: 0.25 * tf.reduce_sum(tf.square(w)), 0.5),
    "a mean of squares": (lambda w: 0.75 * tf.reduce_mean(w * w), 0.25),
    "a sum of two": (lambda w: 0.5 * (0.25 * tf.nn.l2_loss(w) + 0.25 * tf.nn.l2_loss(w)), 0.25),
    "none": (lambda w: tf.reduce_sum(tf.abs(w)), None),
}
OPTIMIZERS = {
    "sgd": tf.train.GradientDescentOptimizer,
    "momentum": lambda lr: tf.train.MomentumOptimizer(lr, 0.5),
    "adam": tf.train.AdamOptimizer,
    "rmsprop": tf.train.RMSPropOptimizer,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("case", PENALTIES)
def test_the_rate_is_the_factor_of_the_variable_in_the_gradient(case, optimizer, kind, tmp_path):
    penalty, rate = PENALTIES[case]

    def build():
        w = weights()
        OPTIMIZERS[optimizer](LR).minimize(data(w) + penalty(w))

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        (v,) = report.variables
        assert (v.name, v.shape, v.dtype, v.kind, v.learning_rate) == ("w", (2, 3), "float32", kind, LR)
        assert v.rate == (None if rate is None else pytest.approx(rate))
        assert v.place == ("-" if rate is None else "loss")
        assert not v.frozen
        assert len(v.updated_by) == 1


@pytest.mark.parametrize("change", [clip, lambda gs: [g * 0.5 for g in gs]])
def test_a_rate_is_multiplied_with_the_gradient_but_never_clipped(change, kind, tmp_path):
    def build():
        w, u = weights(), weights("u")
        optimizer = tf.train.AdamOptimizer(LR)
        gradients, variables = zip(*optimizer.compute_gradients(data(w, u) + collected(w)))
        optimizer.apply_gradients(zip(change(gradients), variables))

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        assert by_name(report)["w"].rate == RATE * (1.0 if change is clip else 0.5)
        assert by_name(report)["u"].rate is None


def test_a_square_of_a_distance_is_no_l2_in_a_graph_from_a_file_either(kind, tmp_path):
    def build():
        w = weights()
        sgd(tf.reduce_sum(tf.square(w - 0.5)) + collected(w))

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        assert by_name(report)["w"].rate == RATE


def test_a_gradient_that_is_clipped_by_its_own_norm_keeps_its_rate(kind, tmp_path):
    def build():
        w = weights()
        ((gradient, _),) = tf.train.AdamOptimizer(LR).compute_gradients(data(w) + collected(w))
        tf.train.AdamOptimizer(LR).apply_gradients([(tf.clip_by_norm(gradient, 0.125), w)])

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        assert by_name(report)["w"].rate == RATE


def test_a_rate_that_is_fed_is_known_at_run_time(kind):
    def build():
        w = weights()
        sgd(data(w) + tf.placeholder(tf.float32, []) * tf.nn.l2_loss(w))

    (v,) = watched(build).variables
    assert (v.rate, v.place) == ("run time", "loss")


def test_rates_of_towers_are_averaged_as_their_gradients_are(kind):
    def build():
        w = weights()
        optimizer = tf.train.GradientDescentOptimizer(LR)
        towers = [optimizer.compute_gradients(data(w) + collected(w)) for _ in range(2)]
        optimizer.apply_gradients([((a + b) / 2.0, w) for (a, _), (b, _) in zip(*towers)])

    report = watched(build)
    assert by_name(report)["w"].rate == RATE
    assert report.codes == ()


def test_watching_changes_nothing_of_the_graph(kind):
    def build():
        w = weights(regularizer=collected)
        adam(data(w) + regularization())

    build()
    plain = tf.get_default_graph().as_graph_def()
    with tf.Graph().as_default() as other:
        tf.set_random_seed(1)
        with tf.variable_scope("", use_resource=kind == "resource"):
            watched(build)
        assert [n for n in other.as_graph_def().node if n not in plain.node] == []
        assert len(other.as_graph_def().node) == len(plain.node)


def test_the_source_is_the_users_line_of_the_penalty(kind):
    def here(v):
        return RATE * tf.nn.l2_loss(v)

    def build():
        w = weights(regularizer=here)
        sgd(data(w) + regularization())

    (v,) = watched(build).variables
    assert v.source.startswith("test_audit.py:")
    assert v.source.endswith("return RATE * tf.nn.l2_loss(v)")
    assert v.rule == "0.25 l2_loss(w)"


def test_strength_is_what_plain_sgd_would_take_off(kind):
    def build():
        w = weights()
        adam(data(w) + collected(w))

    (strength,) = watched(build).strengths
    assert (strength.per_step, strength.variables) == (RATE * LR, 1)
    assert strength.half_life == pytest.approx(21.83, abs=0.01)


def test_a_finalized_graph_is_audited_too(kind):
    def build():
        w = weights()
        sgd(data(w) + tf.placeholder(tf.float32, []) * tf.nn.l2_loss(w))
        tf.get_default_graph().finalize()

    assert watched(build).variables[0].rate == "run time"
    assert tf.get_default_graph().finalized


# --- findings: what has it, and what is near it and has it not


def coupled():
    w = weights()
    adam(data(w) + collected(w))


def not_coupled():
    w, u = weights(), weights("u", regularizer=collected)
    sgd(data(w) + collected(w), var_list=[w])
    tf.train.MomentumOptimizer(LR, 0.5).minimize(data(u) + collected(u), var_list=[u])


def doubled_by_hand():
    w = weights(regularizer=collected)
    sgd(data(w) + regularization() + 0.5 * tf.nn.l2_loss(w))


def doubled_by_the_collection():
    w = weights(regularizer=collected)
    tf.losses.add_loss(data(w))
    sgd(tf.losses.get_total_loss() + tf.losses.get_regularization_loss())


def not_doubled():
    w = weights(regularizer=collected)
    sgd(sum(0.5 * (data(w) + regularization()) for _ in range(2)))


def inert():
    w = weights(regularizer=collected)
    sgd(data(w))


def not_inert():
    w = weights(regularizer=collected)
    sgd(data(w) + regularization())


def empty_filter():
    w, beta = weights(), weights("BatchNorm/beta", [3])
    sgd(data(w, beta) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, beta) if "batch_normalization" not in v.name]))


def full_filter():
    w, beta = weights(), weights("batch_normalization/beta", [3])
    sgd(data(w, beta) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, beta) if "batch_normalization" not in v.name]))


def filter_of_whole_names():
    w, bias = weights(), weights("fc/bias", [3])
    sgd(data(w, bias) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, bias) if v.name not in ["bias", "gamma"]]))


def full_filter_of_whole_names():
    w, bias = weights(), weights("bias", [3])
    sgd(data(w, bias) + RATE * tf.add_n([tf.nn.l2_loss(v) for v in (w, bias) if v.op.name not in ["bias", "gamma"]]))


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


def norm_decayed():
    gamma = weights("gamma", [3])
    sgd(data(gamma) + collected(gamma))


def norm_not_decayed():
    w, gamma = weights(), weights("gamma", [3])
    sgd(data(w, gamma) + collected(w))


def bias_decayed():
    w, shift = weights(), weights("shift", [3])
    sgd(data(tf.nn.bias_add(tf.matmul(tf.ones([4, 2]), w), shift)) + collected(shift))


def bias_not_decayed():
    w, shift = weights(), weights("shift", [3])
    sgd(data(tf.nn.bias_add(tf.matmul(tf.ones([4, 2]), w), shift)) + collected(w))


def snippet(trained, read):
    """The pasted second step; `read` is how its penalties read the weights."""
    variables = [weights(), weights("frozen")]
    terms = [collected(v) for v in variables] if read == "early" else None
    with tf.control_dependencies([adam(data(*variables), var_list=variables[:trained])]):
        if terms is None:
            terms = [collected(v.read_value()) for v in variables]
        tf.train.GradientDescentOptimizer(1.0).minimize(tf.add_n(terms), var_list=variables)


def frozen_decayed():
    snippet(1, "late")


def nothing_frozen():
    snippet(2, "late")


def own_decay():
    w = weights()
    with tf.control_dependencies([adam(data(w))]):
        w.assign(w * (1 - RATE))


class DecayingOptimizer(tf.train.Optimizer):
    """As BERT's: its decay is a part of the assignment."""

    weight_decay_rate = RATE

    def __init__(self):
        super().__init__(False, "Decaying")

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        return tf.group(*[v.assign(v - LR * (g + self.weight_decay_rate * v)) for g, v in grads_and_vars])


def own_decay_of_an_optimizer():
    DecayingOptimizer().minimize(data(weights()))


def own_average():
    w = weights()
    with tf.control_dependencies([adam(data(w))]):
        tf.train.ExponentialMovingAverage(0.5).apply([w])


def gated():
    w = weights()
    penalty = tf.cond(tf.placeholder(tf.bool, []), lambda: collected(w), lambda: tf.constant(0.0))
    sgd(data(w) + penalty)


def not_gated():
    w = weights()
    sgd(data(w) + tf.cond(tf.placeholder(tf.bool, []), lambda: data(w), lambda: tf.constant(0.0)) + collected(w))


FINDINGS = [
    ("coupled", coupled, ["w"], not_coupled),
    ("double-counted", doubled_by_hand, ["w"], not_doubled),
    ("double-counted", doubled_by_the_collection, ["w"], not_inert),
    ("inert", inert, ["w"], not_inert),
    ("inert", declared_beside_another, ["w"], declared_and_half_of_it_added),
    ("inert", squared, ["w"], not_inert),
    ("inert", held_back, ["w"], not_inert),
    ("empty-filter", misspelt_beside_another_filter, ["w"], either_of_two_filters),
    ("empty-filter", empty_filter, ["w", "BatchNorm/beta"], two_spellings),
    ("empty-filter", empty_filter, ["w", "BatchNorm/beta"], full_filter),
    ("empty-filter", filter_of_whole_names, ["w", "fc/bias"], full_filter_of_whole_names),
    ("norm-decayed", norm_decayed, ["gamma"], norm_not_decayed),
    ("bias-decayed", bias_decayed, ["shift"], bias_not_decayed),
    ("frozen-decayed", frozen_decayed, ["frozen"], nothing_frozen),
    ("already-decoupled", own_decay, ["w"], own_average),
    ("already-decoupled", own_decay_of_an_optimizer, ["w"], own_average),
    ("ambiguous", gated, ["w"], not_gated),
]


@pytest.mark.parametrize(("code", "has_it", "names", "has_it_not"), FINDINGS)
def test_a_finding_is_told_of_what_has_it_alone(code, has_it, names, has_it_not, kind):
    found = finding(watched(has_it), code)
    assert list(found.variables) == names
    assert names[0] in found.sentence
    assert found.remedy
    with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
        assert code not in watched(has_it_not).codes


FROM_FILES = [case for case in FINDINGS if case[0] not in ("empty-filter", "ambiguous")]
# of what the loss itself tells, and the optimizer's class
FROM_FILES = [case for case in FROM_FILES if case[1] is not doubled_by_the_collection and case[3] is not not_doubled]
FROM_FILES = [case for case in FROM_FILES if case[1] not in (declared_beside_another, squared)]


@pytest.mark.parametrize(("code", "has_it", "names", "has_it_not"), FROM_FILES)
def test_a_file_tells_what_its_structure_shows(code, has_it, names, has_it_not, kind, tmp_path):
    assert list(finding(from_file(has_it, tmp_path), code).variables) == names
    with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
        assert code not in from_file(has_it_not, tmp_path).codes


def test_l2_of_a_keras_layer_that_no_loss_holds_is_inert():
    layers = []
    report = watched(lambda: layers.append(of_a_keras_layer()))
    found = finding(report, "inert")
    assert found.variables == ("fc/kernel",)
    assert "--rate 0.3 SCRIPT" in found.remedy
    assert (report.variables[0].rate, report.variables[0].place) == (pytest.approx(0.3), "layer")
    with tf.Graph().as_default():
        assert "inert" not in watched(lambda: layers.append(of_a_keras_layer_and_added())).codes


@pytest.mark.parametrize("build", [inert, squared, held_back])
def test_what_is_inert_is_in_the_table_with_its_rate(build, kind):
    variable = watched(build).variables[0]
    assert (variable.rate, variable.place) == (RATE, "collection")


def declared_in_a_function():
    def made(name):
        return weights(name, regularizer=tf.keras.regularizers.l2(0.5 * RATE))  # declared here

    loss = data(made("a"), made("b"))
    sgd(loss + sum(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)))


def test_the_source_of_a_regularizer_is_where_it_is_declared(kind):
    # `weights` calls get_variable, and Keras the rest: not the line that adds the terms up
    assert ["get_variable" in v.source for v in watched(declared_in_a_function).variables] == [True, True]


@pytest.mark.parametrize(("read", "kinds"), [("early", ["resource"]), ("late", [])])
def test_the_snippet_reads_old_weights_where_resource_variables_are_read_before_the_update(read, kinds, kind):
    report = watched(snippet, 2, read)
    assert ("stale-reads" in report.codes) == (kind in kinds)
    assert "already-decoupled" in report.codes
    assert "coupled" not in report.codes
    assert [v.rate for v in report.variables] == [RATE, RATE]


def test_a_graph_from_a_file_has_no_lines_of_whoever_reads_it(kind, tmp_path):
    assert from_file(coupled, tmp_path).variables[0].source is None


def test_a_graph_that_trains_nothing_is_not_said_to_be_inert(tmp_path):
    report = from_file(lambda: weights(regularizer=collected), tmp_path)
    assert report.codes == ()
    assert (report.variables[0].rate, report.variables[0].place) == (RATE, "collection")
    assert any("updates no variable" in note for note in report.notes)


def test_every_finding_has_its_section_in_the_documentation():
    page = (ROOT / "docs" / "commands" / "audit.md").read_text()
    findings = page.split("## Findings")[1]
    sections = dict(re.findall(r"^### ([\w-]+)\n(.*?)(?=^##)", findings, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(CODES)
    for text in sections.values():
        assert "**Why it matters**" in text
        assert "**What to do**" in text


def work(count, clip):
    """The number of function calls that the audit of the benchmark's program takes."""
    with tf.Graph().as_default() as where:
        observer = Observer()
        hooks.listen(observer)
        decayed = benchmark.build(count, clip)
        hooks.forget()
        profile = cProfile.Profile()
        report = profile.runcall(lambda: assemble.audit_facts("test", [observer.facts(where)]))
        benchmark.check(report, decayed, count)
        return pstats.Stats(profile).total_calls


@pytest.mark.parametrize("clip", [False, True])
def test_the_work_of_an_audit_grows_as_the_number_of_variables_does(clip):
    work(10, clip)
    small, large = work(60, clip), work(180, clip)
    assert large < 3.3 * small
