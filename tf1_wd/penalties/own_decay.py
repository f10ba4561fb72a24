"""Decay that a program does by itself: ops that assign a variable a smaller copy of itself, found by structure.

    v.assign(v * (1 - wd))      v.assign_sub(lr * wd * v)      v.assign(v - lr * (m / (sqrt(u) + eps) + wd * v))

No decay is a rescaling whose factor depends on the variable (max-norm, weight normalization), and no mean of the
variable and something else (Polyak averaging, elastic averaging).
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, AbstractSet, ClassVar, Dict, Iterable, Sequence, Tuple, Union

from tf1_wd import _tf, graph
from tf1_wd.errors import AlreadyDecoupledError
from tf1_wd.graph.assignments import gradient_of, written_variable
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.linear import Part, Reading
from tf1_wd.graph.marks import is_decay, made_by_optimizers
from tf1_wd.graph.op_types import BROADCASTS, LIMITS, PASSED_BY_OWN_DECAY, SELECTS

if TYPE_CHECKING:
    from tf1_wd._tf import tf

# {summand: (factor, bent)}: a summand is the variable (its op), or (op, index of the output). bent: True if the summand
# has another factor besides, which depends on the variable.
Terms = Dict[Union["tf.Operation", Tuple["tf.Operation", int]], Tuple[float, bool]]

Gradients = AbstractSet[Tuple["tf.Operation", int]]  # keys of tensors, of graph.key

_CHOICES = SELECTS | {"Merge"}


def refuse_own_decay(variables: Iterable[tf.Variable], gradients: Gradients = frozenset()) -> None:
    """Raises AlreadyDecoupledError if the graph decays one of `variables` by an op that is not of a scope or attach.

    gradients: as for `own_decays`.
    """
    found = own_decays([graph.variable_op(v) for v in variables], gradients)
    if found:
        raise AlreadyDecoupledError(
            "the program decays these variables by itself, and a second decay would come on top: %s. Take that out, or "
            "exclude the variables, or use the program without tf1_wd. An op that is no part of the training can be "
            "built afterwards" % ", ".join("%s (in %s)" % (v.name, op.name) for v, op in found)
        )


def own_decays(
    variables: Sequence[tf.Operation], gradients: Gradients = frozenset()
) -> list[tuple[tf.Operation, tf.Operation]]:
    """[(variable, op that takes a fraction of it off)], leaving out the ops of scopes and attach.

    gradients: keys of what tf.gradients returned. What the loss puts into them is no decay, L2 of looked-up rows say.
    """
    wanted, scalars, found = set(variables), Scalars(), []
    for g in {id(variable.graph): variable.graph for variable in variables}.values():
        for op in made_by_optimizers(g):
            found += [(variable, op) for variable in map(graph.holder, op.inputs) if variable in wanted]
        for op in g.get_operations():
            variable = written_variable(op)
            if variable in wanted and shrinks(op, variable, scalars, gradients) and not is_decay(op):
                found.append((variable, op))
    return found


def shrinks(op: tf.Operation, variable: tf.Operation, scalars: Scalars, gradients: Gradients = frozenset()) -> bool:
    """True if `op` assigns its variable v <- c * v + rest with c < 1, and is no moving average.

    In a moving average the factors in `rest` sum to 1 - c. Scalars that are known only at run time count as small
    positive numbers. variable: the op of the variable that `op` updates. gradients: as for `own_decays`.
    """
    if "Apply" in op.type:
        return False
    terms = _terms(op, variable, scalars, gradients)
    own, bent = terms.pop(variable, (0.0, False))
    rest = sum(factor for factor, _ in terms.values())
    if own <= 0.0 or own > 1.0:
        return False
    if own == 1.0:  # LAMB: v - lr * ratio(v) * (update + wd * v)
        return bent and any(crooked for _, crooked in terms.values())
    return not math.isclose(rest, 1.0 - own, rel_tol=1e-4)


def rests(op: tf.Operation, variable: tf.Operation, scalars: Scalars) -> list[tf.Tensor]:
    """What an update adds to a multiple of its variable (an op): list of tf.Tensor; [] if it overwrites it."""
    if "Apply" in op.type:
        return [gradient_of(op)]
    terms = _terms(op, variable, scalars)
    return [key[0].outputs[key[1]] for key in terms if isinstance(key, tuple)] if variable in terms else []


def _terms(op: tf.Operation, variable: tf.Operation, scalars: Scalars, gradients: Gradients = frozenset()) -> Terms:
    """The value that the variable has after an assignment, as _Sum.of has it."""
    amount = gradient_of(op)
    terms = dict(_Sum(variable, scalars, gradients).of(amount))
    adds, subtracts = op.type.endswith(("Add", "AddVariableOp")), op.type.endswith(("Sub", "SubVariableOp"))
    if subtracts:
        terms = {key: (-factor, bent) for key, (factor, bent) in terms.items()}
    if adds or subtracts:
        factor, bent = terms.get(variable, (0.0, False))
        terms[variable] = (1.0 + factor, bent)
    return terms


class _Sum:
    """Reads tensors as sums of multiples of other tensors, one of which may be a variable."""

    def __init__(self, variable: tf.Operation, scalars: Scalars, gradients: Gradients) -> None:
        self._variable = variable
        self._gradients = gradients
        self._scalars = scalars
        self._known: dict[tuple[tf.Operation, int], Terms] = {}
        self._reading = Reading(self._scalar_at, same=PASSED_BY_OWN_DECAY, sums=frozenset(["AddN"]))

    def of(self, tensor: tf.Tensor) -> Terms:
        """The terms that add up to a tensor."""
        key = graph.key(tensor)
        if key not in self._known:
            self._known[key] = self._read(tensor)
        return self._known[key]

    def _read(self, tensor: tf.Tensor) -> Terms:
        op = tensor.op
        if op is self._variable:
            return {op: (1.0, False)}
        if graph.key(tensor) in self._gradients:
            return {graph.key(tensor): (1.0, False)}
        parts = self._reading.parts(op)
        if parts is not None:
            return self._sum(parts)
        if op.type in LIMITS or op.type in _CHOICES:
            inner = [terms for terms in map(self.of, op.inputs) if self._variable in terms]
            if inner and (op.type in _CHOICES) == (len(inner) == 2):
                return min(inner, key=lambda terms: (terms[self._variable], -len(terms)))
        return {graph.key(tensor): (1.0, False)}

    def _sum(self, parts: list[Part]) -> Terms:
        total: Terms = {}
        for part in parts:
            terms = self.of(part.tensor)
            if part.scalar is not None:
                terms = self._scaled(terms, part.scalar, part.divides)
            for key, (factor, bent) in terms.items():
                before = total.get(key, (0.0, False))
                total[key] = (before[0] + part.number * factor, before[1] or bent)
        return total

    def _scaled(self, terms: Terms, scalar: tf.Tensor, divides: bool) -> Terms:
        if self._moves(scalar):
            return {key: (0.0, True) for key in terms}
        number = self._scalars.number(scalar)
        if divides:
            number = _divided(1.0, number)
        if number == 0.0:
            return {}  # a decay that a program switches off
        return {key: (number * factor, bent) for key, (factor, bent) in terms.items()}

    def _scalar_at(self, op: tf.Operation) -> int | None:
        first, second = map(_is_factor, op.inputs)
        if op.type == "Mul" and first and not (second and self._moves(op.inputs[0])):
            return 0
        return 1 if second else None

    def _moves(self, scalar: tf.Tensor) -> bool:
        return self._variable in self._scalars.variables(scalar)


def _is_factor(tensor: tf.Tensor) -> bool:
    """True for a tensor that multiplies all elements alike; of a placeholder without a shape that is assumed."""
    if graph.is_uniform(tensor):
        return True
    if tensor.shape.rank is not None:
        return False
    op = tensor.op
    return op.type == "Placeholder" or (op.type in Scalars.arithmetic and all(map(_is_factor, op.inputs)))


def _divided(a: float, b: float) -> float:
    return a / b if b else math.inf


class Scalars(Constants):
    """Numbers for scalars that are the same everywhere, with a random number for what only a run knows.

    Equal scalars get equal numbers. A sum such as a + (1 - a) = 1 then holds as it does for all values of a, and
    scalars that have nothing to do with each other do not add up to 1 by chance (the idea of the Schwartz-Zippel
    lemma). How many were drawn before is the seed, so the same graph is always read alike.
    """

    same: ClassVar = {**dict.fromkeys(PASSED_BY_OWN_DECAY | BROADCASTS, 0), "Fill": 1}
    arithmetic: ClassVar = {
        **{name: f for name, f in Constants.arithmetic.items() if name != "AddN"},
        "RealDiv": _divided,
    }

    def __init__(self) -> None:
        super().__init__()
        self._drawn: dict[object, float] = {}
        self._variables: dict[tf.Operation, set[tf.Operation]] = {}

    def variables(self, tensor: tf.Tensor) -> set[tf.Operation]:
        """The variables (ops) that a tensor depends on."""
        if tensor.op not in self._variables:
            self._variables[tensor.op] = {op for op in graph.ancestors([tensor]) if graph.is_variable(op)}
        return self._variables[tensor.op]

    def number(self, tensor: tf.Tensor) -> float:
        """The value of a tensor that is the same everywhere, or the number that stands for it."""
        number = super().number(tensor)
        assert number is not None  # every leaf has one
        return number

    def needed(self, tensor: tf.Tensor) -> list[tf.Tensor]:
        return [] if graph.read_source(tensor) is not None else super().needed(tensor)

    def leaf(self, tensor: tf.Tensor) -> float:
        value = _tf.constant_value(tensor)
        if value is not None and value.size:
            return float(value.reshape(-1)[0])
        key = graph.read_source(tensor) or graph.key(tensor)
        return self._drawn.setdefault(key, random.Random(len(self._drawn)).uniform(0.1, 0.4))
