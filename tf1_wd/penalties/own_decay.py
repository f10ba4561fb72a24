"""Decay that a program does by itself: ops that assign a variable a smaller copy of itself, found by structure.

    v.assign(v * (1 - wd))      v.assign_sub(lr * wd * v)      v.assign(v - lr * (m / (sqrt(u) + eps) + wd * v))

No decay is a rescaling whose factor depends on the variable (max-norm, weight normalization), and no mean of the
variable and something else (Polyak averaging, elastic averaging).
"""

from __future__ import annotations

import math
import operator
import random

from tf1_wd import _tf, graph
from tf1_wd.errors import AlreadyDecoupledError
from tf1_wd.graph.assignments import gradient_of, written_variable
from tf1_wd.graph.marks import is_decay, made_by_optimizers


def refuse_own_decay(variables):
    """Raises AlreadyDecoupledError if the graph holds a decay of one of `variables` that is not of a scope or attach.

    variables: list of tf.Variable, those that are to decay.
    """
    found = own_decays([graph.variable_op(v) for v in variables])
    if found:
        raise AlreadyDecoupledError(
            "the program decays these variables by itself, and a second decay would come on top: %s. Take that out, or "
            "exclude the variables, or use the program without tf1_wd. An op that is no part of the training can be "
            "built afterwards" % ", ".join("%s (in %s)" % (v.name, op.name) for v, op in found)
        )


def own_decays(variables):
    """[(variable, op that takes a fraction of it off)], leaving out the ops of scopes and attach.

    variables: the ops of variables.
    """
    wanted, scalars, found = set(variables), Scalars(), []
    for g in {id(variable.graph): variable.graph for variable in variables}.values():
        for op in made_by_optimizers(g):
            found += [(variable, op) for variable in map(graph.holder, op.inputs) if variable in wanted]
        for op in g.get_operations():
            variable = written_variable(op)
            if variable in wanted and shrinks(op, variable, scalars) and not is_decay(op):
                found.append((variable, op))
    return found


def shrinks(op, variable, scalars):
    """True if `op`, which updates `variable` (its op), assigns v <- c v + rest with c < 1 and a rest that is no 1 - c.

    Scalars that are known only at run time count as small positive numbers. scalars: Scalars.
    """
    if "Apply" in op.type:
        return False
    terms = _terms(op, variable, scalars)
    own, bent = terms.pop(variable, (0.0, False))
    rest = sum(factor for factor, _ in terms.values())
    if own <= 0.0 or own > 1.0:
        return False
    if own == 1.0:  # LAMB: v - lr * ratio(v) * (update + wd * v)
        return bent and any(crooked for _, crooked in terms.values())
    return not math.isclose(rest, 1.0 - own, rel_tol=1e-4)


def rests(op, variable, scalars):
    """What an update adds to a multiple of its variable (an op): list of tf.Tensor; [] if it overwrites it."""
    if "Apply" in op.type:
        return [gradient_of(op)]
    terms = _terms(op, variable, scalars)
    return [key[0].outputs[key[1]] for key in terms if key is not variable] if variable in terms else []


def _terms(op, variable, scalars):
    """The value that the variable has after an assignment, as _Sum.of has it."""
    amount = gradient_of(op)
    terms = dict(_Sum(variable, scalars).of(amount))
    adds, subtracts = op.type.endswith(("Add", "AddVariableOp")), op.type.endswith(("Sub", "SubVariableOp"))
    if subtracts:
        terms = {key: (-factor, bent) for key, (factor, bent) in terms.items()}
    if adds or subtracts:
        factor, bent = terms.get(variable, (0.0, False))
        terms[variable] = (1.0 + factor, bent)
    return terms


class _Sum:
    """Reads tensors as sums of multiples of other tensors, one of which may be a variable."""

    def __init__(self, variable, scalars):
        self._variable = variable
        self._scalars = scalars
        self._known = {}

    def of(self, tensor):
        """{summand: (factor, bent)}; a summand is the variable (its op), or (op, index of the output).

        bent: True if the summand has another factor besides, which depends on the variable.
        """
        key = tensor.op, tensor.value_index
        if key not in self._known:
            self._known[key] = self._read(tensor)
        return self._known[key]

    def _read(self, tensor):
        op = tensor.op
        if op is self._variable:
            return {op: (1.0, False)}
        if op.type in _SAME and op.inputs:
            return self.of(op.inputs[0])
        if op.type in _SIGNS or op.type == "AddN":
            return self._sum(zip(op.inputs, _SIGNS.get(op.type, [1.0] * len(op.inputs))))
        if op.type in ("Mul", "RealDiv"):
            a, b = op.inputs
            if op.type == "Mul" and _is_factor(a) and not (_is_factor(b) and self._moves(a)):
                a, b = b, a
            if _is_factor(b):
                return self._scaled(self.of(a), b, op.type == "RealDiv")
        if op.type in _CLIPS | _CHOICES:
            inner = [terms for terms in map(self.of, op.inputs) if self._variable in terms]
            if inner and (op.type in _CHOICES) == (len(inner) == 2):
                return min(inner, key=lambda terms: (terms[self._variable], -len(terms)))
        return {(op, tensor.value_index): (1.0, False)}

    def _sum(self, parts):
        total = {}
        for tensor, sign in parts:
            for key, (factor, bent) in self.of(tensor).items():
                before = total.get(key, (0.0, False))
                total[key] = (before[0] + sign * factor, before[1] or bent)
        return total

    def _scaled(self, terms, scalar, divides):
        if self._moves(scalar):
            return {key: (0.0, True) for key in terms}
        number = self._scalars.number(scalar)
        if divides:
            number = _divided(1.0, number)
        return {key: (number * factor, bent) for key, (factor, bent) in terms.items()}

    def _moves(self, scalar):
        return self._variable in self._scalars.variables(scalar)


class Scalars:
    """What is known of the scalars of a graph, each looked at once."""

    def __init__(self):
        self._numbers = {}
        self._variables = {}

    def variables(self, tensor):
        """The variables (ops) that a tensor depends on."""
        if tensor.op not in self._variables:
            self._variables[tensor.op] = {op for op in graph.ancestors([tensor]) if graph.is_variable(op)}
        return self._variables[tensor.op]

    def number(self, tensor):
        """The value of a tensor that is the same everywhere; if it is known only at run time, a number in its place.

        Equal scalars get equal numbers, and no two others can be taken for a and 1 - a.
        """
        op, source = tensor.op, graph.read_source(tensor)
        if source is None and op.type in _SAME | {"Tile", "BroadcastTo"}:
            return self.number(op.inputs[0])
        if op.type == "Fill":
            return self.number(op.inputs[1])
        if op.type in _ARITHMETIC:
            return _ARITHMETIC[op.type](*map(self.number, op.inputs))
        value = _tf.constant_value(tensor)
        if value is not None and value.size:
            return float(value.reshape(-1)[0])
        key = (op, tensor.value_index) if source is None else source
        return self._numbers.setdefault(key, random.Random(len(self._numbers)).uniform(0.1, 0.4))


def _is_factor(tensor):
    """True for a tensor that multiplies all elements alike; of a placeholder without a shape that is assumed."""
    if graph.is_uniform(tensor):
        return True
    if tensor.shape.rank is not None:
        return False
    op = tensor.op
    return op.type == "Placeholder" or (op.type in _ARITHMETIC and all(map(_is_factor, op.inputs)))


def _divided(a, b):
    return a / b if b else math.inf


_SAME = graph.READS | graph.REARRANGEMENTS | graph.GATES
_SAME |= {"StopGradient", "PreventGradient", "Print", "Gather", "GatherV2", "ResourceGather"}
_CLIPS = frozenset(["Maximum", "Minimum", "ClipByValue"])
_CHOICES = frozenset(["Select", "SelectV2", "Merge"])
_SIGNS = {"Add": (1.0, 1.0), "AddV2": (1.0, 1.0), "Sub": (1.0, -1.0), "Neg": (-1.0,)}
_ARITHMETIC = {
    "Add": operator.add,
    "AddV2": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "RealDiv": _divided,
    "Neg": operator.neg,
}
