"""Reads a finished graph: which ops update variables, with which gradients, and how much L2 is in these."""

from __future__ import annotations

import re
from typing import Any

from tf1_wd import graph
from tf1_wd.commands.audit.facts import Doubled, OptimizerStep, Problem, facts_of
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.graph.assignments import gradient_of, written_variable
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.linear import Reading
from tf1_wd.graph.op_types import CLIPS, DIVISIONS, PASSED_IN_FILES, SUMS
from tf1_wd.graph.update_ops import kind_of, learning_rate_input
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.penalties.find import Penalty, find_penalties
from tf1_wd.penalties.own_decay import Scalars, rests

IN_GRADIENTS = re.compile(r"(^|/)gradients(_\d+)?/")
_OF_CLIPS = CLIPS | {"Sqrt", "Rsqrt", "L2Loss"}  # what the scalars of clips are made of


def _scalar_at(op):
    return next((i for i in (1, 0) if _is_even(op.inputs[i])), None)


_READING = Reading(_scalar_at, sums=SUMS | PASSED_IN_FILES, divisions=DIVISIONS)


def structural_facts(tf_graph):
    """The Facts of a tf.Graph whose making was not seen, such as one from a file."""
    of_losses = {graph.key(t) for op in tf_graph.get_operations() if IN_GRADIENTS.search(op.name) for t in op.outputs}
    return facts_of(tf_graph, structural_steps(tf_graph, update_ops(tf_graph)), gradients=of_losses)


def update_ops(tf_graph):
    """{op of a trainable variable: the ops that update it by a gradient or by what they add to it}."""
    variables = {graph.variable_op(v) for v in trainable_variables(tf_graph)}
    scalars = Scalars()
    found: dict = {}
    for op in tf_graph.get_operations():
        variable = written_variable(op)
        if variable in variables and ("Apply" in op.type or rests(op, variable, scalars)):
            found.setdefault(variable, []).append(op)
    return found


def learning_rate_of(op, constants):
    """The learning rate that an update op takes: a float, "run time", or None if it takes none."""
    tensor = learning_rate_input(op)
    if tensor is None:
        return None
    number = constants.number(tensor)
    return RUN_TIME if number is None else number


def coefficients_in(gradient, variable, constants):
    """(coefficients of `variable` in the gradient, whether the gradient is L2 alone).

    A coefficient is a float, or None where it is known at run time only. Clips, and scalars that depend on the
    gradient's own size, count as 1.

    gradient: tf.Tensor. variable: its op. constants: Constants.
    """
    found, pending, seen, is_alone = [], [(gradient, 1.0, False)], set(), True
    while pending:
        tensor, factor, was_inside = pending.pop()
        op = tensor.op
        if op in seen or not tensor.dtype.base_dtype.is_floating:
            continue
        seen.add(op)
        inside = bool(IN_GRADIENTS.search(op.name))  # of tf.gradients
        if variable in (graph.variables_behind(tensor) or ()):
            found.append(factor)
            continue
        # what is not of tf.gradients there is of the loss: (w - target) of its square is no L2
        parts = None if was_inside and not inside else _READING.parts(op)
        is_alone = is_alone and parts is not None
        for part in parts or ():
            number, multiple = part.number, None
            if part.scalar is not None:
                number = _number(part, constants)
                multiple = _multiple(part.tensor, variable, constants)
            if multiple is not None:
                found.append(_times(_times(factor, number), multiple))
            else:
                pending.append((part.tensor, _times(factor, number), inside))
    return found, is_alone


def _number(part, constants):
    """What a part is multiplied by, clips left out; None where it is known at run time only."""
    number = constants.number(part.scalar)
    if not part.divides:
        return 1.0 if number is None and _is_clip(part.scalar) else number
    if number is None and part.scalar.op.type == "Maximum":  # clip_by_norm: c g / max(|g|, c)
        number = next(filter(None, map(constants.number, part.scalar.op.inputs)), None)
    return 1.0 / number if number else None


def _is_even(tensor):
    return tensor.shape.rank == 0 or graph.is_uniform(tensor) or tensor.op.type == "Fill"


def _is_clip(scalar):
    """True for a scalar that is made of a norm or a limit, as those of tf.clip_by_global_norm are."""
    front = [scalar.op]
    for _ in range(7):
        if any(op.type in _OF_CLIPS for op in front):
            return True
        front = [tensor.op for op in front for tensor in op.inputs]
    return False


def _multiple(tensor, variable, constants):
    """m if the tensor is m times the variable, else None."""
    if variable in (graph.variables_behind(tensor) or ()):
        return 1.0
    if tensor.op.type == "Mul":
        for i in (0, 1):
            if variable in (graph.variables_behind(tensor.op.inputs[i]) or ()):
                return constants.number(tensor.op.inputs[1 - i])
    return None


def _times(a, b):
    return None if a is None or b is None else a * b


def structural_steps(tf_graph, updates):
    """An OptimizerStep for each kind of update and learning rate. updates: {op of a variable: its update ops}."""
    constants = Constants()
    groups: dict[tuple[str, Any, bool], dict] = {}
    for variable, ops in updates.items():
        for op in ops:
            gradient = coefficients_in(gradient_of(op), variable, constants)
            key = kind_of(op), learning_rate_of(op, constants), bool(gradient[0]) and gradient[1]
            groups.setdefault(key, {}).setdefault(variable, []).append((op, gradient[0]))
    penalties = find_penalties(tf_graph.get_operations(), []) if groups else []
    return tuple(_step(*key, members, penalties) for key, members in groups.items())


def _step(name, learning_rate, decays_only, members, penalties):
    multiples = {variable: [m for _, inner in found for m in inner] for variable, found in members.items()}
    rates = {v: RUN_TIME if None in inner else float(sum(inner)) for v, inner in multiples.items() if inner}
    problem = Problem("the coefficient of its L2 depends on more than constants")
    own = [Penalty(p.tensor, {v: f for v, f in p.factors.items() if v in rates}) for p in penalties]
    return OptimizerStep(
        optimizer=name,
        learning_rate=learning_rate,
        updates={variable: [op for op, _ in found] for variable, found in members.items()},
        decays_only=decays_only,
        rates=rates,
        problems={variable: problem for variable, rate in rates.items() if rate == RUN_TIME},
        penalties=tuple(penalty for penalty in own if penalty.factors),
        doubled={
            variable: Doubled("its gradient holds %d terms of L2" % len(inner))
            for variable, inner in multiples.items()
            if len(inner) > len(members[variable])
        },
    )
