"""Untouched programs, executed with true decay: their weights against NumPy, and what is said of them."""

from __future__ import annotations

import textwrap
import warnings

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import config_pb2

from support import oracle
from support.executing import IN_THE_COLLECTION, L2_IN_THE_LOSS, TRAIN, adamw
from support.programs import LR, RATE, W0, assert_close, gradient
from tf1_wd import _tf
from tf1_wd.commands.run import run as runner
from tf1_wd.decay.scope.closing import ALL_ZERO
from tf1_wd.errors import AlreadyDecoupledError, NothingToDecayError, NothingUpdatedError
from tf1_wd.plan.reasons import Reason


def test_l2_in_the_loss_becomes_adamw(execute, backend):
    result, program, plans = execute(L2_IN_THE_LOSS, backend=backend)
    assert_close(program["result"][0], adamw())
    assert result.error is result.raised is None
    assert [[d.name for d in plan.decaying] for plan in plans] == [["w"]]
    assert result.plans == plans


def test_options_say_how_it_decays(execute):
    _, program, _ = execute(L2_IN_THE_LOSS, convention="snippet", rates={"w": 2 * RATE})
    assert_close(program["result"][0], oracle.train("adam", LR, W0, gradient, 5, "after", 2 * RATE))


def test_a_penalty_that_was_never_added_is_not_switched_on(execute):
    result, program, _ = execute(IN_THE_COLLECTION)
    assert isinstance(result.error, NothingToDecayError)
    assert "source" in str(result.error)
    assert "result" not in program  # it did not train


def test_a_coefficient_of_zero_is_named_and_trains_as_it_is(execute):
    result, program, plans = execute(L2_IN_THE_LOSS.replace("RATE *", "0.0 *"))
    assert result.error is None
    assert result.warnings == [ALL_ZERO]
    assert [d.reason for d in plans[0].decays] == [Reason.ZERO_RATE]
    assert_close(program["result"][0], adamw(rate=0.0))


def test_a_sweep_goes_on_after_a_coefficient_of_zero(execute):
    turn = textwrap.indent(L2_IN_THE_LOSS.replace("RATE *", "rate *") + TRAIN, "        ")
    graph = "    with tf.Graph().as_default():\n        tf.get_variable_scope().set_use_resource(resource)\n" + turn
    lines = "results = []\nfor rate in (0.0, RATE, 0.0):\n" + graph + "        results.append(result[0])\n"
    result, program, plans = execute(lines, train="")
    assert result.error is None
    assert [len(plan.decaying) for plan in plans] == [0, 1, 0]
    for weights, rate in zip(program["results"], (0.0, RATE, 0.0)):
        assert_close(weights, adamw(rate=rate))


def test_a_sweep_may_build_its_first_graph_without_a_penalty(execute):
    model = L2_IN_THE_LOSS.replace(" + RATE * tf.nn.l2_loss(w)", "\nif rate:\n    loss += rate * tf.nn.l2_loss(w)")
    turn = textwrap.indent(model + TRAIN, "        ")
    graph = "    with tf.Graph().as_default():\n        tf.get_variable_scope().set_use_resource(resource)\n" + turn
    lines = "results = []\nfor rate in %s:\n" + graph + "        results.append(result[0])\n"
    result, program, _ = execute(lines % "(0.0, RATE)", train="")
    assert (result.error, result.warnings) == (None, [runner._WITHOUT])
    for weights, rate in zip(program["results"], (0.0, RATE)):
        assert_close(weights, adamw(rate=rate))
    result, program, _ = execute(lines % "(0.0, 0.0)", train="")
    assert isinstance(result.error, NothingToDecayError)  # once it ended, as nothing decayed in all of it
    assert_close(program["results"][1], adamw(rate=0.0))


def test_a_program_that_names_no_l2_stops_before_its_first_step(execute):
    result, program, _ = execute("w = weights()\ntrain_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w))\n")
    assert isinstance(result.error, NothingToDecayError)
    assert "result" not in program


def test_a_rate_of_another_variable_is_no_reason_to_go_on(execute):
    more = "u = weights('u', regularizer=l2())\nloss += tf.reduce_sum(u) + RATE * tf.nn.l2_loss(u)\n"
    lines = L2_IN_THE_LOSS.replace("RATE *", "0.0 *").replace("train_op", more + "train_op")
    result, program, _ = execute(lines, exclude="u")
    assert isinstance(result.error, NothingToDecayError)
    assert "result" not in program


def test_a_penalty_that_was_never_added_decays_when_asked_for(execute):
    _, program, _ = execute(IN_THE_COLLECTION, source="collection")
    assert_close(program["result"][0], adamw())


GRAPH = textwrap.indent("tf.get_variable_scope().set_use_resource(resource)\n" + L2_IN_THE_LOSS + TRAIN, "    ")


@pytest.mark.parametrize(
    "lines",
    [
        "with tf.Graph().as_default():\n" + GRAPH,
        "import threading\ndef main():\n    global result\n%sthread = threading.Thread(target=main)\nthread.start()\n"
        % GRAPH,
    ],
    ids=["in a graph of its own", "in a thread"],
)
def test_the_graph_may_be_made_anywhere(execute, lines):
    _, program, _ = execute(lines, train="")
    assert_close(program["result"][0], adamw())


def test_each_of_two_graphs_decays(execute):
    half = "with tf.Graph().as_default():\n%s    results.append(result[0])\n" % GRAPH
    result, program, plans = execute("results = []\n" + half + half, train="")
    assert len(plans) == len(result.plans) == 2
    for weights in program["results"]:
        assert_close(weights, adamw())


def test_an_update_that_is_added_after_training_began_decays_and_is_reported(execute):
    more = """\
    v = weights("v")
    train_op = tf.group(train_op, tf.train.AdamOptimizer(LR).minimize(data_loss(v) + RATE * tf.nn.l2_loss(v)))
    """
    result, program, plans = execute(L2_IN_THE_LOSS + TRAIN + textwrap.dedent(more))
    assert result.raised is None
    assert [len(plan.decaying) for plan in plans] == [1, 2]
    assert [len(plan.decaying) for plan in result.plans] == [2]
    for weights in program["result"]:
        assert_close(weights, adamw())


@pytest.mark.parametrize(
    "loop",
    [
        "step = session.make_callable(train_op)\n    [step() for _ in range(5)]",
        "step = session.partial_run_setup([value], [])\n    session.partial_run(step, value)\n"
        "    [session.run(value) for _ in range(4)]",
        "[session.run({'a': [train_op, loss]}) for _ in range(5)]",
        "[train_op.run() for _ in range(5)]",
    ],
)
def test_every_way_to_run_a_step_is_seen(execute, loop):
    train = TRAIN.replace("for _ in range(5):\n        session.run(train_op)", loop)
    value = "with tf.control_dependencies([train_op]):\n    value = tf.identity(loss)\n"
    result, program, plans = execute(L2_IN_THE_LOSS + value, train=train)
    assert result.raised is None
    assert len(plans) == 1
    assert_close(program["result"][0], adamw())


def test_a_monitored_session_is_seen(execute):
    train = """\
with tf.train.MonitoredTrainingSession() as session:
    for _ in range(5):
        session.run(train_op)
    result = session.run(tf.trainable_variables())
"""
    _, program, plans = execute("tf.train.create_global_step()\n" + L2_IN_THE_LOSS, train=train)
    assert len(plans) == 1
    assert_close(program["result"][0], adamw())


def test_evaluation_before_training_is_no_training(execute):
    train = TRAIN.replace("    for _", "    session.run(loss); reported.append(1); session.run(loss)\n    for _")
    result, _, plans = execute("reported = []\n" + L2_IN_THE_LOSS, train=train)
    assert len(plans) == 1
    assert result.error is None


def test_a_train_op_that_never_ran_is_no_error(execute):
    result, _, plans = execute(L2_IN_THE_LOSS, train="with tf.Session() as session:\n    session.run(tf.no_op())\n")
    assert (result.error, result.plans, plans) == (None, [], [])


def test_a_program_that_updates_nothing_is_an_error(execute):
    result, _, _ = execute("c = tf.constant(1.0)\n", train="with tf.Session() as session:\n    session.run(c)\n")
    assert isinstance(result.error, NothingUpdatedError)
    assert "--decay off" in str(result.error)


def test_a_program_that_prints_its_help_is_no_error(execute):
    result, _, _ = execute("sys.exit(0)\n", train="")
    assert result.error is None
    assert result.raised.code == 0


def test_an_error_of_tf1_wd_counts_even_if_the_program_catches_it(execute):
    lines = "try:\n%s\nexcept Exception:\n    train_op = tf.no_op()\n" % textwrap.indent(
        L2_IN_THE_LOSS
        + "session = tf.Session()\nsession.run(tf.global_variables_initializer())\nsession.run(train_op)",
        "    ",
    )
    result, _, _ = execute(lines, exclude="w", train="")
    assert isinstance(result.error, NothingToDecayError)


def test_own_decay_is_refused_before_the_first_step(execute):
    own = "with tf.control_dependencies([train_op]):\n    train_op = tf.assign_sub(w, 0.05 * w.read_value())\n"
    result, program, plans = execute(L2_IN_THE_LOSS + own)
    assert isinstance(result.error, AlreadyDecoupledError)
    assert plans == []
    assert "result" not in program


def test_a_refused_graph_never_trains_though_the_program_catches_the_refusal(execute):
    catching = """\
import threading
own = tf.assign_sub(w, 0.05 * w)
caught = []
def train():
    for _ in range(2):
        try:
            session.run(train_op)
        except Exception as error:
            caught.append(type(error).__name__)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    threads = [threading.Thread(target=train) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    result = session.run(w)
"""
    result, program, _ = execute(L2_IN_THE_LOSS + catching, train="")
    assert isinstance(result.error, AlreadyDecoupledError)
    assert program["caught"] == ["AlreadyDecoupledError"] * 6
    np.testing.assert_array_equal(program["result"], W0.astype(np.float32))


def test_own_decay_without_any_l2_is_told_instead_of_a_rate_that_would_be_refused(execute):
    own = "decay = tf.assign(w, 0.95 * w)\n"
    result, program, _ = execute(L2_IN_THE_LOSS.replace("RATE * tf.nn.l2_loss(w)", "0.0") + own)
    assert isinstance(result.error, AlreadyDecoupledError)
    assert "w (in " in str(result.error)
    assert "result" not in program


def test_gradients_that_are_applied_in_numpy_are_refused(execute):
    lines = "w = weights()\ngradient = tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)\n"
    result, _, _ = execute(lines, train=TRAIN.replace("train_op", "gradient"))
    assert isinstance(result.error, NothingUpdatedError)
    assert "NumPy" in str(result.error)


def test_gradients_by_inputs_are_no_training(execute):
    lines = "x = tf.constant(W0)\nw = weights()\ntrain_op = tf.gradients(data_loss(x) + RATE * tf.nn.l2_loss(w), x)\n"
    result, program, _ = execute(lines)
    np.testing.assert_array_equal(program["result"][0], W0)
    assert isinstance(result.error, NothingUpdatedError)  # of the program as a whole, once it ended
    assert "ran to its end" in str(result.error)


def test_a_scope_of_the_program_wins(execute):
    lines = """\
    import tf1_wd
    w = weights()
    with tf1_wd.decoupled_weight_decay(rates=0.25):
        train_op = tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))
    """
    result, program, plans = execute(lines)
    assert_close(program["result"][0], oracle.train("sgd", LR, W0, gradient, 5, "after", 0.25))
    assert (result.error, plans, result.has_own_scope) == (None, [], True)


@pytest.mark.parametrize(
    ("error", "alike"),
    [("NothingToDecayError", True), ("MissingPackageError", True), ("NestedScopeError", False)],
)
def test_an_error_that_ends_the_program_without_us_too_is_told_from_a_refusal(execute, error, alike):
    result, _, _ = execute("import tf1_wd.errors\nraise tf1_wd.errors.%s('its own')\n" % error, train="")
    assert (type(result.error).__name__, result.fails_alike) == (error, alike)
    assert not execute(IN_THE_COLLECTION)[0].fails_alike


def test_a_decay_of_the_programs_own_is_not_answered_with_a_rate(execute):
    own = "own = tf.assign(w, 0.75 * w)\ntrain_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w))\n"
    result, program, _ = execute("w = weights()\n" + own)
    assert isinstance(result.error, AlreadyDecoupledError)
    assert "result" not in program
    result, _, _ = execute(
        "u = weights('u')\ntrain_op = tf.train.FtrlOptimizer(LR, l2_regularization_strength=0.1)\n"
        "train_op = train_op.minimize(data_loss(u))\n"
    )
    assert isinstance(result.error, AlreadyDecoupledError)


def test_what_looks_like_decay_and_is_not_applied_is_reported(execute):
    lines = """\
    w = weights()
    x = tf.placeholder_with_default(W0, W0.shape)
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.nn.l2_loss(x * w))
    train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w) + RATE * tf.nn.l2_loss(w))
    """
    with warnings.catch_warnings(record=True) as caught:
        result, _, _ = execute(lines)
    assert not caught
    assert len(result.warnings) == 1
    assert "of the loss collection depends on inputs and is not in the loss" in result.warnings[0]


def test_tensorflow_is_as_before_afterwards(execute):
    before = tf.train.Optimizer.apply_gradients, tf.Session.run, tf.Session.make_callable
    execute(L2_IN_THE_LOSS)
    assert (tf.train.Optimizer.apply_gradients, tf.Session.run, tf.Session.make_callable) == before
    w = tf.get_variable("u", initializer=W0)
    (plain,) = tf.gradients(RATE * tf.nn.l2_loss(w), w)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert_close(session.run(plain), RATE * W0)


@pytest.mark.parametrize("passed", ["whole loss", "penalty"])
def test_l2_that_goes_through_a_function_is_named_and_is_no_crash(execute, passed):
    lines = """\
    from tensorflow.python.framework import function

    @function.Defun(tf.float64)
    def through(x):
        return x * 1.0

    w, v = weights(), weights("v")
    l2_of_w, data = RATE * tf.nn.l2_loss(w), data_loss(w) + data_loss(v) + RATE * tf.nn.l2_loss(v)
    loss = %s
    train_op = tf.train.AdamOptimizer(LR).minimize(loss)
    """
    whole = passed == "whole loss"
    result, program, _ = execute(lines % ("through(data + l2_of_w)" if whole else "data + through(l2_of_w)"))
    if whole:
        assert isinstance(result.error, NothingToDecayError)
        assert "L2 in, or through, functions is not counted: " in str(result.error)
    else:
        assert_close(program["result"][1], adamw())
        assert any("holds L2 or is given it: it stays in the gradient" in text for text in result.warnings)


def test_a_graph_that_was_exported_decays_when_it_is_imported(execute, tmp_path, backend):
    saver = "saver = tf.train.Saver()\ntf.add_to_collection('train', train_op)\n"
    path = str(tmp_path / "model")
    execute(L2_IN_THE_LOSS + saver, train=TRAIN + "    saver.save(session, %r)\n" % path, backend=backend)
    lines = """\
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(%r)
        saver.restore(session, %r)
        session.run(tf.get_collection("train")[0])
        (result,) = session.run(tf.trainable_variables())
    """ % (path + ".meta", path)
    result, program, plans = execute(lines, train="", backend=backend)
    assert (result.error, result.raised, plans, result.has_own_scope) == (None, None, [], True)
    assert_close(program["result"], adamw(steps=6))


def test_each_call_of_a_callable_is_seen_before_it_runs():
    w = tf.get_variable("watched", initializer=0.0)
    step, seen = tf.assign_add(w, 1.0), []
    with _tf.patched_sessions(lambda tf_graph, ops: seen.append([op.type for op in ops])), tf.Session() as session:
        session.run(w.initializer)
        options = config_pb2.CallableOptions()
        options.target.append(step.op.name)
        by_options, by_fetches = session._make_callable_from_options(options), session.make_callable(step)
        del seen[:]
        for call in (by_options, by_fetches, by_options):
            call()
            assert len(seen) == 1
            assert "Assign" in seen.pop()[0]
        assert session.run(w) == 3.0
