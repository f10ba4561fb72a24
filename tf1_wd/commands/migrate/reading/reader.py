"""The TensorFlow 2 equivalent of what trains a TF1 graph: read off its ops, its L2 and the scopes that decay in it."""

from __future__ import annotations

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.assemble import audit_facts
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate import migration
from tf1_wd.commands.migrate.migration import OTHERWISE, Difference, Loss, Migration, Part, RunStep, Weight
from tf1_wd.commands.migrate.reading import differences
from tf1_wd.commands.migrate.reading.clips import ACCUMULATED, changes_of, seeds_of
from tf1_wd.commands.migrate.reading.optimizer_settings import UpdateOp, learning_rate_of, settings_of
from tf1_wd.commands.migrate.reading.rates import Decays
from tf1_wd.commands.migrate.reading.schedules import adds_one, schedule_of
from tf1_wd.errors import InvalidOptionError, MigrationError
from tf1_wd.graph.assignments import gradient_of
from tf1_wd.graph.constants import Constants
from tf1_wd.graph.marks import is_decay
from tf1_wd.graph.variables import later_copies, trainable_variables
from tf1_wd.plan.optimizer_table import MIGRATED
from tf1_wd.plan.options import COUPLED, check_matches

_NOT_KNOWN = (
    "Whether the program runs its optimizers in one run or in turn is not in the graph. The code has a step for each "
    "loss: called one after the other, the second sees the weights that the first has updated"
)


def from_facts(program, facts, results=None, scopes=(), rules=None, rates=None, run=None) -> Migration:
    """The Migration of what facts say of a graph.

    program: its name. facts: facts.Facts. results: the keys of what tf.gradients returned; None: those of the facts.
    scopes: those that decay in it, scope.Scope, or anything with their `plan` and `rules`; rates come from them then.
    rules: options.Rules by which the L2 that was found is to decay instead. rates: options.Rules with rates for
    variables whose rate the graph does not tell. run: the ops that one run of the training executes; None if that is
    not known.

    Raises MigrationError if what trains, or what decays, cannot be said in TensorFlow 2; NoMatchError.
    """
    names = [graph.variable_op(v).name for v in trainable_variables(facts.graph)]
    for given in filter(None, (rules, rates)):
        check_matches(given, [(None, name) for name in names])
    run = None if run is None else set(run)
    constants = Constants()
    differences.refuse_own_rules(facts, scopes)
    updates = _updates(facts, constants)
    if not updates:
        raise MigrationError(
            "%s updates no trainable variable by an optimizer, so there is nothing to migrate: give it the graph of "
            "the training" % program
        )
    decays = Decays(facts, facts.results if results is None else results, scopes, rules, rates, constants)
    losses = [(members, _loss(members, decays, run)) for members in _by_loss(updates)]
    steps, at_once = _steps(losses, run)
    report = audit_facts("", [facts], has_lines=False)
    found: list[Difference] = [
        *([differences.REPLICAS] if later_copies(facts.graph) else []),
        *decays.differences,
        *differences.of_one_run(at_once),
        *differences.of_updates(updates, facts),
        *differences.of_second_step(facts, updates, decays.second, run, report),
        *differences.of_assignments(facts, updates),
        *migration.terms_difference([term for scope in scopes for term in scope.plan.terms if term[1].is_own_step]),
    ]
    notes = differences.notes_on(facts, updates, report, is_decoupled=bool(scopes))
    if len(steps) > 1 and run is None:
        notes += (_NOT_KNOWN,)
    if rates is not None and not decays.was_told:
        raise InvalidOptionError("--rate: the graph tells all rates. To have others, use --decoupled --rate")
    return Migration(program, tuple(steps), tuple(dict.fromkeys(found)), notes, tuple(names))


def _steps(losses, run):
    """(Steps, updates of losses that are in one run of the training): these losses come together.

    losses: pairs of the updates of a loss and its migration.Loss. run: a set of ops, None if that is not known.
    """
    at_once = [pair for pair in losses if run and all(u.op in run for u in pair[0])]
    together = [loss for _, loss in at_once]
    apart = [RunStep((loss,)) for _, loss in losses if loss not in together]
    return ([RunStep(tuple(together))] if together else []) + apart, [members for members, _ in at_once]


def _updates(facts, constants):
    """The Updates of a graph that train, each with its settings."""
    found = []
    for step in facts.steps:
        for variable, ops in step.updates.items():
            # one that is counted is a global step that tf.Variable has made trainable
            ops = [op for op in ops if not (is_decay(op) or adds_one(op, variable, constants))]
            found += [UpdateOp(variable, op, step, settings_of(op, constants)) for op in ops]
    copies = later_copies(facts.graph)
    found = [u for u in found if not u.step.decays_only and u.variable not in copies]
    differences.refuse_what_is_not_followed(facts)
    known = {update.optimizer: update.settings for update in found if update.settings is not None}
    for update in found:
        if update.settings is None:
            settings = known.get(update.optimizer)
            begins = "" if settings is None else MIGRATED[settings.optimizer].sparse_assignments
            if not begins or not update.op.type.replace("Resource", "").startswith(begins):
                raise MigrationError(
                    "%s is updated by %s (%s), which does not tell the optimizer: move that update by hand, and put "
                    "tf1_wd.tf2.decay before or behind it" % (update.variable.name, update.op.name, update.op.type)
                )
            update.settings = settings
    return found


def _by_loss(updates):
    """The updates, in lists of those whose gradients come out of one call of tf.gradients."""
    seeds = {}
    for members in _grouped(updates, lambda u: u.optimizer):
        name = members[0].optimizer
        seeds[name] = seeds_of([gradient_of(u.op) for u in members])[0] or name
    return _grouped(updates, lambda u: seeds[u.optimizer])


def _grouped(updates, key):
    """The updates, in lists of those with the same key."""
    groups: dict = {}
    for update in updates:
        groups.setdefault(key(update), []).append(update)
    return groups.values()


def _loss(updates, decays, run):
    """The migration.Loss of updates whose gradients come out of one call of tf.gradients."""
    tensors = [t for t in map(decays.gradient, updates) if t is not None]
    changes = changes_of(tensors, decays.results, decays.constants)
    if graph.is_taken(tensors):
        decays.differences.append(differences.TAKEN)
    if any(kind == OTHERWISE and ACCUMULATED in known for kind, known in changes):
        decays.differences.append(differences.SUMMED)
    parts = _grouped(updates, lambda u: (u.optimizer, u.settings))
    return Loss(tuple(_part(members, changes, decays, run) for members in parts), changes)


def _part(updates, changes, decays, run):
    settings, ops, constants = updates[0].settings, [u.op for u in updates], decays.constants
    found = [decays.rate(update, changes) for update in updates]
    ways = {way for _, way in found if way is not None}
    if len(ways) > 1:
        raise MigrationError(
            "of the variables of %s some decay in one way and some in another (%s): migrate them apart"
            % (updates[0].step.optimizer, ", ".join(sorted(order for order, _ in ways)))
        )
    order, scale = ways.pop() if ways else (COUPLED, 1.0)
    changes_in_training = settings.learning_rate == RUN_TIME
    rates = [learning_rate_of(op) for op in ops if "Apply" in op.type and changes_in_training]
    scales = [tensor for tensor in (decays.scales.get(u.variable.name) for u in updates) if tensor is not None]
    schedules = [schedule_of(tensors[0], ops, constants, run) if tensors else () for tensors in (rates, scales)]
    part = Part(
        optimizer=settings.optimizer,
        settings=dict(settings.values),
        learning_rate=settings.learning_rate,
        weights=tuple(_weight(update, rate, constants) for update, (rate, _) in zip(updates, found)),
        order=order,
        rate_name=str(settings.rate_key) if changes_in_training else "",
        l2=decays.place_of_l2(updates),
        schedule=schedules[0],
        scale_schedule=schedules[1],
    )
    return migration.scaled(part, scale)


def _weight(update, rate, constants):
    shape = tf.TensorShape(update.variable.get_attr("shape"))
    dims = tuple(shape.as_list()) if shape.rank is not None else (None,)
    is_assignment = "Apply" not in update.op.type
    reached = is_assignment or constants.number(gradient_of(update.op)) != 0.0
    return Weight(update.variable.name, dims, rate, reached, is_assignment or "Sparse" in update.op.type)
