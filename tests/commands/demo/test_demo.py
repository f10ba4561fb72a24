"""The demo trains three ways and tells the truth about the rule of each."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from tf1_wd import errors
from tf1_wd.commands.demo import curves, train
from tf1_wd.commands.demo.train import COUPLED, NEITHER, OLD, SNIPPET, TRUE_DECAY, UNTOLD, UPDATED, applied_rule

# slim and the layers under it warn of themselves
pytestmark = pytest.mark.filterwarnings("ignore:`.*` is deprecated:UserWarning")

STEPS = 30
WEIGHTS = {"conv1/weights", "conv2/weights", "conv3/weights", "fc4/weights", "logits/weights"}


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def report(calls):
    return train.run(steps=STEPS, backend="native", on_step=lambda: calls.append(None))


@pytest.fixture(scope="module")
def first_step():
    return train.run(steps=1, weight_decay=1e-6, backend="tensorflow")


def method(report, name):
    return next(m for m in report["methods"] if m["name"] == name)


def test_three_methods_are_trained_and_each_step_is_announced(report, calls):
    assert [m["name"] for m in report["methods"]] == [COUPLED, SNIPPET, TRUE_DECAY]
    assert len(calls) == STEPS


@pytest.mark.parametrize(("name", "rule"), [(COUPLED, NEITHER), (SNIPPET, UPDATED), (TRUE_DECAY, UPDATED)])
def test_the_rule_measured_on_every_reference_variable(report, name, rule):
    assert method(report, name)["rules"] == dict.fromkeys(WEIGHTS, rule)


@pytest.mark.parametrize(("name", "rule"), [(COUPLED, NEITHER), (TRUE_DECAY, UPDATED)])
def test_the_rule_measured_on_every_resource_variable(report, name, rule):
    assert method(report, name)["resource_rules"] == dict.fromkeys(WEIGHTS, rule)


def test_the_snippet_is_measured_on_resource_variables_where_its_reads_race_against_the_updates(report):
    """test_the_others.py proves the race in the graph: no rule can be asked for here."""
    rules = method(report, SNIPPET)["resource_rules"]
    assert set(rules) == WEIGHTS
    assert UNTOLD not in rules.values()


def test_on_reference_variables_true_decay_trains_like_the_snippet(report):
    for key in ("training_loss", "test_accuracy", "weight_norm"):
        ours, theirs = (method(report, name)["curves"][key] for name in (TRUE_DECAY, SNIPPET))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_decay_leaves_smaller_weights_than_the_same_l2_in_the_loss(report):
    assert method(report, TRUE_DECAY)["weight_norm"] < 0.99 * method(report, COUPLED)["weight_norm"]


def test_all_three_start_from_the_same_weights(first_step):
    norms = [m["weight_norm"] for m in first_step["methods"]]
    np.testing.assert_allclose(norms, norms[0], rtol=1e-5)


def test_the_report_is_plain_data(report):
    assert json.loads(json.dumps(report)) == report


def test_every_curve_has_a_point_for_every_evaluation(report):
    for m in report["methods"]:
        assert {len(values) for values in m["curves"].values()} == {STEPS}
        assert m["curves"]["step"] == list(range(1, STEPS + 1))


def test_the_backend_asked_for_is_the_one_reported(report, first_step):
    assert (report["op"], first_step["op"]) == ("native", "tensorflow")


def test_the_curves_are_drawn_to_a_png(report, tmp_path):
    path = tmp_path / "curves.png"
    curves.draw(report, str(path))
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert width > 1000
    assert height > 400
    assert len(content) > 30000


def test_the_demo_needs_a_step():
    with pytest.raises(errors.InvalidOptionError, match="steps=0"):
        train.run(steps=0)


def test_a_rate_of_one_is_refused():
    with pytest.raises(errors.InvalidRateError, match=r"1\.0"):
        train.run(steps=1, weight_decay=1.0)


@pytest.fixture
def weights():
    rng = np.random.RandomState(0)
    before = rng.randn(1000).astype(np.float32)
    return before, before - (1e-3 * rng.rand(1000)).astype(np.float32)


def test_a_decay_of_the_updated_weights_is_recognized(weights):
    before, stepped = weights
    assert applied_rule(before, stepped, stepped - np.float32(0.01) * stepped, 0.01) == UPDATED


def test_a_decay_of_the_old_weights_is_recognized(weights):
    before, stepped = weights
    assert applied_rule(before, stepped, stepped - np.float32(0.01) * before, 0.01) == OLD


def test_a_single_weight_that_did_not_decay_is_enough_for_no_rule(weights):
    before, stepped = weights
    after = stepped - np.float32(0.01) * stepped
    after[500] = stepped[500]
    assert applied_rule(before, stepped, after, 0.01) == NEITHER


def test_another_rate_is_another_rule(weights):
    before, stepped = weights
    assert applied_rule(before, stepped, stepped - np.float32(0.0101) * stepped, 0.01) == NEITHER


def test_no_rule_is_claimed_where_the_step_is_too_small_to_tell(weights):
    before, _ = weights
    assert applied_rule(before, before, before - np.float32(0.01) * before, 0.01) == UNTOLD
