"""What a graph tells of its weight decay, however it was found out: by watching it being built, or by its structure."""

from __future__ import annotations

from dataclasses import dataclass, field

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.penalties import find_penalties, rates, weigh
from tf1_wd.report import RUN_TIME

_PLAIN = frozenset(["GradientDescentOptimizer", "MomentumOptimizer", "GradientDescent", "Momentum", "KerasMomentum"])
# collections of losses that are sums already, and of what is run
_ENDS = frozenset(["train_op", "summaries", "init_op", "local_init_op", "ready_op", "savers", "summary_op"])
_PLAIN |= {"AssignSub", "AssignSubVariableOp", "Assign", "AssignVariableOp"}  # what the program does by itself


@dataclass(frozen=True)
class Route:
    """One way by which a penalty gets at variables.

    tensor: the penalty. factors: {op of a variable: float}, see penalties.Penalty.
    """

    tensor: object
    factors: dict


@dataclass(frozen=True)
class Step:
    """What one optimizer does in one update.

    optimizer: its class, or what its update ops are called. learning_rate: float, "run time" or None.
    updates: {op of a variable: the ops that update it}. decays_only: True if penalties alone are its loss: the second
    step of the pasted snippet. rates: {op of a variable: rate of the L2 in its gradient}: float, "run time" or
    "unknown". problems: {op of a variable: why its rate is unknown}. own_decay: why the optimizer is known to decay by
    itself, or "". own_rate: its rate, where it decays as tf.contrib.opt does: float, "run time" or None. routes: list
    of Route, the penalties of its loss. doubled: {op of a variable: by which routes its L2 counts more than once}.
    gradients: {op of a variable: what apply_gradients was given for it; of a sparse gradient, the values}. loss_rates:
    as rates, but in the loss itself, of variables whose gradient comes out of one call of tf.gradients.
    """

    optimizer: str
    learning_rate: object
    updates: dict
    decays_only: bool = False
    rates: dict = field(default_factory=dict)
    problems: dict = field(default_factory=dict)
    own_decay: str = ""
    own_rate: object = None
    routes: tuple = ()
    doubled: dict = field(default_factory=dict)
    untrained: dict = field(default_factory=dict)
    gradients: dict = field(default_factory=dict)
    loss_rates: dict = field(default_factory=dict)

    @property
    def is_plain(self):
        """True for SGD and Momentum, under which L2 in the loss is weight decay."""
        kinds = {kind_of(op) for ops in self.updates.values() for op in ops}
        return kinds <= _PLAIN if kinds else self.optimizer in _PLAIN


@dataclass(frozen=True)
class Facts:
    """Of one graph: its steps, the collections that hold penalties, and what it decays by itself.

    collections: {name: Declared}. own_decays: [(op of a variable, the op that takes a fraction of it off)].
    notes: sentences on what could not be known.
    """

    graph: object
    steps: tuple
    collections: dict
    own_decays: tuple = ()
    notes: tuple = ()


@dataclass(frozen=True)
class Declared:
    """What a collection holds: routes, and the rate that they would give to {op of a variable: float or "run time"}."""

    routes: tuple
    rates: dict


def declared(where):
    """{name of a collection: Declared} of all collections of a graph whose scalars hold penalties."""
    found = {}
    for name in where.get_all_collection_keys():
        if not isinstance(name, str) or name in _ENDS:
            continue
        tensors = [t for t in map(_scalar, where.get_collection(name)) if t is not None and t.graph is where]
        if not tensors:
            continue
        weighed = weigh(find_penalties(graph.ancestors(tensors), tensors), tensors)
        if weighed:
            routes = tuple(Route(p.tensor, p.factors) for p, _ in weighed)
            found[name] = Declared(routes, {op: known(rate) for op, rate in rates(weighed).items()})
    return found


def known(rate):
    """A rate as a report has it: a float, or "run time" for a tensor."""
    return float(rate) if isinstance(rate, (int, float)) else RUN_TIME


def kind_of(op):
    """What the optimizer of an update op is called: ResourceSparseApplyAdam -> Adam; of an assignment, its type."""
    return op.type.split("Apply")[-1] if "Apply" in op.type else op.type


def _scalar(entry):
    if _tf.is_resource(entry) or not tf.is_tensor(entry):
        return None
    tensor = _tf.collection_tensor(entry)
    scalar = tensor.dtype.base_dtype.is_floating and tensor.shape.num_elements() == 1
    return tensor if scalar and not graph.is_variable(tensor.op) else None


class Constants:
    """The values of scalars that constants alone give, each looked at once; deep chains do not recurse."""

    def __init__(self):
        self._known = {}

    def number(self, tensor):
        """A float, or None if the value is known only at run time or is not the same everywhere."""
        pending = [tensor]
        while pending:
            key = graph.key(pending[-1])
            if key in self._known:
                pending.pop()
                continue
            op = key[0]
            needed = self._needed(op)
            missing = [t for t in needed if graph.key(t) not in self._known]
            if missing:
                pending += missing
                continue
            self._known[key] = self._value(pending.pop(), needed)
        return self._known[graph.key(tensor)]

    def _needed(self, op):
        if op.type in _ONE:
            return [op.inputs[_ONE[op.type]]]
        return list(op.inputs) if op.type in _ARITHMETIC else []

    def _value(self, tensor, needed):
        op = tensor.op
        numbers = [self._known[graph.key(t)] for t in needed]
        if any(number is None for number in numbers):
            return None
        if op.type in _ARITHMETIC:
            return _ARITHMETIC[op.type](numbers)
        if op.type == "Sum":
            n, m = op.inputs[0].shape.num_elements(), tensor.shape.num_elements()
            return numbers[0] * n / m if n and m else None
        if op.type in _ONE:
            return numbers[0]
        if graph.is_variable(op) or op.type in graph.READS or op.type == "Placeholder":
            return None
        value = _tf.constant_value(tensor)
        if value is None or not value.size or value.dtype.kind not in "fiu" or value.min() != value.max():
            return None
        return float(value.reshape(-1)[0])


def _product(numbers):
    return numbers[0] * numbers[1]


# op type -> the input whose number its output has everywhere
_ONE = {
    **dict.fromkeys(("Identity", "Reshape", "Cast", "Tile", "BroadcastTo", "ExpandDims", "Squeeze", "Snapshot"), 0),
    **dict.fromkeys(("Sum", "Mean", "StopGradient", "PreventGradient", "CheckNumerics"), 0),
    "Fill": 1,
}
_ARITHMETIC = {
    "Mul": _product,
    "Add": sum,
    "AddV2": sum,
    "AddN": sum,
    "Neg": lambda numbers: -numbers[0],
    "Sub": lambda numbers: numbers[0] - numbers[1],
    "RealDiv": lambda numbers: numbers[0] / numbers[1] if numbers[1] else None,
}
