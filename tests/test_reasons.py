"""Reasons are values: no code reads a sentence to decide something, and errors carry what they are about."""

from __future__ import annotations

import ast
import json
import pathlib
import pickle

import pytest

import tf1_wd
from tf1_wd import errors
from tf1_wd._tf import tf
from tf1_wd.commands.migrate.from_plan import from_plan
from tf1_wd.plan.reasons import Fate, Note, Reason, stored_own_steps, stored_reason

PACKAGE = pathlib.Path(errors.__file__).resolve().parent
# what is written for people, by the names that variables and attributes with it have
SENTENCES = {"fate", "how", "message", "note", "problem", "reason", "said", "sentence", "why", "words"}
CUTS = {"endswith", "startswith", "split", "rsplit", "partition", "rpartition", "find", "index", "removeprefix"}
# Plans in JSON may hold texts alone. NumPy raises one ValueError for many reasons.
ALLOWED = {"plan/reasons.py": 2, "legacy/repairs/numpy_scipy.py": 1}


def name_of(node):
    """What an expression is called: the last name or key of it; "str(error)" for the message of an error."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        key = getattr(node.slice, "value", node.slice)  # ast.Index before Python 3.9
        key = getattr(key, "value", getattr(key, "s", key))
        return key if isinstance(key, str) else None
    if isinstance(node, ast.Call) and name_of(node.func) == "str" and len(node.args) == 1:
        return "message" if name_of(node.args[0]) in {"error", "again", "raised", "warning", *SENTENCES} else None
    return None


def is_sentence(node):
    return name_of(node) in SENTENCES


def is_text(node):
    """True for words, and for what is called as a constant is."""
    value = getattr(node, "value", getattr(node, "s", None))
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return any(map(is_text, node.elts))
    return (isinstance(value, str) and value != "") or (name_of(node) or "").lstrip("_").isupper()


def decisions_on_words(source):
    """Lines of a module that compare, search or cut what is written for people."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            by_value = all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)
            if not by_value and any(map(is_sentence, sides)) and any(map(is_text, sides)):
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CUTS:
            yield from [node.lineno] if is_sentence(node.func.value) else []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_code_reads_a_sentence_to_decide_something(path):
    where = path.relative_to(PACKAGE).as_posix()
    found = list(decisions_on_words(path.read_text()))
    assert len(found) == ALLOWED.get(where, 0), found


@pytest.mark.parametrize(
    "line",
    [
        "d.why.endswith(ZERO)",
        "if fate == NOT_APPLIED: pass",
        "v['why'].endswith(NOT_TRAINED)",
        "'its own SGD step' in fate",
        "d.why == FROZEN",
        "note == REGULARIZED",
        "' times' in how and other",
        "reason.split(' ', 4)[4]",
        "str(error).split(':')[0]",
        "'memory' in str(error)",
    ],
)
def test_a_decision_on_words_is_found(line):
    assert list(decisions_on_words(line)) == [1]


@pytest.mark.parametrize("line", ["d.reason is Reason.FROZEN", "fate is Fate.OWN_STEP", "why == ''", "x.split(':')"])
def test_a_decision_on_a_value_is_none(line):
    assert list(decisions_on_words(line)) == []


# --- plans


def variable(name, shape=(2,)):
    return tf.get_variable(name, initializer=tf.ones(shape))


def plan_of(build, **options):
    with tf.Graph().as_default(), tf1_wd.decoupled_weight_decay(**options) as scope:
        build()
    return scope.plan


def trained(loss):
    return tf.train.GradientDescentOptimizer(0.1).minimize(loss)


def build_some():
    a, b, c, d = (variable(name) for name in "abcd")
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(c))
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(tf.abs(a)))
    trained(tf.reduce_sum(a * b * c * d) + 0.1 * tf.nn.l2_loss(a) + 0.0 * tf.nn.l2_loss(d))


def test_each_variable_has_its_reason_as_a_value():
    plan = plan_of(build_some, exclude="b")
    reasons = {d.name: d.reason for d in plan.decays}
    assert reasons == {
        "a": Reason.LOSS,
        "b": Reason.EXCLUDED,
        "c": Reason.COLLECTION,
        "d": Reason.ZERO_RATE,
    }
    assert [fate for _, fate in plan.terms] == [Fate.OWN_STEP]


def test_rates_that_are_given_and_left_out_have_theirs():
    plan = plan_of(build_some, rates={"a|c": 0.1}, include=["a", "b"], source="collection")
    assert {d.name: d.reason for d in plan.decays} == {
        "a": Reason.GIVEN,
        "b": Reason.NO_RATE,
        "c": Reason.NOT_INCLUDED,
        "d": Reason.NOT_INCLUDED,
    }


def test_a_plan_in_json_says_them_as_codes():
    stored = json.loads(json.dumps(plan_of(build_some, exclude="b").as_dict()))
    assert [v["reason"] for v in stored["variables"]] == ["loss", "excluded", "collection", "zero_rate"]
    assert stored_reason(stored["variables"][0]) is Reason.LOSS
    assert list(stored["fates"].values()) == ["own_step"]
    assert stored_own_steps(stored) == list(stored["terms"].items())
    assert len(from_plan(stored, "sgd", 0.1).differences) == 1


def test_a_plan_in_json_without_codes_is_read_by_its_words():
    stored = plan_of(build_some, exclude="b").as_dict()
    del stored["fates"]
    for v in stored["variables"]:
        del v["reason"]
    stored["variables"][1]["why"] = "penalty in the loss, but no update of this scope trains it"
    stored["variables"][2]["why"] = "rates=0.1, but no gradient reaches it"
    found = [stored_reason(v) for v in stored["variables"]]
    assert found == [None, Reason.NO_UPDATE, Reason.NO_GRADIENT, None]
    assert stored_own_steps(stored) == list(stored["terms"].items())


def test_a_reason_that_there_is_not_is_refused():
    with pytest.raises(tf1_wd.InvalidOptionError, match="'whim' of variable w is unknown") as caught:
        stored_reason({"name": "w", "why": "", "reason": "whim"})
    assert caught.value.variable == "w"


@pytest.mark.parametrize("value", [*Fate, *Note], ids=lambda value: value.name)
def test_what_is_said_prints_as_its_text(value):
    assert str(value) == "%s" % value == f"{value}" == value.value
    assert json.loads(json.dumps(value)) == value.value


# --- errors


@pytest.mark.parametrize(
    "kind", [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.Tf1WdError)]
)
def test_an_error_carries_what_it_is_about(kind):
    error = kind("w: no", variable="w", pattern="'x'", option="rates", reason="no")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "w: no"
        assert (one.variable, one.pattern, one.option, one.reason) == ("w", "'x'", "rates", "no")
    assert (kind("no").variable, kind("no").reason) == (None, None)
    of_gradient = kind.of_gradient("w", "is lost")
    assert (str(of_gradient), of_gradient.reason) == ("the gradient of w is lost", "its gradient is lost")


def test_a_pattern_without_match_is_in_the_error():
    with pytest.raises(tf1_wd.NoMatchError) as caught:
        plan_of(build_some, exclude="kernel")
    assert (caught.value.pattern, caught.value.option) == ("'kernel'", "exclude")


def test_a_rate_out_of_range_names_its_variable():
    with pytest.raises(tf1_wd.InvalidRateError) as caught:
        plan_of(lambda: trained(tf.reduce_sum(variable("w")) + 2.0 * tf.nn.l2_loss(variable("v"))), rates={"w": 0.1})
    assert caught.value.variable == "v"


def test_an_error_about_a_gradient_names_its_variable():
    def build():
        w = variable("w")
        gradient = tf.gradients(tf.reduce_sum(w) + tf.nn.l2_loss(w), w)[0]
        kept = variable("kept")
        tf.train.GradientDescentOptimizer(0.1).apply_gradients([(tf.assign_add(kept, gradient), w)])

    with pytest.raises(tf1_wd.AmbiguousRateError) as caught:
        plan_of(build)
    assert caught.value.variable == "w"
    assert caught.value.reason.startswith("its gradient goes through")
