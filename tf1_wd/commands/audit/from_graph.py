"""Reads a finished graph: which ops update variables, with which gradients, and how much L2 is in these."""

from __future__ import annotations

import contextlib

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.facts import OptimizerStep, Problem, facts_of
from tf1_wd.commands.audit.net_rates import Found, doubled, find_rate, is_decay_alone, notes_on, strength_of
from tf1_wd.commands.audit.report import RUN_TIME, UNKNOWN
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.graph.assignments import gradient_of, written_variable
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.linear import Reading
from tf1_wd.graph.op_types import CLIPS, DIVISIONS, PASSED_IN_FILES, PLACEHOLDERS, SUMS
from tf1_wd.graph.update_ops import kind_of, learning_rate_input
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.penalties.found_calls import FoundCalls
from tf1_wd.penalties.own_decay import Scalars, rests

_OF_CLIPS = CLIPS | {"Sqrt", "Rsqrt", "L2Loss"}  # what the scalars of clips are made of


def _scalar_at(op):
    return next((i for i in (1, 0) if _is_even(op.inputs[i])), None)


_READING = Reading(_scalar_at, sums=SUMS | PASSED_IN_FILES, divisions=DIVISIONS)


def structural_facts(tf_graph):
    """The Facts of a tf.Graph whose making was not seen, such as one from a file."""
    open_again = _tf.unfinalized(tf_graph) if tf_graph.finalized else contextlib.nullcontext()
    with tf_graph.as_default(), open_again:
        updates = update_ops(tf_graph)
        calls = FoundCalls(tf_graph, [(variable, gradient_of(op)) for variable, ops in updates.items() for op in ops])
        steps = structural_steps(tf_graph, updates, calls)
        return facts_of(tf_graph, steps, notes=notes_on(calls.calls), gradients=calls.keys)


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


def added_by_hand(gradient, variable, constants, results):
    """The coefficients of a variable in what a program adds to its gradient by itself: floats, None at run time only.

    Clips, and scalars that depend on the gradient's own size, count as 1.

    gradient: tf.Tensor. variable: its op. constants: Constants. results: keys of what tf.gradients made.
    """
    found, pending, seen = [], [(gradient, 1.0)], set()
    while pending:
        tensor, factor = pending.pop()
        if tensor.op in seen or graph.key(tensor) in results or not tensor.dtype.base_dtype.is_floating:
            continue
        seen.add(tensor.op)
        if variable in (graph.variables_behind(tensor) or ()):
            found.append(factor)
            continue
        for part in _READING.parts(tensor.op) or ():
            number = part.number if part.scalar is None else _number(part, constants)
            pending.append((part.tensor, _times(factor, number)))
    return found


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


def _times(a, b):
    return None if a is None or b is None else a * b


def structural_steps(tf_graph, updates, calls=None):
    """An OptimizerStep for each kind of update and learning rate.

    updates: {op of a variable: its update ops}. calls: the FoundCalls behind them.
    """
    gradients = [(variable, gradient_of(op)) for variable, ops in updates.items() for op in ops]
    read = _Reader(tf_graph, calls or FoundCalls(tf_graph, gradients))
    groups: dict = {}
    for variable, ops in updates.items():
        for op in ops:
            found = read.find(op, variable)
            key = kind_of(op), learning_rate_of(op, read.constants), is_decay_alone(found.calls)
            times = 0  # of updates of one variable each is a step of its own
            while variable in groups.get((*key, times), ()):
                times += 1
            groups.setdefault((*key, times), {})[variable] = op, found
    return tuple(_step(key, members) for key, members in groups.items())


class _Reader:
    """Finds the rates of updates. calls: FoundCalls."""

    def __init__(self, tf_graph, calls):
        self.constants = Constants()
        self._variables = {graph.variable_op(v): v for v in trainable_variables(tf_graph)}
        self._calls, self._upstream = calls, Upstream(calls.calls)

    def find(self, op, variable):
        """What is Found of a variable (its op) in an update op."""
        tensor = gradient_of(op)
        found = Found([])
        if self._calls.reach(variable, tensor):
            indices = graph.argument(op, ("indices",))
            gradient = tensor if indices is None else tf.IndexedSlices(tensor, indices)
            found = find_rate(gradient, self._variables[variable], self._upstream)
        problem = self._problem(op, variable, tensor, found)
        if problem is not None:
            return found._replace(rate=UNKNOWN, problem=problem)
        return found.plus(
            added_by_hand(tensor, variable, self.constants, self._calls.keys) if "Apply" in op.type else []
        )

    def _problem(self, op, variable, tensor, found):
        """Why the rate of an update cannot be told, besides what is Found; None if it can."""
        unknown = self._calls.unknown_behind(variable, tensor)
        if unknown:
            return Problem(
                "the loss of the gradients in %s cannot be read off the graph: give the program" % unknown[0]
            )
        if "Apply" not in op.type and found.rate is not None:
            return Problem(
                "it is updated by %s, an assignment, and how much of the gradient that takes is not known" % op.name,
                "it is updated by an assignment, and how much of the gradient that takes is not known",
            )
        if "Apply" in op.type and not self._calls.reach(variable, tensor):
            fed = [o.name for o in graph.ancestors([tensor]) if o.type in PLACEHOLDERS]
            if fed:
                return Problem("its gradient is made of what is fed through %s" % fed[0])
        return None


def _step(key, members):
    name, learning_rate, decays_only, _ = key
    behind = list({id(call): call for _, found in members.values() for call in found.calls}.values())
    is_known = all(found.calls for _, found in members.values())
    return OptimizerStep(
        optimizer=name,
        learning_rate=learning_rate,
        updates={variable: [op] for variable, (op, _) in members.items()},
        decays_only=decays_only,
        rates={variable: found.rate for variable, (_, found) in members.items() if found.rate is not None},
        problems={variable: found.problem for variable, (_, found) in members.items() if found.problem is not None},
        first={variable: found.first for variable, (_, found) in members.items() if found.first is not None},
        penalties=tuple(penalty for call in behind for penalty in call.penalties),
        doubled=doubled(behind, strength_of),
        loss_rates={variable: found.in_loss for variable, (_, found) in members.items() if found.in_loss is not None},
        loss_ops=tuple(dict.fromkeys(op for call in behind for op in call.ops)) if is_known else None,
    )
