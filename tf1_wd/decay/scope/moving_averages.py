"""Finds moving averages of decayed weights that are ordered neither behind the update nor before it; adds no op."""

from __future__ import annotations

from typing import Container, Iterable, Tuple

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.update import AppliedUpdate
from tf1_wd.graph.marks import made_in
from tf1_wd.graph.op_types import ASSIGNMENTS, CHANGES, DECAYS, SIGNS
from tf1_wd.plan.options import LAZY

UNORDERED = (
    "ordered neither behind the update nor before it, so in one run it may take the weights before or after their "
    "decay: build it under tf.control_dependencies([train_op])"
)

LATE = "takes rows as they were last touched, before the decay that is still due with sparse='lazy'"

Average = Tuple[tf.Operation, tf.Operation, tf.Operation]  # the average, the weight, the op that takes the weight

_MIXES = frozenset(SIGNS) | {"AddN", "Mul", "RealDiv", "Cast"}


def notes_on_averages(updates: Iterable[AppliedUpdate]) -> tuple[tuple[str, str], ...]:
    """What the plan says of moving averages of decayed weights: a tuple of (which, UNORDERED or LATE)."""
    decays = [(graph.variable_op(d.variable), d.rows) for applied in updates for d in applied.update.decays]
    decayed, late = {op: op.graph for op, _ in decays}, {op: op.graph for op, rows in decays if rows == LAZY}
    found = [(pair, UNORDERED) for g in dict.fromkeys(decayed.values()) for pair in unordered_averages(decayed, g)]
    averages = [average for g in dict.fromkeys(late.values()) for average in _all_averages(late, g)]
    found += [((average.name, weight.name), LATE) for average, weight, _ in averages]
    return tuple(("the moving average %s of %s" % pair, text) for pair, text in found)


def unordered_averages(decayed: Container[tf.Operation], tf_graph: tf.Graph) -> list[tuple[str, str]]:
    """[(the average's name, the weight's name)] of the moving averages that the program left unordered.

    A moving average is an assignment to a variable of something made, by sums and scalar factors, of that variable and
    of a decayed one: avg - (avg - w) * f, as tf.train.ExponentialMovingAverage has it, or d * avg + (1 - d) * w. It is
    ordered if it takes the weight after all that one update does to it, decay included, or before all of that.
    """
    averages = _all_averages(decayed, tf_graph)
    if not averages:
        return []
    writers = _writers(tf_graph, {weight for _, weight, _ in averages})
    # A decay inside a function of the graph's library happens when the op that calls the function runs.
    decays = made_in(tf_graph) or [op for ops in writers.values() for op in ops if op.type in graph.CALLS]
    events = {op for ops in writers.values() for op in ops}.union(decays, (take for _, _, take in averages))
    bits = {op: 1 << i for i, op in enumerate(events)}
    waits_for = _waits_for(bits)

    def is_ordered(weight: tf.Operation, take: tf.Operation) -> bool:
        for decay in decays:
            if not (waits_for[take] & bits[decay] or waits_for[decay] & bits[take]):
                continue
            steps = [w for w in writers[weight] if waits_for[w] & bits[decay] or waits_for[decay] & bits[w]]
            behind = all(waits_for[take] & bits[op] for op in [*steps, decay])
            if steps and (behind or all(waits_for[op] & bits[take] for op in [*steps, decay])):
                return True
        return False

    open_ones = [(average.name, weight.name) for average, weight, take in averages if not is_ordered(weight, take)]
    return list(dict.fromkeys(open_ones))


def _all_averages(decayed: Container[tf.Operation], tf_graph: tf.Graph) -> list[Average]:
    return [average for op in tf_graph.get_operations() for average in _averages(op, decayed)]


def _averages(op: tf.Operation, decayed: Container[tf.Operation]) -> list[Average]:
    """(the average, the decayed variable, the op that takes the weights) of each that the assignment `op` mixes in."""
    if op.type not in ASSIGNMENTS:
        return []
    target = op.inputs[0].op
    found: list[Average] = []
    mixes = op.type in CHANGES
    pending = [(op.inputs[1], op)]
    while pending:
        tensor, user = pending.pop()
        source = tensor.op
        if source.type == "Identity":  # a read of a reference variable: its user sees the weights of its own time
            pending.append((source.inputs[0], user))
            continue
        if source.type == "ReadVariableOp":
            source, user = source.inputs[0].op, source
        if source is target:
            mixes = True
        elif source in decayed:
            found.append((target, source, user))
        elif source.type in _MIXES:
            pending.extend((t, source) for t in source.inputs)
        elif tensor.shape.num_elements() != 1:
            return []  # made of something else too
    return found if mixes else []


def _writers(tf_graph: tf.Graph, weights: set[tf.Operation]) -> dict[tf.Operation, list[tf.Operation]]:
    """{variable: the ops that may change it in an update}, all but plain assignments (initializers, swaps)."""
    found: dict[tf.Operation, list[tf.Operation]] = {weight: [] for weight in weights}
    for op in tf_graph.get_operations():
        if "Apply" in op.type or "Scatter" in op.type or op.type in CHANGES:
            inputs = list(op.inputs)[:1]
        else:
            inputs = list(op.inputs) if op.type in graph.CALLS or op.type in DECAYS else []
        for holder in map(graph.holder, inputs):
            if holder in found:
                found[holder].append(op)
    return found


def _waits_for(bits: dict[tf.Operation, int]) -> dict[tf.Operation, int]:
    """{op: bits of those in `bits` that it waits for, itself included}, for all that these wait for."""
    found: dict[tf.Operation, int] = {}
    entered: dict[tf.Operation, list[tf.Operation]] = {}
    pending = list(bits)
    while pending:
        op = pending[-1]
        if op in found:
            pending.pop()
            continue
        if op not in entered:
            entered[op] = [*(t.op for t in op.inputs), *op.control_inputs]
        waiting = [o for o in entered[op] if o not in entered]  # what is entered and not found closes a loop
        if waiting:
            pending.extend(waiting)
            continue
        mask = bits.get(op, 0)
        for o in entered[op]:
            mask |= found.get(o, 0)
        found[pending.pop()] = mask
    return found
