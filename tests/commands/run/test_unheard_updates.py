"""Updates that no optimizer of the program has made: an imported graph, ops of the program's own, tf1_wd.attach."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from support import oracle, programs
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, one_step
from tf1_wd.errors import NothingUpdatedError

IMPORTED = """\
with tf.Graph().as_default(), tf.Session() as session:
    saver = tf.train.import_meta_graph({path!r} + ".meta")
    session.run(tf.global_variables_initializer())
    w = tf.trainable_variables()[0]
"""
STEP = """\
    try:
        session.run(tf.get_collection("train")[0])
    except Exception as error:
        caught = type(error).__name__
    result = session.run(w)
"""


@pytest.fixture
def path(kind, tmp_path):
    """Where a graph with L2 in its loss was exported, without a scope; its train_op is in the collection "train"."""
    with tf.Graph().as_default(), tf.variable_scope(tf.get_variable_scope(), use_resource=kind == "resource"):
        w = programs.weights()
        loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
        tf.add_to_collection("loss", data_loss(w))
        tf.add_to_collection("train", tf.train.AdamOptimizer(LR).minimize(loss))
        tf.train.export_meta_graph(str(tmp_path / "model.meta"))
    return str(tmp_path / "model")


def test_an_imported_graph_that_trains_by_itself_is_refused_before_its_first_step(execute, path):
    result, program, plans = execute(IMPORTED.format(path=path) + STEP, train="")
    assert isinstance(result.error, NothingUpdatedError)
    assert "execute the program that builds and exports it by tf1-wd run" in str(result.error)
    assert (plans, program["caught"]) == ([], "NothingUpdatedError")
    assert_close(program["result"], W0)  # though the program goes on


def test_an_imported_graph_to_which_the_program_adds_its_optimizer_decays(execute, path):
    own = """\
    loss = tf.get_collection("loss")[0] + RATE * tf.nn.l2_loss(w)
    train_op = tf.train.GradientDescentOptimizer(LR).minimize(loss)
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    trained = session.run(w)
"""
    result, program, (plan,) = execute(IMPORTED.format(path=path) + own, train="", convention="snippet")
    assert [d.name for d in plan.decaying] == ["w"]
    assert result.error is None
    assert_close(program["trained"], one_step())
    result, program, _ = execute(IMPORTED.format(path=path) + own + STEP, train="", convention="snippet")
    assert isinstance(result.error, NothingUpdatedError)
    assert_close(program["result"], one_step())  # of the imported update nothing


def test_an_op_of_the_programs_own_is_refused_before_its_first_step(execute, kind):
    name, w = ("ResourceApply", "w.handle") if kind == "resource" else ("Apply", "w._ref()")
    step = "tf.raw_ops.%sGradientDescent(var=%s, alpha=tf.constant(LR, tf.float64), delta=tf.constant(W0))" % (name, w)
    result, program, _ = execute("w = weights()\ntrain_op = %s\n" % step, rates=RATE)
    assert isinstance(result.error, NothingUpdatedError)
    assert "w is updated by " in str(result.error)
    assert "tf1_wd.attach(train_op, rates=...)" in str(result.error)
    assert "result" not in program


@pytest.mark.parametrize("update", ["of its own", "of tf.train"])
def test_a_decay_that_the_program_attaches_wins(execute, update, kind):
    name, w = ("ResourceApply", "w.handle") if kind == "resource" else ("Apply", "w._ref()")
    steps = {
        "of its own": "tf.raw_ops.%sGradientDescent(var=%s, alpha=tf.constant(LR, tf.float64), delta=gradient)"
        % (name, w),
        "of tf.train": "tf.train.GradientDescentOptimizer(LR).minimize(data_loss(w))",
    }
    lines = """\
    import tf1_wd
    w = weights()
    gradient = tf.gradients(data_loss(w), w)[0]
    train_op = tf1_wd.attach(%s, rates=RATE)
    """
    result, program, plans = execute(lines % steps[update])
    assert (result.error, result.raised, plans, result.has_own_scope) == (None, None, [], True)
    assert_close(program["result"][0], oracle.train("sgd", LR, W0, gradient, 5, "after", RATE))
