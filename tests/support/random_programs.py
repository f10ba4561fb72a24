"""What a random program is made of, and the weights that it trains to, in NumPy float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow.compat.v1 as tf

from support import oracle
from support.penalty_words import ANCHORED, LINEAR, MULTIPLE, OTHER, ROWS, WORDS, at_rows, times
from support.tables import KEEPS_ROWS

LR, GIVEN = 0.125, 0.15
IDS = [[0, 2, 2], [1], [2, 0, 0]]  # the rows that each step looks up

# name -> (the options of the scope, made in its graph; order; what multiplies a rate in step 0, 1, ...)
RULES = {
    "snippet": (lambda: dict(convention="snippet"), "after", lambda step: 1.0),
    "adamw": (lambda: dict(convention="adamw"), "before", lambda step: LR),
    "contrib": (lambda: dict(convention="contrib"), "before", lambda step: 1.0),
    "paper": (lambda: dict(convention="paper", scale=0.5), "before", lambda step: 0.5),
    "learning rate": (lambda: dict(order="after", scale="learning_rate"), "after", lambda step: LR),
    "fed": (lambda: dict(order="before", scale=tf.placeholder_with_default(0.5, [])), "before", lambda step: 0.5),
    "schedule": (
        lambda: dict(order="after", scale=lambda step: 1.0 / (2.0 + tf.cast(step, tf.float32))),
        "after",
        lambda step: 1.0 / (2.0 + step),
    ),
}


class Feeds:
    """What a step is fed, and the coefficients that a run knows alone, by the number of the penalty."""

    def __init__(self, program):
        self.x = tf.placeholder(program.dtype, [])
        self.batch = tf.placeholder(program.dtype, [2])
        self.ids = tf.placeholder(tf.int32, [None])
        self.coefficients = {
            n: tf.placeholder_with_default(p.coefficient_of(program.dtype), [])
            if p.coefficient_by == "fed"
            else tf.get_variable("c%d" % n, initializer=p.coefficient_of(program.dtype), trainable=False)
            for n, p in enumerate(program.penalties)
            if p.coefficient_by != "number"
        }

    def of(self, step):
        return {self.x: x_of(step), self.batch: batch_of(step), self.ids: IDS[step]}


def x_of(step):
    return step + 1.0


def batch_of(step):
    return np.array([x_of(step) / 4.0, 1.0])


def _normalized(w, slope, step):
    norm = np.linalg.norm(w)
    return np.sum(batch_of(step)) * (slope / norm - np.sum(slope * w) * w / norm**3)


def _logistic(w, slope, step):
    batch = batch_of(step)
    return -np.sum(batch / (1.0 + np.exp(batch * np.sum(slope * w)))) * slope


# name -> (the loss of a variable, its gradient); numbers that multiply squares of weights in a model are no rates
MODELS = {
    "linear": (lambda v, slope, feeds: feeds.x * tf.reduce_sum(slope * v), lambda w, slope, step: x_of(step) * slope),
    "quadratic": (lambda v, slope, feeds: tf.nn.l2_loss(v - feeds.x * slope), lambda w, s, step: w - x_of(step) * s),
    "logistic": (
        lambda v, slope, feeds: tf.reduce_sum(tf.nn.softplus(-feeds.batch * tf.reduce_sum(slope * v))),
        _logistic,
    ),
    "normalized": (
        lambda v, slope, feeds: tf.reduce_sum(feeds.batch * tf.reduce_sum(slope * v / tf.norm(v))),
        _normalized,
    ),
    "squares": (
        lambda v, slope, feeds: tf.nn.l2_loss(feeds.batch[:, None] * tf.reshape(v, [1, -1])),
        lambda w, slope, step: np.sum(batch_of(step) ** 2) * w,
    ),
    "table": (
        lambda v, slope, feeds: feeds.x * tf.reduce_sum(tf.gather(slope, feeds.ids) * at_rows(v, feeds.ids)),
        lambda w, slope, step: x_of(step) * times(IDS[step], w) * slope,
    ),
}


@dataclass(frozen=True)
class Variable:
    """A variable, and what the loss of the data does with it."""

    shape: tuple
    model: str
    is_partitioned: bool


@dataclass(frozen=True)
class Penalty:
    """A term of a program.

    variables: the numbers of one, or of two. where: "loss", "collection", or "both": in the collection, whose entry the
    loss adds. coefficient_by: "number", "fed", or "variable". is_read_often: True if each op of it reads the variable
    by itself.
    """

    word: str
    variables: tuple
    coefficient: float
    coefficient_by: str
    is_read_often: bool
    where: str

    @property
    def is_of_rows(self):
        return WORDS[self.word].kind == ROWS

    def coefficient_of(self, dtype):
        return np.dtype(dtype).type(self.coefficient)

    @property
    def has_form(self):
        return WORDS[self.word].has_form

    @property
    def in_loss(self):
        return self.where != "collection"

    @property
    def is_left(self):
        """True for what may lack its input when the update runs: it is named, and left to the user."""
        return not self.in_loss and (self.is_of_rows or (self.coefficient_by == "fed" and not self.has_form))

    def gradient(self, i, weights, step):
        """Of the variable i, at the weights of all of them."""
        others = [weights[j] for j in self.variables if j != i]
        return self.coefficient * WORDS[self.word].gradient(weights[i], *others, **self._rows(weights[i], step))

    def _rows(self, w, step):
        return {"times": times(IDS[step], w)} if self.is_of_rows else {}


@dataclass(frozen=True)
class Program:
    """What is drawn. given, excluded: the number of a variable with a rate of its own, and without decay, or None."""

    variables: list
    dtype: str
    is_resource: bool
    penalties: list
    optimizer: str
    rule: str
    towers: int
    is_mirrored: bool
    given: int | None
    excluded: int | None
    others: str
    sparse: str
    backend: str

    def start(self, i):
        values = np.random.RandomState(i).uniform(0.5, 2.0, self.variables[i].shape)
        return np.where(np.arange(values.size).reshape(values.shape) % 3 == 1, -values, values)

    def slope(self, i):
        """The gradient of a linear model at input 1."""
        return np.random.RandomState(10 + i).normal(size=self.variables[i].shape)

    def kind(self, p):
        """The kind of the word of a penalty as it stands in this program."""
        word = WORDS[p.word]
        if word.mixes_rows and any(self.variables[i].is_partitioned for i in p.variables):
            return OTHER
        if not p.in_loss and p.coefficient_by == "variable" and not p.has_form and word.kind == MULTIPLE:
            return LINEAR  # by a number that only a run knows
        return word.kind

    def takes_step(self, p):
        """True for a penalty that moves weights by a step of its own."""
        if self.kind(p) == MULTIPLE or p.is_left:
            return False
        if not p.in_loss:
            return True
        is_decoupled = self.kind(p) != OTHER or (self.others == "decouple" and WORDS[p.word].can_be_decoupled)
        return is_decoupled and not self.is_mirrored

    def stays(self, p):
        """True for a penalty whose gradient goes through the optimizer."""
        return p.in_loss and self.kind(p) != MULTIPLE and not self.takes_step(p)

    def rate(self, i):
        """The rate of a variable by L2 that is a multiple of it, or as it is given."""
        if i == self.excluded:
            return 0.0
        if i == self.given:
            return GIVEN
        found = [p for p in self.l2(i) if self.kind(p) == MULTIPLE]
        ones = [np.ones(v.shape) for v in self.variables]
        return sum(p.gradient(i, ones, 0).flat[0] for p in found)

    def l2(self, i):
        """L2 of a variable towards 0 that counts: that of the loss; where there is none, of the collection alone."""
        found = [p for p in self.penalties if i in p.variables and self.kind(p) in (MULTIPLE, LINEAR, ROWS)]
        found = [p for p in found if not p.is_left]
        return [p for p in found if p.in_loss and not self.stays(p)] or [p for p in found if not p.in_loss]

    def steps(self, i):
        """The terms that move a variable by a step of their own."""
        if i == self.excluded:
            return []
        found = [p for p in self.penalties if i in p.variables and self.takes_step(p)]
        # a rate takes the place of L2, but not of a decay towards something else
        l2 = [] if i == self.given else self.l2(i)
        return [p for p in found if self.kind(p) in (ANCHORED, OTHER) or p in l2]

    def coupled(self, i):
        return [p for p in self.penalties if i in p.variables and self.stays(p)]

    def is_sparse(self, i):
        """True if the gradient of a variable names the rows that it touches."""
        return self.variables[i].model == "table" and not self.coupled(i)

    @property
    def is_refused(self):
        """True for terms whose own step there is no way to take."""
        alone = [p for p in self.penalties if not p.in_loss and self.takes_step(p)]
        alone = [p for p in alone if any(p in self.steps(i) for i in p.variables)]
        return any(self.is_mirrored or WORDS[p.word].is_loop for p in alone)


class _ByRow:
    """An optimizer that moves no row without a gradient, nor its slots."""

    def __init__(self, name, rows):
        self.rows = [oracle.Optimizer(name, LR) for _ in range(rows)]

    def step(self, w, gradient, touched):
        found = np.zeros_like(w)
        for row in touched:
            found[row] = self.rows[row].step(w[row], gradient[row])
        return found


class _Trained:
    """One variable under its optimizer."""

    def __init__(self, program, i):
        self.program, self.i = program, i
        self.by_row = program.is_sparse(i) and program.optimizer in KEEPS_ROWS
        rows = program.variables[i].shape[0]
        self.optimizer = _ByRow(program.optimizer, rows) if self.by_row else oracle.Optimizer(program.optimizer, LR)

    def moved(self, weights, step):
        """The variable after the step of its optimizer."""
        program, i, w = self.program, self.i, weights[self.i]
        gradient = MODELS[program.variables[i].model][1](w, program.slope(i), step)
        gradient = gradient + sum(p.gradient(i, weights, step) for p in program.coupled(i))
        return w - self.optimizer.step(w, gradient, *([np.unique(IDS[step])] if self.by_row else []))

    def decay(self, weights, step):
        """What the decay and the other steps take off, times scale."""
        program, i, rate = self.program, self.i, self.program.rate(self.i)
        if program.sparse == "touched_rows" and program.is_sparse(i):
            rate = rate * np.minimum(times(IDS[step], weights[i]), 1.0)
        return rate * weights[i] + sum(p.gradient(i, weights, step) for p in program.steps(i))


def trained_in_numpy(program):
    _, order, scale = RULES[program.rule]
    weights = [program.start(i) for i in range(len(program.variables))]
    trained = [_Trained(program, i) for i in range(len(weights))]
    for step in range(len(IDS)):
        moved = [t.moved(weights, step) for t in trained]
        base = moved if order == "after" else weights
        weights = [m - scale(step) * t.decay(base, step) for m, t in zip(moved, trained)]
    return weights
