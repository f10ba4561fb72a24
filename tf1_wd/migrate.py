"""The TensorFlow 2 equivalent of what trains a TF1 graph: read off its ops, its L2 and the scopes that decay in it."""

from __future__ import annotations

import re
from dataclasses import replace

from tf1_wd import graph, step
from tf1_wd._tf import tf
from tf1_wd.applied import gradient_of
from tf1_wd.errors import MigrationError
from tf1_wd.facts import Constants
from tf1_wd.gradient_changes import changes_of
from tf1_wd.migrate_remarks import REPLICAS, TAKEN, Update, notes_on, of_second_step, of_terms, of_update
from tf1_wd.migration import Migration, Part, Step, Weight, rows_difference, scaled
from tf1_wd.report import RUN_TIME
from tf1_wd.rules import COUPLED, LEARNING_RATE, check_matches, given_rate, selected
from tf1_wd.structure import later_copies, trainable_variables
from tf1_wd.update_settings import settings_of

_SEED = re.compile(r"(^|/)grad_ys_\d+(/Const)?$")


def from_facts(program, facts, results=None, scopes=(), rules=None, rates=None) -> Migration:
    """The Migration of what facts say of a graph.

    program: its name. facts: facts.Facts. results: the keys of what tf.gradients returned, None if that is not known.
    scopes: those that decay in it, scope.Scope, or anything with their `plan` and `rules`; rates come from them then.
    rules: rules.Rules by which the L2 that was found is to decay instead. rates: rules.Rules with rates for variables
    whose rate the graph does not tell.

    Raises MigrationError if what trains, or what decays, cannot be said in TensorFlow 2; NoMatchError.
    """
    names = [(None, graph.variable_op(v).name) for v in trainable_variables(facts.graph)]
    for given in filter(None, (rules, rates)):
        check_matches(given, names)
    return _Reader(program, facts, results, scopes, rules, rates).migration()


class _Reader:
    def __init__(self, program, facts, results, scopes, rules, rates):
        self._program, self._facts, self._results = program, facts, results
        self._rules, self._told = rules, rates
        self._constants = Constants()
        self._planned = {d.name: (d, s) for s in scopes for d in s.plan.decays if d.variable is not None}
        self._scopes = scopes
        self._differences = []

    def migration(self):
        self._refuse_own_decay()
        updates = self._updates()
        if not updates:
            raise MigrationError(
                "%s updates no trainable variable by an optimizer, so there is nothing to migrate: give it the graph "
                "of the training" % self._program
            )
        second = self._second_step()
        steps = [self._step(members, second) for members in self._by_loss(updates)]
        self._differences += of_second_step(self._facts, updates, second)
        self._differences += of_terms(self._scopes)
        order = tuple(graph.variable_op(v).name for v in trainable_variables(self._facts.graph))
        notes = notes_on(self._facts, updates, is_decoupled=bool(self._scopes))
        return Migration(self._program, tuple(steps), tuple(dict.fromkeys(self._differences)), notes, order)

    # --- what updates

    def _updates(self):
        found = []
        for of in self._facts.steps:
            for variable, ops in of.updates.items():
                ops = [op for op in ops if not step.is_decay(op)]
                found += [Update(variable, op, of, settings_of(op, self._constants)) for op in ops]
        copies = later_copies(self._facts.graph)
        if copies:
            self._differences.append(REPLICAS)
        found = [u for u in found if not u.of.decays_only and u.variable not in copies]
        known = {update.optimizer: update.settings for update in found if update.settings is not None}
        for update in found:
            if update.settings is None:
                if update.optimizer not in known:
                    raise MigrationError(
                        "%s is updated by %s (%s), which does not tell the optimizer: move that update by hand, and "
                        "put tf1_wd.tf2.decay before or behind it"
                        % (update.variable.name, update.op.name, update.op.type)
                    )
                update.settings = known[update.optimizer]
        return found

    def _by_loss(self, updates):
        """The updates, in lists of those whose gradients come out of one call of tf.gradients."""
        groups, seeds = {}, {}
        for update in updates:
            if update.optimizer not in seeds:
                tensors = [gradient_of(u.op) for u in updates if u.optimizer == update.optimizer]
                found = frozenset(op.name for op in graph.ancestors(tensors) if _SEED.search(op.name))
                seeds[update.optimizer] = found or update.optimizer
            groups.setdefault(seeds[update.optimizer], []).append(update)
        return groups.values()

    def _step(self, updates, second):
        groups = {}
        for update in updates:
            groups.setdefault((update.optimizer, update.settings), []).append(update)
        tensors = [self._gradient(u) for u in updates if "Apply" in u.op.type]
        changes = changes_of(tensors, self._results, self._constants)
        if graph.is_taken(tensors):
            self._differences.append(TAKEN)
        return Step(tuple(self._part(members, second) for members in groups.values()), changes)

    def _gradient(self, update):
        """What an update op takes, without the L2 that a scope has put there."""
        tensor = gradient_of(update.op)
        decay, scope = self._planned.get(update.variable.name, (None, None))
        if decay is not None and decay.rate is not None and scope.plan.order == COUPLED:
            while tensor.op.type in ("Cast", "Identity"):
                tensor = tensor.op.inputs[0]
            tensor = tensor.op.inputs[0]
        return tensor

    def _part(self, updates, second):
        settings, of = updates[0].settings, updates[0].of
        weights, orders = [], set()
        for update in updates:
            rate, order = self._rate(update, second)
            orders.add(order)
            shape = tf.TensorShape(update.variable.get_attr("shape"))
            dims = tuple(shape.as_list()) if shape.rank is not None else (None,)
            reached = "Apply" not in update.op.type or self._constants.number(gradient_of(update.op)) != 0.0
            is_table = "Sparse" in update.op.type or "Apply" not in update.op.type
            weights.append(Weight(update.variable.name, dims, rate, reached, is_table))
            self._differences += of_update(update)
        orders.discard(None)
        if len(orders) > 1:
            raise MigrationError(
                "of the variables of %s some decay in one way and some in another (%s): migrate them apart"
                % (of.optimizer, ", ".join(sorted(order for order, _ in orders)))
            )
        order, scale = orders.pop() if orders else (COUPLED, 1.0)
        name = str(settings.rate_key) if settings.learning_rate == RUN_TIME else ""
        values = dict(settings.values)
        part = Part(settings.optimizer, values, settings.learning_rate, tuple(weights), order, rate_name=name)
        part = replace(part, is_l2_last=any(w.name in self._planned for w in weights))
        return scaled(part, scale)

    # --- what decays

    def _rate(self, update, second):
        """(rate, (order, scale)) of a variable; (None, None) without decay."""
        name, of = update.variable.name, update.of
        ways = []
        if name in self._planned:
            decay, scope = self._planned[name]
            if decay.rate is not None:
                self._differences += rows_difference(name, decay.rows)
                ways.append((decay.rate, (scope.plan.order, _scale_of(scope.rules))))
        elif self._rules is not None:
            ways += self._by_rules(name, of.rates.get(update.variable))
        elif of.rates.get(update.variable, 0.0) != 0.0:
            ways.append((of.rates[update.variable], (COUPLED, 1.0)))
        if of.own_rate is not None and update.variable in {v for v, _ in self._facts.own_decays}:
            ways.append((of.own_rate, ("before", 1.0)))
        if update.variable in second:
            ways.append((second[update.variable], ("after", 1.0)))
        if not ways:
            return None, None
        if len(ways) > 1 and update.variable in second:
            raise MigrationError(
                "a second step on the penalties alone decays %s already: leave --decoupled out, or take the L2 out of "
                "the loss, or the second step out of the program" % name
            )
        if len(ways) > 1:
            raise MigrationError("%s decays in more than one way: `tf1-wd audit` tells them. Keep one of them" % name)
        rate, way = ways[0]
        if not isinstance(rate, float) and self._told is not None:
            rate = given_rate(self._told, None, name)[0]
        if not isinstance(rate, float):
            problem = of.problems.get(update.variable)
            raise MigrationError(
                "the rate of %s is not in the graph%s. Say what it is: --rate '%s=RATE'"
                % (name, ": " + problem if problem else ", it is known at run time only", re.escape(name))
            )
        return rate, way

    def _by_rules(self, name, l2):
        """[the way in which a variable decays by the rules], or []. l2: its rate in the gradient, or None."""
        rate = given_rate(self._rules, None, name)[0]
        rate = l2 if rate is None else rate
        if rate is None or rate == 0.0 or not selected(self._rules, None, name)[0]:
            return []
        return [(rate, (self._rules.order, _scale_of(self._rules)))]

    def _second_step(self):
        """{variable: rate} of the pasted second step: gradient descent on the penalties alone."""
        found = {}
        for of in self._facts.steps:
            for variable, rate in of.rates.items() if of.decays_only else ():
                settings = [settings_of(op, self._constants) for op in of.updates.get(variable, ())]
                if not settings or any(s is None or s.optimizer != "sgd" for s in settings):
                    raise MigrationError(
                        "a second step on the penalties alone trains %s, and is not gradient descent: that is no decay"
                        % variable.name
                    )
                if isinstance(rate, float) and isinstance(settings[0].learning_rate, float):
                    found[variable] = rate * settings[0].learning_rate
                else:
                    found[variable] = RUN_TIME
        return found

    def _refuse_own_decay(self):
        for of in self._facts.steps:
            if of.own_decay and of.own_rate is None:
                raise MigrationError(
                    "%s, by a rule of its own that Keras need not have: move the class by hand, without the decay, and "
                    "put tf1_wd.tf2.decay in front of its update" % of.own_decay
                )
        told = {variable for of in self._facts.steps if of.own_rate is not None for variable in of.updates}
        for variable, op in self._facts.own_decays:
            if variable not in told:
                raise MigrationError(
                    "the program decays %s by itself (in %s): move that by hand; tf1_wd.tf2.decay(variables, rate) "
                    "does the same" % (variable.name, op.name)
                )
        if step.made_in(self._facts.graph) and not self._scopes:
            raise MigrationError(
                "the graph decays by tf1_wd already, and does not tell the rates: give the program that builds it, or "
                "the plan, which `tf1-wd run --report FILE` writes"
            )


def _scale_of(rules):
    if rules.scale == LEARNING_RATE or isinstance(rules.scale, float):
        return rules.scale
    return RUN_TIME
