"""What a program does to its gradients before it applies them: clips are recognised, the rest is told by its ops."""

from __future__ import annotations

import re

from tf1_wd import graph
from tf1_wd.migration import GLOBAL_NORM, NORM, OTHERWISE, VALUE

# what brings the rows of a sparse gradient together, and what changes no number
_SAME = frozenset(["Identity", "UnsortedSegmentSum"])
_IN_GRADIENTS = re.compile(r"(^|/)gradients(_\d+)?/")


def changes_of(gradients, results, constants):
    """What becomes of the gradients of one loss, in order: tuple of (kind, numbers) as migration.Step.changes has them.

    gradients: list of tf.Tensor, each applied to another variable. results: the keys (graph.key) of what tf.gradients
    returned; None for a graph from a file, where names tell it. constants: facts.Constants.
    """
    found = [_changes(tensor, results, constants) for tensor in gradients]
    if not found:
        return ()
    unknown = [change for changes in found for change in changes if change[0] == OTHERWISE]
    if not unknown and all(changes == found[0] for changes in found):
        return tuple((kind, numbers) for kind, numbers, _ in found[0])
    words = {words for _, words, _ in unknown} or {"%s of some gradients" % ", ".join(_kinds(found))}
    return ((OTHERWISE, tuple(sorted(words))),)


def _kinds(found):
    return sorted({kind for changes in found for kind, _, _ in changes})


def _changes(tensor, results, constants):
    """[(kind, numbers, what is the same for all gradients that are changed together)] of one gradient."""
    found = []
    while not _is_result(tensor, results):
        if tensor.op.type in _SAME:
            tensor = tensor.op.inputs[0]
            continue
        for look in (_global_norm, _norm, _value):
            before, *change = look(tensor.op, constants)
            if before is not None:
                break
        else:
            several = "puts several gradients together: " if _behind(tensor, results) > 1 else ""
            return [(OTHERWISE, several + tensor.op.type, None)]
        found.insert(0, tuple(change))
        tensor = before
    return found


def _is_result(tensor, results):
    if graph.is_accumulator(tensor.op):  # what workers have computed
        return True
    if results is not None:
        return graph.key(tensor) in results
    name = tensor.op.name
    return bool(_IN_GRADIENTS.search(name)) and "clip" not in name.rsplit("gradients", 1)[1]


def _behind(tensor, results):
    """How many results of tf.gradients a tensor is made of, as far as arithmetic leads to them."""
    pending, seen, found = [tensor], set(), set()
    while pending:
        tensor = pending.pop()
        if _is_result(tensor, results):
            found.add(graph.key(tensor))
        elif tensor.op not in seen and len(seen) < 1000:
            seen.add(tensor.op)
            pending += tensor.op.inputs
    return len(found)


_NONE = (None,)


def _global_norm(op, constants):
    """g * (c * min(1 / norm, 1 / c)), with what tells an infinite norm around the factor."""
    if op.type != "Mul":
        return _NONE
    gradient, factor = op.inputs
    scale = factor
    if scale.op.type in ("Select", "SelectV2"):
        scale = scale.op.inputs[1]
    elif scale.op.type in ("Add", "AddV2"):
        scale = scale.op.inputs[0]
    if scale.op.type != "Mul":
        return _NONE
    numbers = [constants.number(t) for t in scale.op.inputs]
    least = [t.op for t in scale.op.inputs if t.op.type == "Minimum"]
    if len(least) != 1 or not any(numbers):
        return _NONE
    ratios = [t.op for t in least[0].inputs if t.op.type == "RealDiv"]
    norms = [ratio.inputs[1] for ratio in ratios if constants.number(ratio.inputs[1]) is None]
    limits = [constants.number(ratio.inputs[0]) for ratio in ratios]
    if len(norms) != 1 or norms[0].op.type != "Sqrt" or limits != [1.0, 1.0]:
        return _NONE
    (limit,) = [n for n in numbers if n is not None]
    return gradient, GLOBAL_NORM, (limit,), graph.key(norms[0])


def _norm(op, constants):
    """g * c / max(norm(g), c)."""
    if op.type != "RealDiv" or op.inputs[1].op.type != "Maximum" or op.inputs[0].op.type != "Mul":
        return _NONE
    gradient, factor = op.inputs[0].op.inputs
    limit = constants.number(factor)
    norm, least = op.inputs[1].op.inputs
    if limit is None or constants.number(least) != limit or graph.key(gradient) not in map(graph.key, _squared(norm)):
        return _NONE
    return gradient, NORM, (limit,), None


def _squared(norm):
    """The tensors that are multiplied by themselves behind a norm."""
    pending, found = [(norm, 0)], []
    while pending:
        tensor, depth = pending.pop()
        op = tensor.op
        if op.type == "Square" or (op.type == "Mul" and graph.key(op.inputs[0]) == graph.key(op.inputs[1])):
            found.append(op.inputs[0])
        elif depth < 6:
            pending += [(t, depth + 1) for t in op.inputs]
    return found


def _value(op, constants):
    """max(min(g, high), low)."""
    if op.type == "ClipByValue":
        gradient, low, high = op.inputs[0], constants.number(op.inputs[1]), constants.number(op.inputs[2])
    elif op.type == "Maximum" and op.inputs[0].op.type == "Minimum":
        inner = op.inputs[0].op
        gradient, low, high = inner.inputs[0], constants.number(op.inputs[1]), constants.number(inner.inputs[1])
    else:
        return _NONE
    return _NONE if low is None or high is None else (gradient, VALUE, (low, high), None)
