"""The TensorFlow 2 equivalent of what trains a TF1 graph: read off its ops, its L2 and the scopes that decay in it."""

from __future__ import annotations

import re
from dataclasses import replace

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.from_graph import l2_in
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.migration import (
    APPLIED,
    LAST,
    LOSS,
    OTHERWISE,
    Loss,
    Migration,
    Part,
    Step,
    Weight,
    rows_difference,
    scaled,
    terms_difference,
)
from tf1_wd.commands.migrate.reading.clips import ACCUMULATED, changes_of, seeds_of
from tf1_wd.commands.migrate.reading.differences import (
    REPLICAS,
    SUMMED,
    TAKEN,
    notes_on,
    of_assignments,
    of_one_run,
    of_second_step,
    of_updates,
    refuse_own_rules,
    refuse_what_is_not_followed,
    second_step,
)
from tf1_wd.commands.migrate.reading.optimizer_settings import is_learning_rate, settings_of
from tf1_wd.commands.migrate.reading.schedules import adds_one, scheduled
from tf1_wd.commands.migrate.reading.updates import Update
from tf1_wd.decay.attach import Attached
from tf1_wd.errors import InvalidOptionError, MigrationError
from tf1_wd.graph.assignments import gradient_of
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.marks import is_decay
from tf1_wd.graph.variables import later_copies, trainable_variables
from tf1_wd.plan.options import COUPLED, TOUCHED_ROWS, check_matches, given_rate, selected
from tf1_wd.plan.reasons import Fate
from tf1_wd.plan.scale_option import LEARNING_RATE


def from_facts(program, facts, results=None, scopes=(), rules=None, rates=None, run=None) -> Migration:
    """The Migration of what facts say of a graph.

    program: its name. facts: facts.Facts. results: the keys of what tf.gradients returned, None if that is not known.
    scopes: those that decay in it, scope.Scope, or anything with their `plan` and `rules`; rates come from them then.
    rules: rules.Rules by which the L2 that was found is to decay instead. rates: rules.Rules with rates for variables
    whose rate the graph does not tell. run: the ops that one run of the training executes; None if that is not known.

    Raises MigrationError if what trains, or what decays, cannot be said in TensorFlow 2; NoMatchError.
    """
    names = [(None, graph.variable_op(v).name) for v in trainable_variables(facts.graph)]
    for given in filter(None, (rules, rates)):
        check_matches(given, names)
    return _Reader(program, facts, results, scopes, rules, rates, run).migration()


class _Reader:
    def __init__(self, program, facts, results, scopes, rules, rates, run):
        self._run = None if run is None else set(run)
        self._program, self._facts, self._results = program, facts, results
        self._rules, self._told = rules, rates
        self._constants = Constants()
        self._planned = {d.name: (d, s) for s in scopes for d in s.plan.decays if d.variable is not None}
        self._scopes, self._scales = scopes, {}
        self._differences, self._was_told = [], False

    def migration(self):
        refuse_own_rules(self._facts, self._scopes)
        updates = self._updates()
        if not updates:
            raise MigrationError(
                "%s updates no trainable variable by an optimizer, so there is nothing to migrate: give it the graph "
                "of the training" % self._program
            )
        second = second_step(self._facts, self._constants)
        losses = [(members, self._loss(members, second)) for members in self._by_loss(updates)]
        steps = self._at_once(losses)
        self._differences += [
            *of_updates(updates, self._facts),
            *of_second_step(self._facts, updates, second, self._run),
            *of_assignments(self._facts, updates),
        ]
        for scope in self._scopes:
            self._differences += terms_difference([(n, fate) for n, fate in scope.plan.terms if fate is Fate.OWN_STEP])
        order = tuple(graph.variable_op(v).name for v in trainable_variables(self._facts.graph))
        notes = notes_on(self._facts, updates, is_decoupled=bool(self._scopes))
        if len(steps) > 1 and self._run is None:
            notes += (_NOT_KNOWN,)
        if self._told is not None and not self._was_told:
            raise InvalidOptionError("--rate: the graph tells all rates. To have others, use --decoupled --rate")
        return Migration(self._program, tuple(steps), tuple(dict.fromkeys(self._differences)), notes, order)

    def _at_once(self, losses):
        """Steps: the losses whose updates are all in one run of the training come together."""
        at_once = [pair for pair in losses if self._run and all(u.op in self._run for u in pair[0])]
        self._differences += of_one_run([members for members, _ in at_once])
        together = [loss for _, loss in at_once]
        apart = [Step((loss,)) for _, loss in losses if loss not in together]
        return ([Step(tuple(together))] if together else []) + apart

    # --- what updates

    def _updates(self):
        found = []
        for of in self._facts.steps:
            for variable, ops in of.updates.items():
                # one that is counted is a global step that tf.Variable has made trainable
                ops = [op for op in ops if not (is_decay(op) or adds_one(op, variable, self._constants))]
                found += [Update(variable, op, of, settings_of(op, self._constants)) for op in ops]
        copies = later_copies(self._facts.graph)
        if copies:
            self._differences.append(REPLICAS)
        found = [u for u in found if not u.of.decays_only and u.variable not in copies]
        refuse_what_is_not_followed(self._facts)
        known = {update.optimizer: update.settings for update in found if update.settings is not None}
        for update in found:
            if update.settings is None:
                settings = known.get(update.optimizer)
                kind = update.op.type.replace("Resource", "")
                if settings is None or not kind.startswith(_SPARSE.get(settings.optimizer, "none")):
                    raise MigrationError(
                        "%s is updated by %s (%s), which does not tell the optimizer: move that update by hand, and "
                        "put tf1_wd.tf2.decay before or behind it"
                        % (update.variable.name, update.op.name, update.op.type)
                    )
                update.settings = settings
        return found

    def _by_loss(self, updates):
        """The updates, in lists of those whose gradients come out of one call of tf.gradients."""
        groups, seeds = {}, {}
        for update in updates:
            if update.optimizer not in seeds:
                tensors = [gradient_of(u.op) for u in updates if u.optimizer == update.optimizer]
                seeds[update.optimizer] = seeds_of(tensors)[0] or update.optimizer
            groups.setdefault(seeds[update.optimizer], []).append(update)
        return groups.values()

    def _loss(self, updates, second):
        groups = {}
        for update in updates:
            groups.setdefault((update.optimizer, update.settings), []).append(update)
        tensors = [t for t in map(self._gradient, updates) if t is not None]
        changes = changes_of(tensors, self._results, self._constants)
        if graph.is_taken(tensors):
            self._differences.append(TAKEN)
        if any(kind == OTHERWISE and ACCUMULATED in known for kind, known in changes):
            self._differences.append(SUMMED)
        return Loss(tuple(self._part(members, second, changes) for members in groups.values()), changes)

    def _gradient(self, update):
        """What an update applies, without the L2 that a scope has put there; None if its op does not tell."""
        if update.variable.name not in self._planned and update.variable in update.of.gradients:
            return update.of.gradients[update.variable]
        if "Apply" not in update.op.type:
            return None
        tensor = gradient_of(update.op)
        decay, scope = self._planned.get(update.variable.name, (None, None))
        if decay is not None and decay.rate is not None and scope.plan.order == COUPLED:
            while tensor.op.type in ("Cast", "Identity"):
                tensor = tensor.op.inputs[0]
            tensor = tensor.op.inputs[0]
        return tensor

    def _part(self, updates, second, changes):
        settings, of = updates[0].settings, updates[0].of
        weights, orders = [], set()
        for update in updates:
            rate, order = self._rate(update, second, changes)
            orders.add(order)
            shape = tf.TensorShape(update.variable.get_attr("shape"))
            dims = tuple(shape.as_list()) if shape.rank is not None else (None,)
            reached = "Apply" not in update.op.type or self._constants.number(gradient_of(update.op)) != 0.0
            is_table = "Sparse" in update.op.type or "Apply" not in update.op.type
            weights.append(Weight(update.variable.name, dims, rate, reached, is_table))
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
        part = replace(part, l2=self._place(updates))
        ops, scales = [u.op for u in updates], [self._scales.get(u.variable.name) for u in updates]
        return scaled(scheduled(part, ops, scales, self._constants, self._run), scale)

    def _place(self, updates):
        """Where the L2 of a part comes in, and so what its rates are of."""
        if any(update.variable.name in self._planned for update in updates):
            return LAST
        decaying = [update for update in updates if update.variable in update.of.rates]
        return LOSS if all(update.variable in update.of.loss_rates for update in decaying) else APPLIED

    # --- what decays

    def _rate(self, update, second, changes):
        """(rate, (order, scale)) of a variable; (None, None) without decay."""
        name, of = update.variable.name, update.of
        ways, decay = [], None
        if name in self._planned:
            decay, scope = self._planned[name]
            if decay.rate is not None:
                self._differences += rows_difference(name, decay.rows)
                ways.append((decay.rate, (scope.plan.order, self._scale_in(scope, decay, update))))
        l2 = self._l2(update, changes)
        if decay is None and self._rules is not None:
            ways += self._by_rules(name, l2)
        elif l2 not in (None, 0.0) and (decay is None or isinstance(scope, Attached)):
            ways.append((l2, (COUPLED, 1.0)))
        if of.own_rate is not None and update.variable in {v for v, _ in self._facts.own_decays}:
            if "Apply" not in update.op.type or "Sparse" in update.op.type:
                self._differences += rows_difference(name, TOUCHED_ROWS)
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
            rate, self._was_told = given_rate(self._told, None, name)[0], True
        if not isinstance(rate, float):
            problem = of.problems.get(update.variable)
            raise MigrationError(
                "the rate of %s is not in the graph%s. Say what it is: --rate '%s=RATE'"
                % (name, ": " + problem.text if problem else ", it is known at run time only", re.escape(name))
            )
        return rate, way

    def _scale_in(self, scope, decay, update):
        """The scale of a decay in a scope, as of migration.Part; remembers the tensor of one that changes."""
        scale = _scale_of(scope.rules)
        if scale == RUN_TIME:
            tensor = decay.scale_tensor
            if tensor is not None and tensor.graph is not self._facts.graph:
                tensor = None
            self._scales[decay.name] = tensor
            if tensor is not None and "Apply" in update.op.type and is_learning_rate(tensor, update.op):
                return LEARNING_RATE
        return scale

    def _l2(self, update, changes):
        """The rate of the L2 in the loss, or in a graph from a file in the gradient; None without."""
        of = update.of
        if self._results is None and len(of.updates[update.variable]) > 1:  # rates are those of all updates together
            multiples, _ = l2_in(gradient_of(update.op), update.variable, self._constants)
            return (RUN_TIME if None in multiples else float(sum(multiples))) if multiples else None
        if not any(kind == OTHERWISE for kind, _ in changes):
            return of.rates.get(update.variable)
        if of.rates.get(update.variable) is not None and update.variable in of.loss_rates:
            return of.loss_rates[update.variable]  # what changes the gradients changes the L2 in it too
        return of.rates.get(update.variable)

    def _by_rules(self, name, l2):
        """[the way in which a variable decays by the rules], or []. l2: its rate in the gradient, or None."""
        rate = given_rate(self._rules, None, name)[0]
        rate = l2 if rate is None else rate
        if rate is None or rate == 0.0 or not selected(self._rules, None, name)[0]:
            return []
        return [(rate, (self._rules.order, _scale_of(self._rules)))]


# optimizer -> how the ops begin that update a table without "Apply" in their name
_SPARSE = {"adam": "Assign", "sgd": "Scatter"}
_NOT_KNOWN = (
    "Whether the program runs its optimizers in one run or in turn is not in the graph. The code has a step for each "
    "loss: called one after the other, the second sees the weights that the first has updated"
)


def _scale_of(rules):
    if rules.scale == LEARNING_RATE or isinstance(rules.scale, float):
        return rules.scale
    return RUN_TIME
