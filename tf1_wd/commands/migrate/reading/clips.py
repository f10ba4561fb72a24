"""What a program does to its gradients before it applies them: clips are recognised, the rest is told by its ops."""

from __future__ import annotations

import re
from typing import NamedTuple

from tf1_wd import _tf, graph
from tf1_wd.commands.migrate.migration import GLOBAL_NORM, NORM, OTHERWISE, VALUE
from tf1_wd.graph.op_types import PASSED_BY_CLIPS, PLUS, SELECTS

_SEED = re.compile(r"(^|/)grad_ys_\d+(/Const)?$")
ACCUMULATED = "accumulated in variables"
_ALONE = frozenset(["Identity", "Concat", "ConcatV2"])


class _Change(NamedTuple):
    """kind, numbers: as of migration.Loss.changes. before: the gradient that is changed. norm: of a global norm."""

    kind: str
    numbers: tuple | str
    before: object = None
    norm: object = None


def seeds_of(tensors):
    """(names of the ops where the gradients begin, True if one of them is weighted by grad_loss= or grad_ys=)."""
    found = [op for op in graph.ancestors(tensors) if _SEED.search(op.name)]
    return frozenset(op.name for op in found), any(op.type == "Identity" for op in found)


def changes_of(gradients, results, constants):
    """What becomes of the gradients of one loss, in order: tuple of (kind, numbers) as migration.Loss.changes has them.

    gradients: list of tf.Tensor, each applied to another variable. results: the keys (graph.key) of what tf.gradients
    returned, or made. constants: Constants.
    """
    found = [_changes(tensor, results, constants) for tensor in gradients]
    words = {change.numbers for changes in found for change in changes if change.kind == OTHERWISE}
    if seeds_of(gradients)[1]:
        words.add("weights the loss by grad_loss= or grad_ys=")
    found = [[change for change in changes if change.kind != OTHERWISE] for changes in found]
    plain = [[(change.kind, change.numbers) for change in changes] for changes in found]
    behind = tuple(plain[0]) if plain else ()
    if any(changes != plain[0] for changes in plain):
        words.add("clips some of them only, or each in its own way")
        behind = ()
    elif not all(_is_of_these(step) for step in zip(*found)):
        words.add("clips them by the norm of other gradients")
        behind = ()
    return ((OTHERWISE, tuple(sorted(words))), *behind) if words else behind


def _is_of_these(changes):
    """True if a clip by a global norm is one by the norm of the very gradients that it changes."""
    if changes[0].kind != GLOBAL_NORM:
        return True
    if len({graph.key(change.norm) for change in changes}) > 1:
        return False
    return {graph.key(change.before) for change in changes} == set(map(graph.key, _squared(changes[0].norm)))


def _changes(tensor, results, constants):
    """List of _Change of one gradient, in order."""
    found: list[_Change] = []
    while not _is_result(tensor, results):
        op = tensor.op
        if op.type in PASSED_BY_CLIPS:
            tensor = op.inputs[0]
            continue
        if _averages_one(op):
            tensor = _unstacked(op)
            continue
        change = _global_norm(op, constants) or _norm(op, constants) or _value(op, constants)
        if change is None:
            several = "puts several gradients together: " if _behind(tensor, results) > 1 else ""
            is_read = graph.read_source(tensor) is not None
            made = several + op.type if several else "changes them by the op %s" % op.type
            return [_Change(OTHERWISE, ACCUMULATED if is_read else made), *found]
        found.insert(0, change)
        tensor = change.before
    return found


def _averages_one(op):
    """True for the mean over the towers of one tower: reduce_mean(concat([expand_dims(g, 0)], 0), 0)."""
    if op.type != "Mean" or op.inputs[0].shape.rank is None or op.inputs[0].shape.as_list()[0] != 1:
        return False
    axes = _tf.constant_value(op.inputs[1])
    stacked = graph.through(op.inputs[0], _ALONE).op
    is_first = axes is not None and [int(axis) for axis in axes.reshape(-1)] == [0] and not op.get_attr("keep_dims")
    return is_first and (stacked.type == "ExpandDims" or (stacked.type == "Pack" and len(stacked.inputs) == 1))


def _unstacked(op):
    return graph.through(op.inputs[0], _ALONE).op.inputs[0]


def _is_result(tensor, results):
    if graph.is_accumulator(tensor.op):  # what workers have computed
        return True
    return graph.key(tensor) in results


def _behind(tensor, results):
    """How many results of tf.gradients a tensor is made of, as far as arithmetic leads to them."""
    found: set = set()

    def inputs(op):
        found.update(graph.key(t) for t in op.inputs if _is_result(t, results))
        return [t for t in op.inputs if not _is_result(t, results)]

    graph.ancestors([tensor], inputs=inputs)
    return len(found)


def _global_norm(op, constants):
    """g * (c * min(1 / norm, 1 / c)), with what tells an infinite norm around the factor."""
    if op.type != "Mul":
        return None
    gradient, factor = op.inputs
    scale = factor
    if scale.op.type in SELECTS:
        scale = scale.op.inputs[1]
    elif scale.op.type in PLUS:
        scale = scale.op.inputs[0]
    if scale.op.type != "Mul":
        return None
    numbers = [constants.number(t) for t in scale.op.inputs]
    least = [t.op for t in scale.op.inputs if t.op.type == "Minimum"]
    if len(least) != 1 or not any(numbers):
        return None
    ratios = [t.op for t in least[0].inputs if t.op.type == "RealDiv"]
    norms = [ratio.inputs[1] for ratio in ratios if constants.number(ratio.inputs[1]) is None]
    limits = [constants.number(ratio.inputs[0]) for ratio in ratios]
    if len(norms) != 1 or norms[0].op.type != "Sqrt" or limits != [1.0, 1.0]:
        return None
    (limit,) = [n for n in numbers if n is not None]
    return _Change(GLOBAL_NORM, (limit,), gradient, norms[0])


def _norm(op, constants):
    """g * c / max(norm(g), c)."""
    if op.type != "RealDiv" or op.inputs[1].op.type != "Maximum" or op.inputs[0].op.type != "Mul":
        return None
    gradient, factor = op.inputs[0].op.inputs
    limit = constants.number(factor)
    norm, least = op.inputs[1].op.inputs
    whole = norm.shape.num_elements() == 1  # with axes= there are several norms
    if limit is None or not whole or constants.number(least) != limit:
        return None
    return _Change(NORM, (limit,), gradient) if graph.key(gradient) in map(graph.key, _squared(norm)) else None


def _squared(norm):
    """The tensors whose squares are behind a norm."""
    ops = graph.ancestors([norm], inputs=lambda op: () if _is_square(op) else op.inputs)
    return [op.inputs[0] for op in ops if _is_square(op)]


def _is_square(op):
    is_product = op.type == "Mul" and graph.key(op.inputs[0]) == graph.key(op.inputs[1])
    return is_product or op.type in ("Square", "L2Loss")


def _value(op, constants):
    """max(min(g, high), low)."""
    if op.type == "ClipByValue":
        gradient, low, high = op.inputs[0], constants.number(op.inputs[1]), constants.number(op.inputs[2])
    elif op.type == "Maximum" and op.inputs[0].op.type == "Minimum":
        inner = op.inputs[0].op
        gradient, low, high = inner.inputs[0], constants.number(op.inputs[1]), constants.number(inner.inputs[1])
    else:
        return None
    return None if low is None or high is None else _Change(VALUE, (low, high), gradient)
