"""A learning rate that the graph tells is code: a function of the number of updates, with the program's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tf1_wd.commands.migrate.reading.schedules import schedule_of
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.walk import predecessors

STEPS = range(45)
PEAK = 0.5


def warmup_and_linear(step):
    """As BERT's optimization.py has it."""
    steps, warm = tf.cast(step, tf.int32), tf.constant(10, tf.int32)
    rate = tf.train.polynomial_decay(PEAK, step, 40, end_learning_rate=0.0)
    done, is_warm = tf.cast(steps, tf.float32) / tf.cast(warm, tf.float32), tf.cast(steps < warm, tf.float32)
    return (1.0 - is_warm) * rate + is_warm * (PEAK * done)


def noam(step):
    """As the Transformer has it."""
    count = tf.cast(step, tf.float32) + 1.0
    return 64**-0.5 * tf.minimum(tf.rsqrt(count), count * 10.0**-1.5)


def halved_by_a_condition(step):
    return tf.cond(step < 10, lambda: tf.constant(PEAK), lambda: PEAK * tf.exp(-0.1 * tf.cast(step, tf.float32)))


def conditions_in_conditions(step):
    step = tf.cast(step, tf.float32)
    inner = lambda: tf.cond(step > 30, lambda: 0.01 * step, lambda: PEAK / (1.0 + step))  # noqa: E731
    return tf.cond(step > 15, inner, lambda: tf.square(step) * 0.001)


SCHEDULES = {
    "exponential": lambda step: tf.train.exponential_decay(PEAK, step, 10, 0.5),
    "exponential, staircase": lambda step: tf.train.exponential_decay(PEAK, step, 10, 0.5, staircase=True),
    "natural exponential": lambda step: tf.train.natural_exp_decay(PEAK, step, 10, 0.5, staircase=True),
    "inverse time": lambda step: tf.train.inverse_time_decay(PEAK, step, 10, 0.5),
    "polynomial": lambda step: tf.train.polynomial_decay(PEAK, step, 20, 0.01, power=0.9),
    "polynomial, in cycles": lambda step: tf.train.polynomial_decay(PEAK, step, 20, 0.01, cycle=True),
    "piecewise constant": lambda step: tf.train.piecewise_constant(step, [7, 13, 30], [PEAK, 0.3, 0.2, 0.05]),
    "piecewise constant, of a float": lambda step: tf.train.piecewise_constant(
        tf.cast(step, tf.float32), [7.5, 13.0], [PEAK, 0.3, 0.2]
    ),
    "choices": lambda step: tf.where(
        tf.logical_or(step < 9, step >= 40), 0.3, tf.where(tf.logical_not(step > 20), 0.1, PEAK)
    ),
    "warmup and pieces": lambda step: tf.cond(
        step < 5, lambda: 0.1 * tf.cast(step, tf.float32), lambda: tf.train.piecewise_constant(step, [9], [PEAK, 0.1])
    ),
    "pieces times a decay": lambda step: (
        tf.train.piecewise_constant(step, [9, 12], [PEAK, 0.1, 0.2]) * tf.train.exponential_decay(PEAK, step, 10, 0.5)
    ),
    "cosine": lambda step: tf.train.cosine_decay(PEAK, step, 30, alpha=0.1),
    "cosine with restarts": lambda step: tf.train.cosine_decay_restarts(PEAK, step, 10, t_mul=1.5, m_mul=0.8),
    "cosine with restarts as long as the first": lambda step: tf.train.cosine_decay_restarts(PEAK, step, 10, t_mul=1.0),
    "linear cosine": lambda step: tf.train.linear_cosine_decay(PEAK, step, 30),
    "warmup and linear": warmup_and_linear,
    "noam": noam,
    "examples seen": lambda step: tf.train.exponential_decay(PEAK, step * 64, 1000, 0.95, staircase=True),
    "whole numbers": lambda step: PEAK / tf.cast(1 + step // 10 + step % 3, tf.float32),
    "a condition": halved_by_a_condition,
    "conditions in conditions": conditions_in_conditions,
    "float64": lambda step: tf.maximum(tf.constant(0.01, tf.float64), 1 / (1 + tf.cast(step, tf.float64))),
    "a choice in float64": lambda step: tf.where(step < 9, tf.constant(0.3, tf.float64), tf.constant(0.1, tf.float64)),
    "a negative number to a power": lambda step: 1.0 + tf.pow(-0.5, tf.cast(step, tf.float32)),
    "a sigmoid": lambda step: tf.div_no_nan(tf.sigmoid(tf.cast(step, tf.float32) / 10.0), tf.constant(2.0)),
    "a reciprocal": lambda step: tf.math.reciprocal(1.0 + tf.cast(step, tf.float32)),
    "an infinite bound": lambda step: tf.minimum(0.1 * tf.cast(step, tf.float32), tf.constant(np.inf)),
    "a cast of a comparison": lambda step: 0.1 + tf.cast(tf.logical_not(step >= 12), tf.float32),
}


class Program:
    """A weight that SGD updates with a learning rate that a schedule makes of the program's counter."""

    def __init__(self, schedule, dtype=tf.int64, use_resource=True, start=0, minimized=None):
        with tf.Graph().as_default() as self.graph, tf.variable_scope("", use_resource=use_resource):
            initial = start() if callable(start) else tf.constant(start, dtype)
            self.counter = tf.get_variable("global_step", initializer=initial, trainable=False)
            self.rate = schedule(self.counter)
            self.weight = tf.get_variable("w", initializer=1.0, dtype=tf.float32)
            rate = tf.cast(self.rate, tf.float32)
            self.optimizer = tf.train.GradientDescentOptimizer(rate)
            loss = 0.5 * tf.square(self.weight)
            self.train_op = (minimized or self.minimize)(self, loss)

    @staticmethod
    def minimize(program, loss):
        return program.optimizer.minimize(loss, program.counter)

    def updates(self):
        return [op for op in self.graph.get_operations() if "ApplyGradientDescent" in op.type]

    def lines(self, run=None):
        return schedule_of(self.rate, self.updates(), Constants(), run)

    def rates(self):
        """The learning rate of each update, as the program takes it."""
        with self.graph.as_default():
            taken = self.updates()[0].inputs[1]
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                return [session.run([taken, self.train_op])[0] for _ in STEPS]


def executed(lines):
    """What a function of these lines returns at each of STEPS."""
    text = "def function(step):\n" + "\n".join("    " + line for line in lines)
    names = {"tf": tf}
    exec(text, names)
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        returned = names["function"](step)
        return [session.run(returned, {step: t}) for t in STEPS]


def assert_is_written(program):
    want, got = program.rates(), executed(program.lines())
    assert len(set(want)) > 1
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)  # 1 + cos, where that is near 0


@pytest.mark.parametrize("use_resource", [False, True], ids=["reference", "resource"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_written_with_the_numbers_of_the_program(name, use_resource):
    assert_is_written(Program(SCHEDULES[name], use_resource=use_resource))


@pytest.mark.parametrize("name", ["exponential", "polynomial, in cycles", "whole numbers", "warmup and linear"])
@pytest.mark.parametrize("dtype", [tf.int32, tf.float32], ids=str)
def test_the_counter_may_have_another_dtype(name, dtype):
    assert_is_written(Program(SCHEDULES[name], dtype))


def test_a_staircase_reads_as_its_formula():
    lines = Program(SCHEDULES["exponential, staircase"]).lines()
    assert lines == ("step = tf.cast(step, tf.float32)", "return 0.5 * (0.5 ** tf.floor(step / 10.0))")


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("piecewise constant", "[7, 13, 30], [0.5, 0.3, 0.2, 0.05]"),
        ("piecewise constant, of a float", "[7, 13], [0.5, 0.3, 0.2]"),
        ("choices", "[8, 20, 39], [0.3, 0.1, 0.5, 0.3]"),
    ],
)
def test_what_is_constant_by_pieces_is_the_schedule_of_keras(name, pieces):
    _, line = Program(SCHEDULES[name]).lines()
    assert line == "return tf.keras.optimizers.schedules.PiecewiseConstantDecay(%s)(step)" % pieces


def test_what_is_used_twice_has_a_line_and_a_name():
    lines = Program(lambda step: tf.train.polynomial_decay(PEAK, step, 20, 0.01, cycle=True)).lines()
    assert len({line.split(" = ")[0] for line in lines}) == len(lines)


def test_a_saver_may_restore_the_counter():
    def saved(program, loss):
        train_op = program.minimize(program, loss)
        tf.train.Saver()
        return train_op

    assert Program(SCHEDULES["cosine"], minimized=saved).lines()


# --- what is no function of the number of updates is left to the reader


def fed(step):
    return tf.placeholder_with_default(PEAK, []) * tf.cast(step, tf.float32)


def set_by_the_program(step):
    return tf.get_variable("rate", initializer=PEAK, trainable=False) * tf.cast(step, tf.float32)


def drawn(step):
    return tf.random.uniform([]) * tf.cast(step, tf.float32)


@pytest.mark.parametrize("schedule", [fed, set_by_the_program, drawn], ids=lambda schedule: schedule.__name__)
def test_more_than_a_counter_is_not_written(schedule):
    assert Program(schedule).lines() == ()


def test_a_counter_that_starts_elsewhere_is_not_one_of_updates():
    assert Program(noam, start=5).lines() == ()


def test_a_counter_that_starts_where_a_checkpoint_ends_is_not_one_of_updates():
    def restored():
        return tf.reshape(
            tf.raw_ops.RestoreV2(prefix="a", tensor_names=["n"], shape_and_slices=[""], dtypes=[tf.int64])[0], []
        )

    assert Program(noam, start=restored).lines() == ()


def counted_by(number):
    def minimized(program, loss):
        update = program.optimizer.minimize(loss)
        with tf.control_dependencies([update]):
            return tf.assign_add(program.counter, number)

    return minimized


def test_a_counter_of_more_than_one_an_update_is_not_one_of_updates():
    assert Program(noam, minimized=counted_by(1)).lines()
    assert Program(noam, minimized=counted_by(2)).lines() == ()


def test_a_counter_may_be_assigned_itself_and_one():
    def assigned(program, loss):
        with tf.control_dependencies([program.optimizer.minimize(loss)]):
            return tf.assign(program.counter, program.counter + 1)

    assert Program(noam, minimized=assigned).lines() == Program(noam).lines()


def not_ordered(program, loss):
    return tf.group(program.optimizer.minimize(loss), tf.assign_add(program.counter, 1))


def counted_twice(program, loss):
    return tf.group(program.minimize(program, loss), tf.assign_add(program.counter, 1))


def set_back(program, loss):
    tf.assign(program.counter, 3)
    return program.minimize(program, loss)


def counted_by_another_update(program, loss):
    other = tf.get_variable("other", initializer=1.0)
    optimizer = tf.train.AdamOptimizer(0.1)
    return tf.group(program.optimizer.minimize(loss), optimizer.minimize(tf.square(other), program.counter))


def never_counted(program, loss):
    return program.optimizer.minimize(loss)


@pytest.mark.parametrize(
    "minimized",
    [not_ordered, counted_twice, set_back, counted_by_another_update, never_counted],
    ids=lambda minimized: minimized.__name__,
)
@pytest.mark.parametrize("use_resource", [False, True])
def test_a_counter_that_is_not_counted_up_behind_each_update_is_not_one_of_updates(minimized, use_resource):
    assert Program(noam, use_resource=use_resource, minimized=minimized).lines() == ()


def test_a_counter_that_the_run_of_the_training_leaves_alone_is_not_one_of_updates():
    program = Program(noam)
    assert program.lines(run=set(predecessors([program.train_op]))) != ()
    assert program.lines(run=set(predecessors(program.updates()))) == ()


def test_an_update_that_may_be_skipped_while_the_counter_goes_on_is_not_one_of_updates():
    def skipped(program, loss):
        update = tf.cond(loss > 0.5, lambda: program.optimizer.minimize(loss), lambda: tf.no_op())
        with tf.control_dependencies([update]):
            return tf.assign_add(program.counter, 1)

    assert Program(noam, minimized=skipped).lines() == ()
