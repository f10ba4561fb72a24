"""L2 in a gradient that is there already: put in or taken out by hand with tf1_wd, or of the loss."""

from __future__ import annotations

import warnings
from typing import Any, Iterable, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.errors import CoupledPenaltyError, InvalidOptionError, Tf1WdWarning
from tf1_wd.graph.gradients import Gradient, Pairs, tensors_of
from tf1_wd.graph.variables import size_of
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.penalties.in_gradients import l2_in

# collections: a graph that keeps its ops in a dict of ours would never go away
_ADDED, _REMOVED = "tf1_wd/l2_added", "tf1_wd/l2_removed"


def mark(amounts: Iterable[tf.Tensor], sign: float) -> None:
    """Marks tensors (rate * w) that were added to gradients by hand; for a negative sign, those that were taken off."""
    tf.get_default_graph().get_collection_ref(_ADDED if sign > 0 else _REMOVED).extend(a.op for a in amounts)


def has_l2_by_hand(tf_graph: tf.Graph) -> bool:
    """True for a graph in which L2 was added to gradients, or taken out of them, by hand."""
    return any(tf_graph.get_collection(name) for name in (_ADDED, _REMOVED))


def marked_in(variable: tf.Operation) -> list[set[tf.Operation]]:
    """The ops that were added in the graph of a variable (its op), and those that were taken off."""
    graphs = {variable.graph, tf.get_default_graph()}  # the latter may be the body of a function
    return [{op for g in graphs for op in g.get_collection(name)} for name in (_ADDED, _REMOVED)]


def refuse_second(gradient: Gradient, variable: tf.Variable, name: str) -> None:
    """Raises CoupledPenaltyError if L2 of a variable is in its gradient, so that more of it would double it."""
    if gradient is None or tf.distribute.has_strategy():  # each replica reads a copy of its own
        return
    net, of_loss = _l2_of(gradient, graph.variable_op(variable))
    if of_loss + net <= 0:
        return
    if net > 0:
        raise CoupledPenaltyError(
            "add_decay_to_gradients has put L2 of %s into its gradient already, and a second time would double it: "
            "call it once, or leave the variable out of one of the plans" % name
        )
    raise CoupledPenaltyError.of_gradient(
        name,
        "holds L2 already, of the loss, and more would come on top of it: take it out of the loss, or out of the "
        "gradient by remove_decay_from_gradients, or leave the variable out of the plan; if both are meant, make the "
        "coefficient in the loss their sum",
    )


def refuse_missing(gradient: Gradient, variable: tf.Variable, name: str) -> None:
    """Raises InvalidOptionError if a gradient holds no L2 of its variable to take out, and warns if none is seen."""
    if gradient is None:
        raise InvalidOptionError("%s has no gradient, so there is no L2 in it: leave it out of the plan" % name)
    if tf.distribute.has_strategy():
        return
    op = graph.variable_op(variable)
    net, of_loss = _l2_of(gradient, op)
    if of_loss + net > 0:
        return
    added, removed = marked_in(op)
    behind = map(_tf.outer_op, graph.ancestors(tensors_of(gradient)[:1], stop=added | removed, inputs=graph.sources))
    if net < 0 or not any(o is op or graph.is_input(o) for o in behind):
        raise InvalidOptionError(
            "there is no L2 of %s in its gradient%s, and taking it out would let the weights grow: leave it out of the "
            "plan" % (name, " any more" if net < 0 else "")
        )
    warnings.warn(
        "no L2 of %s is seen in its gradient. If the loss holds none, to take it out lets the weights grow: leave the "
        "variable out of the plan" % name,
        Tf1WdWarning,
        stacklevel=4,
    )


def refuse_by_hand(pairs: Pairs, decays: Iterable[Any], calls: Sequence[GradientCall]) -> None:
    """Raises CoupledPenaltyError for L2 by hand in the gradient of a variable whose decay a scope sees to.

    calls: those of the scope, which have taken L2 of the loss out of their gradients.
    """
    if tf.distribute.has_strategy():
        return
    names = {graph.variable_op(d.variable): d.name for d in decays}
    for gradient, op in [(g, graph.variable_op(v)) for g, v in pairs if g is not None]:
        if op not in names or not any(marked_in(op)):
            continue
        net = _l2_of(gradient, op)[0]
        if net > 0:
            raise CoupledPenaltyError(
                "add_decay_to_gradients has put L2 of %s into its gradient, and this scope sees to its decay too: use "
                "one of the two, or exclude the variable in one of them" % names[op]
            )
        if net < 0 and any(op in call.rates for call in calls):
            raise CoupledPenaltyError(
                "remove_decay_from_gradients takes L2 of %s out of a gradient that this scope has freed of it, so the "
                "weights would grow: leave the call out" % names[op]
            )


def _l2_of(gradient: Gradient, variable: tf.Operation) -> tuple[int, int]:
    """(how often L2 was added by hand to a gradient, less how often it was taken out; 1 if the loss has put it in).

    Of a variable of a single element that is 0: there, the gradient of any loss may be a number times the weight.
    """
    added, removed = marked_in(variable)
    found = list(l2_in(tensors_of(gradient)[0], variable, added | removed))
    net = sum((op in added) - (op in removed) for op in found if _weights_in(op) is variable)
    if size_of(variable) == 1:
        return net, 0
    return net, int(any(op not in added and op not in removed for op in found))


def _weights_in(amount: tf.Operation) -> tf.Operation:
    """The variable (its op) that is multiplied in an op of `mark`: factor * weights, or rows of them."""
    op = amount.inputs[1].op
    while not graph.is_variable(op) and op.inputs:
        op = _tf.outer_op(op.inputs[0].op)
    return op
