"""How each variable of a graph decays: by a scope, by L2 in its gradient, by its optimizer or by a second step."""

from __future__ import annotations

import re

from tf1_wd import graph
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.migration import APPLIED, LAST, LOSS, OTHERWISE, Difference, rows_difference
from tf1_wd.commands.migrate.reading.differences import second_step
from tf1_wd.commands.migrate.reading.optimizer_settings import is_learning_rate
from tf1_wd.decay.attach import Attached
from tf1_wd.errors import MigrationError
from tf1_wd.graph.assignments import gradient_of
from tf1_wd.plan.options import COUPLED, TOUCHED_ROWS, given_rate, selected
from tf1_wd.plan.rates import check_rate
from tf1_wd.plan.scale_option import LEARNING_RATE

_HANDED_ON = frozenset(["Cast", "Identity"])


class Decays:
    """The decays of one graph; arguments as for reader.from_facts.

    differences: list of Difference, such as of the rows of tables. second: {variable: rate} of the pasted second step.
    scales: {name: the tensor that multiplies a decay}, where that is known at run time only. was_told: True once a rate
    was taken from `rates`.
    """

    def __init__(self, facts, results, scopes, rules, rates, constants):
        self.results, self.constants = results, constants
        self._graph, self._rules, self._told = facts.graph, rules, rates
        self._planned = {d.name: (d, s) for s in scopes for d in s.plan.decays if d.variable is not None}
        self._of_optimizers = {variable for variable, _ in facts.optimizer_decays}
        self.second = second_step(facts, constants)
        self.differences: list[Difference] = []
        self.scales: dict = {}
        self.was_told = False

    def gradient(self, update):
        """What an update applies, without the L2 that a scope has put there; None if its op does not tell."""
        decay, scope = self._planned.get(update.variable.name, (None, None))
        if decay is None and update.variable in update.step.gradients:
            return update.step.gradients[update.variable]
        if "Apply" not in update.op.type:
            return None
        tensor = gradient_of(update.op)
        if decay is not None and decay.rate is not None and scope.plan.order == COUPLED:
            return graph.through(tensor, _HANDED_ON).op.inputs[0]
        return tensor

    def place_of_l2(self, updates):
        """Where the L2 of these updates comes in, and so what its rates are of: a word of LOSS, APPLIED, LAST."""
        if any(update.variable.name in self._planned for update in updates):
            return LAST
        decaying = [update for update in updates if update.variable in update.step.rates]
        return LOSS if all(update.variable in update.step.loss_rates for update in decaying) else APPLIED

    def rate(self, update, changes):
        """(rate, (order, scale)) of a variable; (None, None) without decay. changes: as of migration.Loss."""
        name, step = update.variable.name, update.step
        decay, scope = self._planned.get(name, (None, None))
        ways: list = []
        if decay is not None and decay.rate is not None:
            self.differences += rows_difference(name, decay.rows)
            ways.append((decay.rate, (scope.plan.order, self._scale_in(scope, decay, update))))
        l2 = self._l2(update, changes)
        if decay is None and self._rules is not None:
            ways += self._by_rules(name, l2)
        elif l2 not in (None, 0.0) and (decay is None or isinstance(scope, Attached)):
            ways.append((l2, (COUPLED, 1.0)))
        if step.own_rate is not None and update.variable in self._of_optimizers:
            if "Apply" not in update.op.type or "Sparse" in update.op.type:
                self.differences += rows_difference(name, TOUCHED_ROWS)
            ways.append((step.own_rate, ("before", 1.0)))
        if update.variable in self.second:
            ways.append((self.second[update.variable], ("after", 1.0)))
        if not ways:
            return None, None
        if len(ways) > 1 and update.variable in self.second:
            raise MigrationError(
                "a second step on the penalties alone decays %s already: leave --decoupled out, or take the L2 out of "
                "the loss, or the second step out of the program" % name
            )
        if len(ways) > 1:
            raise MigrationError("%s decays in more than one way: `tf1-wd audit` tells them. Keep one of them" % name)
        rate, way = ways[0]
        if not isinstance(rate, float) and self._told is not None:
            rate, self.was_told = given_rate(self._told, None, name)[0], True
        if not isinstance(rate, float):
            problem = step.problems.get(update.variable)
            raise MigrationError(
                "the rate of %s is not in the graph%s. Say what it is: --rate '%s=RATE'"
                % (name, ": " + problem.text if problem else ", it is known at run time only", re.escape(name))
            )
        return rate, way

    def _scale_in(self, scope, decay, update):
        """The scale of a decay in a scope, as of migration.Part; remembers the tensor of one that changes."""
        scale = _scale_of(scope.rules)
        if scale == RUN_TIME:
            found = decay.scale_tensor
            tensor = self.scales[decay.name] = found if found is not None and found.graph is self._graph else None
            if tensor is not None and "Apply" in update.op.type and is_learning_rate(tensor, update.op):
                return LEARNING_RATE
        return scale

    def _l2(self, update, changes):
        """The rate of the L2 in the gradient; in the loss, where more than clips changes gradients. None without."""
        variable, step = update.variable, update.step
        rate = step.rates.get(variable)
        if rate is not None and any(kind == OTHERWISE for kind, _ in changes):
            return step.loss_rates.get(variable, rate)  # what changes the gradients changes the L2 in it too
        return rate

    def _by_rules(self, name, l2):
        """[the way in which a variable decays by the rules], or []. l2: its rate in the gradient, or None."""
        rate = given_rate(self._rules, None, name)[0]
        rate = l2 if rate is None else rate
        if rate is None or rate == 0.0 or not selected(self._rules, None, name):
            return []
        if isinstance(rate, float):
            check_rate(rate, name, "penalty in the loss", self._rules.scale)
        return [(rate, (self._rules.order, _scale_of(self._rules)))]


def _scale_of(rules):
    return rules.scale if rules.scale == LEARNING_RATE or isinstance(rules.scale, float) else RUN_TIME
