"""Random programs against NumPy: models with penalties in many words, towers, optimizers, conventions, options.

200 of them run with the other tests. More, 2,000 say, as fast as the cores allow:
    TF1_WD_RANDOM_PROGRAMS=2000 pytest tests/programs/test_random_programs.py
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

import tf1_wd
from support import oracle

PROGRAMS = int(os.environ.get("TF1_WD_RANDOM_PROGRAMS", 200))
CHUNKS, LR, STEPS, GIVEN = 10, 0.125, 3, 0.15
SHAPES = [(3,), (2, 3)]
# convention -> (order, what multiplies a rate)
CONVENTIONS = {
    "snippet": ("after", 1.0),
    "adamw": ("before", LR),
    "contrib": ("before", 1.0),
    "paper": ("before", 0.5),
}


def mask(w):
    """Every other element is 0. w: an array or a tensor."""
    shape = tuple(int(n) for n in w.shape)
    return (np.arange(np.prod(shape)) % 2).reshape(shape).astype(w.dtype.name)


def tail(w):
    return np.concatenate([np.zeros_like(w[:1]), w[1:]])


@dataclass(frozen=True)
class Word:
    """A way to write a penalty of one variable.

    build: function of the variable. gradient: its derivative, in NumPy. kind: "multiple" (L2, a multiple of w),
    "linear" (L2, but no multiple) or "other" (not L2).
    """

    build: Callable
    gradient: Callable
    kind: str
    has_form: bool = False


def multiple(build, factor, has_form=False):
    return Word(build, lambda w: factor * w, "multiple", has_form)


WORDS = {
    "l2_loss": multiple(tf.nn.l2_loss, 1.0, True),
    "square": multiple(lambda w: tf.reduce_sum(tf.square(w)), 2.0, True),
    "power": multiple(lambda w: 0.5 * tf.reduce_sum(w**2), 1.0, True),
    "product": multiple(lambda w: tf.reduce_sum(w * w), 2.0, True),
    "norm squared": multiple(lambda w: tf.norm(w) ** 2, 2.0, True),
    "minus": multiple(lambda w: tf.nn.l2_loss(-w), 1.0),
    "reshaped": multiple(lambda w: tf.nn.l2_loss(2.0 * tf.reshape(w, [-1])), 4.0),
    "einsum": multiple(lambda w: tf.einsum("i,i->", tf.reshape(w, [-1]), tf.reshape(w, [-1])), 2.0),
    "prior": multiple(lambda w: 0.5 * tf.reduce_sum((w / 2.0) ** 2) + 3.0, 0.25),
    "halves": multiple(lambda w: tf.nn.l2_loss(tf.concat([w, w], 0)), 2.0, True),
    "mask": Word(lambda w: tf.nn.l2_loss(mask(w) * w), lambda w: mask(w) * w, "linear"),
    "tail": Word(lambda w: tf.nn.l2_loss(w[1:]), tail, "linear"),
    "anchored": Word(lambda w: tf.nn.l2_loss(w - 0.5), lambda w: w - 0.5, "linear"),
    "L1": Word(lambda w: tf.reduce_sum(tf.abs(w)), np.sign, "other"),
    "norm": Word(tf.norm, lambda w: w / np.linalg.norm(w), "other"),
    "logarithm": Word(lambda w: tf.log(1.0 + tf.nn.l2_loss(w)), lambda w: w / (1 + np.sum(w * w) / 2), "other"),
    "fourth power": Word(lambda w: tf.nn.l2_loss(w) ** 2, lambda w: np.sum(w * w) * w, "other"),
}


@dataclass(frozen=True)
class Penalty:
    """A term of a program. in_loss: else it is in the collection REGULARIZATION_LOSSES alone."""

    word: str
    variable: int
    coefficient: float
    is_fed: bool
    in_loss: bool

    @property
    def kind(self):
        return WORDS[self.word].kind

    @property
    def is_left(self):
        """True for what may lack its input when the update runs: it is named, and left to the user."""
        return self.is_fed and not self.in_loss and not WORDS[self.word].has_form

    def gradient(self, w):
        return self.coefficient * WORDS[self.word].gradient(w)

    def factor(self):
        """Of a "multiple": its gradient is that times w."""
        return self.gradient(np.ones(1))[0]


@dataclass(frozen=True)
class Program:
    """What is drawn. rates, excluded: numbers of variables, or None."""

    shapes: list
    dtype: str
    is_resource: bool
    penalties: list
    optimizer: str
    convention: str
    towers: int
    given: int | None
    excluded: int | None
    backend: str

    def start(self, i):
        values = np.random.RandomState(i).uniform(0.5, 2.0, self.shapes[i])
        return np.where(np.arange(values.size).reshape(values.shape) % 3 == 1, -values, values)

    def slope(self, i):
        """The gradient of the data loss at input 1."""
        return np.random.RandomState(10 + i).normal(size=self.shapes[i])

    def of(self, i, **wanted):
        found = [p for p in self.penalties if p.variable == i]
        return [p for p in found if all(getattr(p, name) == value for name, value in wanted.items())]

    def rate(self, i):
        """The rate of a variable by L2 that is a multiple of it, or as it is given."""
        if i == self.excluded:
            return 0.0
        if i == self.given:
            return GIVEN
        in_loss = self.of(i, kind="multiple", in_loss=True)
        return sum(p.factor() for p in in_loss or self.of(i, kind="multiple", in_loss=False, is_left=False))

    def steps(self, i):
        """The terms that move a variable by a step of their own."""
        if i == self.excluded:
            return []
        linear = self.of(i, kind="linear")
        if i == self.given:  # a rate takes the place of L2, but not of a decay towards something else
            linear = [p for p in linear if p.word == "anchored"]
        return linear + self.of(i, kind="other", in_loss=False, is_left=False)


@st.composite
def programs(draw):
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    variables = st.integers(0, len(shapes) - 1)
    penalty = st.builds(
        Penalty,
        word=st.sampled_from(sorted(WORDS)),
        variable=variables,
        coefficient=st.sampled_from([0.05, 0.1]),
        is_fed=st.booleans(),
        in_loss=st.sampled_from([True, True, False]),
    )
    program = Program(
        shapes=shapes,
        dtype=draw(st.sampled_from(["float32", "float64"])),
        is_resource=draw(st.booleans()),
        penalties=draw(st.lists(penalty, max_size=4, unique_by=lambda p: (p.word, p.variable))),
        optimizer=draw(st.sampled_from(oracle.OPTIMIZERS)),
        convention=draw(st.sampled_from(sorted(CONVENTIONS))),
        towers=draw(st.sampled_from([1, 1, 2])),
        given=draw(st.none() | variables),
        excluded=draw(st.none() | variables),
        backend=draw(st.sampled_from(["auto", "tensorflow"])),
    )
    assume(program.given is None or program.given != program.excluded)
    # L2 that is no multiple, in the collection alone, is left to tests of its own
    assume(all(p.in_loss for p in program.penalties if p.kind == "linear"))
    assume(all(program.rate(i) < 1.0 for i in range(len(shapes))))
    return program


def trained_in_numpy(program):
    order, scale = CONVENTIONS[program.convention]
    weights = [program.start(i) for i in range(len(program.shapes))]
    optimizers = [oracle.Optimizer(program.optimizer, LR) for _ in weights]
    for x in range(1, STEPS + 1):
        for i, w in enumerate(weights):
            coupled = [p.gradient(w) for p in program.of(i, kind="other", in_loss=True)]
            moved = w - optimizers[i].step(w, x * program.slope(i) + sum(coupled))
            base = moved if order == "after" else w
            own = sum(p.gradient(base) for p in program.steps(i))
            weights[i] = moved - scale * (program.rate(i) * base + own)
    return weights


def build(program):
    """(the variables, the losses of the towers, the placeholder of the input)."""
    x = tf.placeholder(program.dtype, [])
    with tf.variable_scope("model", use_resource=program.is_resource):
        variables = [
            tf.get_variable("v%d" % i, initializer=program.start(i).astype(program.dtype))
            for i in range(len(program.shapes))
        ]
    losses = []
    for tower in range(program.towers):
        with tf.name_scope("tower%d" % tower):
            slopes = [program.slope(i).astype(program.dtype) for i in range(len(variables))]
            data = [x * tf.reduce_sum(slope * v) for slope, v in zip(slopes, variables)]
            terms = [term_of(n, p, variables) for n, p in enumerate(program.penalties) if p.in_loss]
            losses.append(tf.add_n(data + terms))
    for n, p in enumerate(program.penalties):
        if not p.in_loss:
            tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, term_of(n, p, variables))
    return variables, losses, x


def term_of(n, penalty, variables):
    variable = variables[penalty.variable]
    with tf.name_scope("term%d_" % n):
        coefficient = tf.constant(penalty.coefficient, variable.dtype.base_dtype)
        if penalty.is_fed:
            coefficient = tf.placeholder_with_default(coefficient, [])
        value = variable if penalty.word == "tail" else tf.convert_to_tensor(variable)
        return coefficient * WORDS[penalty.word].build(value)


def train_op_of(program, losses):
    optimizer = oracle.tf_optimizer(tf, program.optimizer, LR)
    towers = [optimizer.compute_gradients(loss) for loss in losses]
    if len(towers) == 1:
        return optimizer.apply_gradients(towers[0])
    return optimizer.apply_gradients([(tf.add_n([g for g, _ in pairs]) / 2.0, pairs[0][1]) for pairs in zip(*towers)])


def check(program):
    with tf.Graph().as_default(), tf.Session() as session:
        variables, losses, x = build(program)
        scope = tf1_wd.decoupled_weight_decay(
            convention=program.convention,
            **({"scale": 0.5} if program.convention == "paper" else {}),
            rates=None if program.given is None else {"v%d" % program.given: GIVEN},
            exclude=None if program.excluded is None else "v%d" % program.excluded,
            backend=program.backend,
        )
        indices = range(len(variables))
        if not any(program.rate(i) or program.steps(i) for i in indices):
            with pytest.raises(tf1_wd.errors.NothingToDecayError):
                with scope:
                    train_op_of(program, losses)
            return
        with scope:
            train_op = train_op_of(program, losses)
        session.run(tf.global_variables_initializer())
        for step in range(1, STEPS + 1):
            session.run(train_op, {x: step})
        found = session.run(variables)
    tolerance = 2e-4 if program.dtype == "float32" else 2e-6  # settings of optimizers are float32
    for i, (got, wanted) in enumerate(zip(found, trained_in_numpy(program))):
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance, err_msg="v%d" % i)
    named = " ".join(name for name, _ in scope.plan.terms)
    for n, p in enumerate(program.penalties):
        if p.is_left or (p.kind == "other" and (p.in_loss or p.variable != program.excluded)):
            assert "term%d_/" % n in named, (p, scope.plan.terms)


@pytest.mark.filterwarnings("ignore::tf1_wd.errors.UndecayedWarning")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_programs_decay_as_numpy_does_and_what_stays_coupled_is_named(chunk):
    @seed(chunk)
    @settings(
        max_examples=PROGRAMS // CHUNKS,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(programs())
    def run(program):
        check(program)

    run()
