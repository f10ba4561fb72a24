"""What an audit says of a graph: rates as numbers, and every finding with a program that is near it and has it not."""

from __future__ import annotations

import cProfile
import pstats
import re

import audit as benchmark
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.findings import FINDINGS, coupled, doubled_by_the_collection, snippet
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
from tf1_wd import errors
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


def test_what_a_variable_has_several_rates_of_is_told_in_short(kind):
    def build():
        w = weights()
        for rate in (tf.constant(0.3), tf.constant(0.1)):  # float32
            sgd(data(w) + rate * tf.nn.l2_loss(w))

    (v,) = watched(build).variables
    assert v.why == "each of its optimizers has another rate: 0.3, 0.1"


def test_the_remedy_for_l2_of_an_unknown_rate_passes_a_rate(kind):
    def build():
        w, copy = weights(), weights("worker/w")
        gradients = tf.gradients(data(copy) + collected(copy), [copy])
        tf.train.AdamOptimizer(LR).apply_gradients(zip(gradients, [w]))

    report = watched(build)
    assert report.codes == ("coupled", "ambiguous")
    told = finding(report, "coupled")
    assert told.remedy.startswith("`tf1-wd run --rate PATTERN=RATE SCRIPT`")
    assert "cannot be told from the graph" in told.sentence


def test_l2_that_the_program_adds_to_a_gradient_has_its_rate_and_has_to_be_taken_out(kind, tmp_path):
    def build():
        w, u = weights(), weights("u")
        optimizer = tf.train.AdamOptimizer(LR)
        pairs = optimizer.compute_gradients(data(w, u) + collected(u))
        optimizer.apply_gradients([(g + 2 * RATE * v if v is w else g, v) for g, v in pairs])

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        assert by_name(report)["w"].rate == pytest.approx(2 * RATE)
        remedies = {f.variables: f.remedy for f in report.findings if f.code == "coupled"}
        assert remedies[("w",)].startswith(
            "Take it out of the gradients; `tf1-wd run --rate PATTERN=RATE SCRIPT` trains with true decay"
        )
        assert not any("gradients;" in remedy for names, remedy in remedies.items() if names != ("w",))


def test_l2_in_a_branch_has_to_be_moved_out(kind):
    def build():
        w = weights()
        l2 = tf.cond(tf.placeholder_with_default(True, []), lambda: RATE * tf.nn.l2_loss(w), lambda: 0.0)
        tf.train.AdamOptimizer(LR).minimize(data(w) + tf.cast(l2, w.dtype.base_dtype))

    report = watched(build)
    assert report.codes == ("coupled", "ambiguous")
    for code in report.codes:
        assert finding(report, code).remedy.startswith(
            "Move it out of the branch or loop; `tf1-wd run SCRIPT` trains with true decay"
        )


# --- L2 that is no rate of a variable


def of_rows(optimizer):
    """L2 of rows that are looked up, beside a loss of these."""
    rows = tf.nn.embedding_lookup(weights("table"), tf.placeholder(tf.int32, [None]))
    optimizer.minimize(data(rows) + RATE * tf.nn.l2_loss(rows))


@pytest.mark.parametrize("optimizer", [tf.train.GradientDescentOptimizer, tf.train.AdamOptimizer])
def test_l2_of_rows_is_noted_and_is_no_decay_of_the_programs_own(optimizer, kind, tmp_path):
    report = watched(of_rows, optimizer(LR))
    assert report.codes == ()
    assert [note for note in report.notes if "L2Loss (table): L2 of rows that are looked up" in note]
    assert from_file(lambda: None, tmp_path).codes == ()


def test_l2_that_is_no_multiple_of_its_variable_is_noted(kind):
    def build():
        w, u = weights(), weights("u")
        target = tf.placeholder(tf.float32, [])
        penalties = tf.nn.l2_loss(w[1:], name="slice") + tf.nn.l2_loss(u - 0.5, name="anchor")
        sgd(data(w - target, u) + RATE * penalties)

    anchor, part = sorted(watched(build).notes)
    assert anchor.startswith("anchor (u): L2 towards other weights than 0")
    assert part.startswith("slice (w): L2, but no multiple")


@pytest.mark.parametrize(("optimizer", "codes"), [(sgd, ()), (adam, ("coupled",))])
def test_the_optimizer_of_a_table_is_known_though_rows_are_assigned(optimizer, codes, kind):
    def build():
        table = weights("table")
        rows = tf.gather(table, tf.placeholder(tf.int32, [None]))
        optimizer(data(rows) + collected(table))

    assert watched(build).codes == codes


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


@pytest.mark.parametrize(("code", "has_it", "names", "has_it_not"), FINDINGS)
def test_a_finding_is_told_of_what_has_it_alone(code, has_it, names, has_it_not, kind):
    found = finding(watched(has_it), code)
    assert list(found.variables) == names
    assert names[0] in found.sentence
    assert found.remedy
    with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
        assert code not in watched(has_it_not).codes


FROM_FILES = [case for case in FINDINGS if case[0] != "empty-filter" and case[1] is not doubled_by_the_collection]


@pytest.mark.parametrize(("code", "has_it", "names", "has_it_not"), FROM_FILES)
def test_a_file_tells_what_its_structure_shows(code, has_it, names, has_it_not, kind, tmp_path):
    assert list(finding(from_file(has_it, tmp_path), code).variables) == names
    with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
        assert code not in from_file(has_it_not, tmp_path).codes


def test_l2_with_a_negative_coefficient_has_no_other_finding_and_a_remedy_that_decays(kind, tmp_path):
    def build():
        bias = weights("fc/bias", [3])
        adam(data(bias) - collected(bias))

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        assert report.codes == ("negative",)
        assert "(rate -0.25)" in finding(report, "negative").sentence
    with tf.Graph().as_default(), pytest.raises(errors.InvalidRateError), tf1_wd.decoupled_weight_decay():
        build()
    with tf.Graph().as_default():
        w = weights("fc/bias", [3])
        with tf1_wd.decoupled_weight_decay(rates={"bias": 0.5}):
            step = sgd(data(w) - collected(w))
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(step)
            np.testing.assert_allclose(session.run(w), [0.5 * (1.0 - LR * np.cos(1.0))] * 3, rtol=1e-6)


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
