"""Each row of the optimizer table, held against the optimizer that tf.train builds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tf1_wd import graph
from tf1_wd.commands.migrate.reading.optimizer_settings import settings_of
from tf1_wd.errors import MigrationError
from tf1_wd.graph.assignments import gradient_of, written_variable
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.update_ops import (
    is_plain,
    kind_of,
    learning_rate_input,
    op_ignores_weights,
    row_of,
    step_ignores_weights,
)
from tf1_wd.plan.optimizer_table import ROWS

LR = 0.25
GRADIENT = [0.5, -1.0, 2.0]
# optimizer: arguments of its class, the settings that they are in Keras, its class there or "", is L2 under it decay
CASES = {
    "sgd": ({}, {}, "SGD", True),
    "momentum": ({"momentum": 0.8, "use_nesterov": True}, {"momentum": 0.8, "nesterov": True}, "SGD", True),
    "adam": (
        {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-3},
        {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3},
        "Adam",
        False,
    ),
    "rmsprop": (
        {"decay": 0.8, "momentum": 0.5, "epsilon": 1e-3, "centered": True},
        {"rho": 0.8, "momentum": 0.5, "epsilon": 1e-3, "centered": True, "initial_mean_square": 1.0},
        "RMSprop",
        False,
    ),
    "adagrad": ({"initial_accumulator_value": 0.5}, {"initial_accumulator_value": 0.5}, "Adagrad", False),
    "adadelta": ({"rho": 0.8, "epsilon": 1e-3}, {"rho": 0.8, "epsilon": 1e-3}, "Adadelta", False),
    "ftrl": (
        {
            "learning_rate_power": -0.4,
            "initial_accumulator_value": 0.5,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
        },
        {
            "learning_rate_power": -0.4,
            "initial_accumulator_value": 0.5,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
        },
        "Ftrl",
        False,
    ),
}
ROW = {row.name: row for row in ROWS}
MIGRATED = [name for name in CASES if ROW[name].keras_class]
REQUIRED = {"momentum": {"momentum": 0.9}}  # what has no default in tf.train
OF_KERAS = ("KerasMomentum", "AdagradV2", "FtrlV2")  # kernels that no optimizer of tf.train runs


def built(name, **arguments):
    return getattr(tf.train, ROW[name].class_name)(learning_rate=LR, **arguments)


def updated(optimizer, value=(1.0, 2.0, 3.0), gradient=GRADIENT):
    """(a new variable, the ops that update it, the train_op)."""
    variable = tf.get_variable("w%d" % len(tf.global_variables()), initializer=np.float32(value))
    if not isinstance(gradient, tf.IndexedSlices):
        gradient = tf.constant(gradient, variable.dtype.base_dtype)
    before = set(tf.get_default_graph().get_operations())
    train_op = optimizer.apply_gradients([(gradient, variable)])
    holder = graph.variable_op(variable)
    made = [op for op in tf.get_default_graph().get_operations() if op not in before]
    return variable, [op for op in made if written_variable(op) is holder], train_op


def step_from(optimizer, value):
    """What three updates add to a variable that starts at `value`."""
    variable, _, train_op = updated(optimizer, value)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train_op)
        return session.run(variable) - np.array(value)


def test_each_row_has_a_case():
    assert set(CASES) == {row.name for row in ROWS if row.class_name}


@pytest.mark.parametrize("name", CASES)
def test_the_op_tells_its_row(name, kind):
    arguments, _, keras_class, is_like_sgd = CASES[name]
    _, (op,), _ = updated(built(name, **arguments))
    row = row_of(op)
    assert row is ROW[name]
    assert kind_of(op) in row.kernels
    assert Constants().number(learning_rate_input(op)) == LR
    assert graph.argument(op, (row.learning_rate,)) is learning_rate_input(op)
    assert gradient_of(op).shape == [3]
    assert row.keras_class == keras_class
    assert is_plain(kind_of(op)) is is_plain(row.class_name) is row.is_plain is is_like_sgd


@pytest.mark.parametrize("name", MIGRATED)
def test_settings_are_read_off(name, kind):
    arguments, settings, _, _ = CASES[name]
    _, (op,), _ = updated(built(name, **arguments))
    read = settings_of(op, Constants())
    assert (read.optimizer, read.learning_rate) == (name, LR)
    assert dict(read.values) == pytest.approx(settings, rel=1e-6)


@pytest.mark.parametrize("name", MIGRATED)
def test_defaults_are_those_of_tf_train(name, kind):
    required = REQUIRED.get(name, {})
    _, (op,), _ = updated(built(name, **required))
    assert dict(settings_of(op, Constants()).values) == pytest.approx({**ROW[name].settings, **required}, rel=1e-6)
    assert {setting for setting, default in ROW[name].settings.items() if default is None} == set(required)


@pytest.mark.parametrize("name", MIGRATED)
def test_keras_takes_the_settings(name):
    settings = {key: value for key, value in CASES[name][1].items() if key != "initial_mean_square"}
    made = getattr(tf.keras.optimizers, ROW[name].keras_class)(learning_rate=LR, **settings)
    config = made.get_config()
    assert {key: config[key] for key in settings} == pytest.approx(settings)


@pytest.mark.parametrize("name", CASES)
def test_whether_the_step_reads_the_weights(name, kind):
    arguments = CASES[name][0]
    optimizer = built(name, **arguments)
    ignores = np.allclose(
        step_from(optimizer, (1.0, 2.0, 3.0)), step_from(built(name, **arguments), (2.0, 3.0, 4.0)), rtol=0, atol=1e-5
    )
    _, (op,), _ = updated(optimizer)
    assert ignores is not ROW[name].step_reads_weights
    assert ignores is step_ignores_weights(type(optimizer)) is op_ignores_weights(op)


@pytest.mark.parametrize("name", CASES)
def test_slots_are_variables_of_the_optimizer(name, kind):
    _, (op,), _ = updated(built(name, **CASES[name][0]))
    slots = {d.name for d, t in zip(op.op_def.input_arg, op.inputs) if graph.read_source(t) is not None}
    assert slots - {"var"} == set(ROW[name].slots)


@pytest.mark.parametrize("name", CASES)
def test_rows_of_tables(name, kind):
    slices = tf.IndexedSlices(tf.constant([0.5]), tf.constant([1]), tf.constant([3]))
    _, ops, _ = updated(built(name, **CASES[name][0]), gradient=slices)
    row = ROW[name]
    if row.sparse_assignments:
        assert {row_of(op) for op in ops} == {None}
        assert all(op.type.replace("Resource", "").startswith(row.sparse_assignments) for op in ops)
    else:
        assert [row_of(op) for op in ops] == [row]
        assert all("Sparse" in op.type for op in ops)


@pytest.mark.parametrize("name", CASES)
def test_a_class_derived_from_a_known_one_is_not_known(name):
    known = getattr(tf.train, ROW[name].class_name)
    assert not step_ignores_weights(type(known.__name__, (known,), {}))


def test_keras_momentum_ignores_weights_and_is_not_migrated():
    lr, gradient, momentum = (tf.constant(number, tf.float64) for number in (LR, 4.0, 0.5))
    for value in (1.0, 2.0):
        w, accum = (tf.Variable(v, use_resource=True, dtype=tf.float64) for v in (value, 0.5))
        update = tf.raw_ops.ResourceApplyKerasMomentum(
            var=w.handle, accum=accum.handle, lr=lr, grad=gradient, momentum=momentum
        )
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(update)
            assert session.run(w) - value == 0.5 * 0.5 - LR * 4.0
    assert op_ignores_weights(update)
    assert is_plain("KerasMomentum")
    with pytest.raises(MigrationError, match="no optimizer of Keras"):
        settings_of(update, Constants())


def test_kernels_that_only_keras_runs_are_named():
    run = {kind_of(updated(built(n, **a))[1][0]) for n, (a, *_) in CASES.items()}
    run |= {kind_of(updated(built(n, **REQUIRED.get(n, {})))[1][0]) for n in CASES}
    assert {kernel for row in ROWS for kernel in row.kernels} - run <= set(OF_KERAS)


def test_an_assignment_has_no_row():
    w = tf.get_variable("w", initializer=1.0, use_resource=False)
    op = tf.assign_sub(w, 0.5).op
    assert (kind_of(op), row_of(op), op_ignores_weights(op), is_plain(kind_of(op))) == ("AssignSub", None, False, True)
    assert settings_of(op, Constants()) is None
