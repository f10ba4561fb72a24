"""What a graph tells of its weight decay, however it was found out: by watching it being built, or by its structure."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import NamedTuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.graph.update_ops import is_plain, kind_of
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.penalties.find import find_penalties, rates, weigh
from tf1_wd.penalties.own_decay import own_decays

# collections of losses that are sums already, and of what is run
_ENDS = frozenset(["train_op", "summaries", "init_op", "local_init_op", "ready_op", "savers", "summary_op"])


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
    penalties: those of its loss, of find.Penalty. doubled: {op of a variable: Doubled}.
    gradients: {op of a variable: what apply_gradients was given for it; of a sparse gradient, the values}. loss_rates:
    as rates, but in the loss itself, of variables whose gradient comes out of one call of tf.gradients.
    """

    optimizer: str
    learning_rate: float | str | None
    updates: dict
    decays_only: bool = False
    rates: dict = field(default_factory=dict)
    problems: dict = field(default_factory=dict)
    own_decay: str = ""
    own_rate: float | str | None = None
    penalties: tuple = ()
    doubled: dict = field(default_factory=dict)
    untrained: dict = field(default_factory=dict)
    gradients: dict = field(default_factory=dict)
    loss_rates: dict = field(default_factory=dict)

    @property
    def is_plain(self):
        """True for SGD and Momentum, under which L2 in the loss is weight decay."""
        kinds = {kind_of(op) for ops in self.updates.values() for op in ops}
        return all(map(is_plain, kinds or [self.optimizer]))


@dataclass(frozen=True)
class Facts:
    """Of one graph: its steps, the collections that hold penalties, and what it decays by itself.

    collections: {name: Declared}. own_decays: [(op of a variable, the op that takes a fraction of it off)].
    notes: sentences on what could not be known.
    """

    graph: tf.Graph
    steps: tuple
    collections: dict
    own_decays: tuple = ()
    notes: tuple = ()


@dataclass(frozen=True)
class Declared:
    """What a collection holds: penalties, and rates that they would give: {op of a variable: float or "run time"}."""

    penalties: tuple
    rates: dict


def declared(tf_graph):
    """{name of a collection: Declared} of all collections of a graph whose scalars hold penalties."""
    found = {}
    for name in tf_graph.get_all_collection_keys():
        if not isinstance(name, str) or name in _ENDS:
            continue
        tensors = [t for t in map(_scalar, tf_graph.get_collection(name)) if t is not None and t.graph is tf_graph]
        if not tensors:
            continue
        weighed = weigh(find_penalties(graph.ancestors(tensors), tensors), tensors)
        if weighed:
            by_op = {op: known(rate) for op, rate in rates(weighed).items()}
            found[name] = Declared(tuple(penalty for penalty, _ in weighed), by_op)
    return found


def facts_of(tf_graph, steps, notes=()):
    """The Facts of a graph whose steps are known. steps: of OptimizerStep. notes: as in Facts."""
    trainable = [graph.variable_op(v) for v in trainable_variables(tf_graph)]
    return Facts(tf_graph, tuple(steps), declared(tf_graph), tuple(own_decays(trainable)), tuple(notes))


def by_variable(penalties):
    """{op of a variable: its penalties, one of each tensor}."""
    found: dict = collections.defaultdict(dict)
    for penalty in penalties:
        for op in penalty.factors:
            found[op][penalty.tensor.op] = penalty
    return {op: list(by_tensor.values()) for op, by_tensor in found.items()}


def known(rate):
    """A rate as a report has it: a float, or "run time" for a tensor."""
    return float(rate) if isinstance(rate, (int, float)) else RUN_TIME


def _scalar(entry):
    if _tf.is_resource(entry) or not tf.is_tensor(entry):
        return None
    tensor = _tf.collection_tensor(entry)
    scalar = tensor.dtype.base_dtype.is_floating and tensor.shape.num_elements() == 1
    return tensor if scalar and not graph.is_variable(tensor.op) else None
