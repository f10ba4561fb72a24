"""What a graph tells of its weight decay, however it was found out: by watching it being built, or by its structure."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import NamedTuple

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.declared import in_collections, origins
from tf1_wd.graph.update_ops import is_plain, kind_of
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.penalties.own_decay import own_decays
from tf1_wd.plan.optimizer_table import BY_CLASS


class Problem(NamedTuple):
    """Why the rate of a variable is unknown.

    text: a sentence, which may name the variable. of_any: the same of a variable that is not named, so that variables
    with one problem are told together; None where there is no such text.
    """

    text: str
    of_any: str | None = None


class Doubled(NamedTuple):
    """How one loss counts L2 of a variable more than once. is_one_term: True if it adds one term several times."""

    text: str
    is_one_term: bool = False


@dataclass(frozen=True)
class OptimizerStep:
    """What one optimizer does in one update.

    optimizer: its class, or what its update ops are called. learning_rate: float, "run time" or None.
    updates: {op of a variable: the ops that update it}. decays_only: True if penalties alone are its loss: the second
    step of the pasted snippet. rates: {op of a variable: rate of the L2 in its gradient}: float, "run time" or
    "unknown". problems: {op of a variable: Problem}, where that is "unknown". own_decay: why the optimizer is known to
    decay by itself, or "". own_rate: its rate, where it decays as tf.contrib.opt does: float, "run time" or None.
    first: {op of a variable: what to do before `tf1-wd run` takes its L2, and then}, of those that need it.
    penalties: those of its loss, of find.Penalty. doubled: {op of a variable: Doubled}.
    gradients: {op of a variable: what apply_gradients was given for it; of a sparse gradient, the values}. loss_rates:
    as rates, but in the loss itself, of variables whose gradient comes out of one call of tf.gradients. loss_ops: the
    ops of its loss; None where the loss is not known.
    """

    optimizer: str
    learning_rate: float | str | None
    updates: dict
    decays_only: bool = False
    rates: dict = field(default_factory=dict)
    problems: dict = field(default_factory=dict)
    first: dict = field(default_factory=dict)
    own_decay: str = ""
    own_rate: float | str | None = None
    penalties: tuple = ()
    doubled: dict = field(default_factory=dict)
    untrained: dict = field(default_factory=dict)
    gradients: dict = field(default_factory=dict)
    loss_rates: dict = field(default_factory=dict)
    loss_ops: tuple | None = None

    @property
    def is_plain(self):
        """True for SGD and Momentum, under which L2 in the loss is weight decay."""
        if self.optimizer in BY_CLASS:  # which update rows of tables by plain assignments, Adam among them
            return is_plain(self.optimizer)
        kinds = {kind_of(op) for ops in self.updates.values() for op in ops}
        return all(map(is_plain, kinds or [self.optimizer]))


@dataclass(frozen=True)
class Facts:
    """Of one graph: its steps, the collections that hold penalties, and what it decays by itself.

    collections: {name: Declared}. layers: {op of a variable: rate of the regularizer that a Keras layer has for it}.
    origins: {op of a penalty in a loss: op of the penalty in a collection that it is, or is a copy of}.
    own_decays: [(op of a variable, the op that takes a fraction of it off)] of those that no step tells of;
    optimizer_decays: of those that its step tells of, by own_decay. notes: sentences on what could not be known.
    results: keys (graph.key) of what tf.gradients returned, or made in a graph whose making was not seen.
    """

    graph: tf.Graph
    steps: tuple
    collections: dict
    layers: dict = field(default_factory=dict)
    origins: dict = field(default_factory=dict)
    own_decays: tuple = ()
    optimizer_decays: tuple = ()
    notes: tuple = ()
    results: frozenset = frozenset()


def facts_of(tf_graph, steps, layers=None, notes=(), gradients=frozenset()):
    """The Facts of a graph whose steps are known.

    steps: of OptimizerStep. layers, notes: as in Facts. gradients: as for own_decay.own_decays.
    """
    trainable = [graph.variable_op(v) for v in trainable_variables(tf_graph)]
    collections_, copies = in_collections(tf_graph), {}
    for loss_ops in {id(step.loss_ops): step.loss_ops for step in steps if step.loss_ops is not None}.values():
        copies.update(origins(loss_ops, collections_))
    decaying = {op for step in steps if step.own_decay for op in step.updates}
    of_optimizers: dict = {}  # one decay of each variable: another is the program's own
    others = []
    for variable, op in own_decays(trainable, gradients):
        if variable in decaying and variable not in of_optimizers:
            of_optimizers[variable] = op
        else:
            others.append((variable, op))
    return Facts(
        graph=tf_graph,
        steps=tuple(steps),
        collections=collections_,
        layers=layers or {},
        origins=copies,
        own_decays=tuple(others),
        optimizer_decays=tuple(of_optimizers.items()),
        notes=tuple(notes),
        results=frozenset(gradients),
    )


def by_variable(penalties):
    """{op of a variable: its penalties, one of each tensor}."""
    found: dict = collections.defaultdict(dict)
    for penalty in penalties:
        for op in penalty.factors:
            found[op][penalty.tensor.op] = penalty
    return {op: list(by_tensor.values()) for op, by_tensor in found.items()}
