"""The terms of a loss that take a step of their own in an update, by what the program made of its gradients."""

from __future__ import annotations

from typing import Callable, Mapping

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.other_terms import Replay
from tf1_wd.decay.scope.gradient_sources import Upstream
from tf1_wd.decay.scope.net_rate import net_coefficient, read_in_time
from tf1_wd.graph.gradients import Pairs, Scalar
from tf1_wd.graph.variables import checkpoint_name
from tf1_wd.penalties.find import LINEAR, ROWS, VARIABLES
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.penalties.other_words import OwnTerm
from tf1_wd.plan.options import Rules, given_rate, selected


def loss_terms(pairs: Pairs, behind: dict[int, list[GradientCall]], rules: Rules, upstream: Upstream) -> list[Replay]:
    """The terms of the loss with a step of their own in one update, and their net coefficients by variable.

    Args, Raises: as for net_rate.loss_rates. Where the rules leave a term out, its coefficient is that in the loss.
    """
    own_terms = {id(own): own for calls in behind.values() for call in calls for own in call.own}
    found = []
    for own in own_terms.values():
        factors: dict[tf.Operation, Scalar] = {}
        for gradient, variable in pairs:
            op, name = graph.variable_op(variable), checkpoint_name(variable)
            if op not in own.term.variables:
                continue
            if not any(o is own for call in behind[id(variable)] for o in call.own):
                continue
            given = own.term.rest in (LINEAR, ROWS) and given_rate(rules, variable, name)[0] is not None
            factor: Scalar | None = own.coefficient
            if (
                not given
                and selected(rules, variable, name)
                and (rules.source != "collection" or own.term.rest == VARIABLES)
            ):
                factor = net_coefficient(gradient, variable, name, behind[id(variable)], upstream, _only(own))
                read_in_time(factor, gradient)
            if factor is not None:
                factors[op] = factor
        if factors:
            found.append(Replay(own.term, factors))
    return found


def _only(own: OwnTerm) -> Callable[[GradientCall], Mapping[tf.Operation, Scalar]]:
    """What gives the coefficient of one term in a call, by variable."""
    coefficients = dict.fromkeys(own.term.variables, own.coefficient)
    return lambda call: coefficients if any(o is own for o in call.own) else {}
