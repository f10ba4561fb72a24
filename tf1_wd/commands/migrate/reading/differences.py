"""What code for TensorFlow 2 does not do as the TF1 graph does, and what it leaves to the reader."""

from __future__ import annotations

import re

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.migration import Difference
from tf1_wd.commands.migrate.reading.optimizer_settings import settings_of
from tf1_wd.errors import MigrationError
from tf1_wd.graph.assignments import gradient_of, written_variable
from tf1_wd.graph.marks import is_decay, made_by_optimizers, made_in
from tf1_wd.graph.variables import later_copies, trainable_variables
from tf1_wd.penalties.added_by_hand import has_l2_by_hand
from tf1_wd.plan.optimizer_table import MIGRATED
from tf1_wd.plan.text_table import some

_PART = re.compile(r"/part_\d+$")  # as tf.get_variable(partitioner=) names them
_HANDED_ON = frozenset(["Identity", "Switch"])
TAKEN = Difference(
    "The program applies gradients that several workers have put together",
    "the code is one process; under a strategy give it the mean loss of the replicas",
)
SUMMED = Difference(
    "The program accumulates gradients in variables, over several runs",
    "the code updates, and decays, in every call: give change_gradients the sum, and call train_step once an update",
)
REPLICAS = Difference(
    "The program trains the replicas of a distribution strategy",
    "the code is one replica with all of the batch; under a strategy of yours call tf1_wd.tf2.decay outside of its run",
)


def second_step(facts, constants):
    """{variable: rate} of the pasted second step: gradient descent on the penalties alone. Raises MigrationError."""
    found = {}
    for step in facts.steps:
        for variable, rate in step.rates.items() if step.decays_only else ():
            settings = [settings_of(op, constants) for op in step.updates.get(variable, ())]
            if not settings or any(s is None or s.optimizer != "sgd" for s in settings):
                raise MigrationError(
                    "a second step on the penalties alone trains %s, and is not gradient descent: that is no decay"
                    % variable.name
                )
            known = isinstance(rate, float) and isinstance(settings[0].learning_rate, float)
            found[variable] = rate * settings[0].learning_rate if known else RUN_TIME
    return found


def refuse_own_rules(facts, scopes):
    """Raises MigrationError for a decay that the graph holds and that is not known as a rule."""
    for step in facts.steps:
        if step.own_decay and step.own_rate is None:
            raise MigrationError(
                "%s, by a rule of its own that Keras need not have: move the class by hand, without the decay, and put "
                "tf1_wd.tf2.decay in front of its update" % step.own_decay
            )
    for variable, op in facts.own_decays:
        raise MigrationError(
            "the program decays %s by itself (in %s): move that by hand; tf1_wd.tf2.decay(variables, rate) does "
            "the same" % (variable.name, op.name)
        )
    if has_l2_by_hand(facts.graph):
        raise MigrationError(
            "add_decay_to_gradients, or its inverse, changes the gradients by hand, and the graph does not tell by "
            "which plan: build the train_op in tf1_wd.coupled_weight_decay instead, which does the same"
        )
    if made_in(facts.graph) and not scopes:
        raise MigrationError(
            "the graph decays by tf1_wd already, and does not tell the rates: give the program that builds it, or the "
            "plan, which `tf1-wd run --report FILE` writes"
        )


def refuse_what_is_not_followed(facts):
    """Raises MigrationError for variables that cannot be paired, or whose gradient another rule changes."""
    known = {graph.variable_op(v): v for v in trainable_variables(facts.graph)}
    for op in known:
        if _PART.search(op.name):
            raise MigrationError(
                "%s is a part of a variable that a partitioner has cut: run the program without its partitioner, which "
                "trains alike" % op.name
            )
    for step in facts.steps:
        for variable, ops in step.updates.items():
            if not ops and variable not in known:
                raise MigrationError(
                    "%s is trained and is not among the trainable variables: make it with trainable=True"
                    % variable.name
                )
            given = step.gradients.get(variable)
            applied = [op for op in ops if "Apply" in op.type and "Sparse" not in op.type]
            if given is None or not applied or variable not in step.rates:
                continue
            taken, handed = (graph.through(t, _HANDED_ON) for t in (gradient_of(applied[0]), given))
            if graph.key(taken) != graph.key(handed) and not later_copies(facts.graph):
                raise MigrationError(
                    "%s changes the gradient of %s before it updates it, so that the rate of the L2 in it is not "
                    "known: move the class by hand" % (step.optimizer, variable.name)
                )


def _of(names, what, size):
    """The Difference of these variables, in a list; [] if there are none. what: has a place for their names."""
    return [Difference(what % some(names), size)] if names else []


def of_one_run(losses):
    """The Differences of losses whose updates are in one run. losses: lists of UpdateOp."""
    variables = [u.variable for updates in losses for u in updates] if len(losses) > 1 else []
    return _of(
        [variable.name for variable in variables if variable.type != "VarHandleOp"],
        "Several optimizers update the reference variables %s in one run, and nothing says whether the gradients "
        "of one see what another has updated",
        "the code computes all gradients first; in the program it is as the run happens to go",
    )


def of_updates(updates, facts):
    """The Differences of the updates."""
    yield from _of(
        [u.variable.name for u in updates if _tf.control_flow_context(u.op) is not None],
        "The update of %s is inside a cond or a loop, which may skip it (loss scaling, accumulation)",
        "the code updates, and decays, in every call: call train_step when the program would update",
    )
    for u in updates:
        untouched = MIGRATED[u.settings.optimizer].untouched_rows
        if "Sparse" in u.op.type and untouched:
            what = "Rows of %s that a batch does not look up stand still in TensorFlow 1, and go on in the code"
            yield Difference(what % u.variable.name, untouched)
    yield from _of(
        _shared_slots(updates),
        "One optimizer makes several updates, of %s, and keeps its slots or its count of steps for all of them; in "
        "the code each has an optimizer",
        "Adam's correction of its bias, and momentum, of another number of steps",
    )
    own = [] if made_by_optimizers(facts.graph) else [u for u in updates if u.step.own_rate is not None]
    yield from _of(
        [u.variable.name for u in own if u.variable.type != "VarHandleOp"],
        "tf.contrib.opt decays the reference variables %s without waiting for the gradients that read them",
        "as the run happens to go; the code decays the weights that the step began from",
    )


def _shared_slots(updates):
    """Names of variables whose updates share a variable of their optimizer with an update of another call of it."""
    users: dict = {}
    for u in updates:
        for definition, tensor in zip(u.op.op_def.input_arg, u.op.inputs):
            slot = graph.read_source(tensor)
            if slot is not None and definition.name in MIGRATED[u.settings.optimizer].slots:
                users.setdefault(slot, []).append(u)
    mixed = [us for us in users.values() if len({u.optimizer for u in us}) > 1]
    return list(dict.fromkeys(u.variable.name for us in mixed for u in us))


def of_assignments(facts, updates):
    """The Differences of what assigns trained variables besides their optimizers."""
    trained, tf_graph = {u.variable for u in updates}, facts.graph
    found: dict = {}
    own = {u.op for u in updates} | {op for _, op in facts.own_decays + facts.optimizer_decays}
    for op in tf_graph.get_operations():
        variable = written_variable(op)
        if variable is None or variable not in trained or op in own or not op.type.startswith("Assign") or is_decay(op):
            continue
        is_start = op.name.endswith("/Assign") or variable not in graph.ancestors([gradient_of(op)])
        if not is_start and op not in made_by_optimizers(tf_graph):
            found.setdefault(variable.name, op.name)
    for name, by in found.items():
        yield Difference("The program also assigns %s, by %s" % (name, by), "the code leaves that out")
    variables = trainable_variables(tf_graph)
    yield from _of(
        [graph.variable_op(v).name for v in variables if getattr(v, "constraint", None) is not None],
        "%s have constraints",
        "none if you give them to the new variables; a decay by tf1_wd.tf2.decay comes behind them",
    )


def of_second_step(facts, updates, second, run, report):
    """The Differences of the pasted second step.

    second: {variable: its rate}. run: as for reader.from_facts. report: AuditReport of the facts.
    """
    ops = [op for step in facts.steps if step.decays_only for found in step.updates.values() for op in found]
    if ops and run is not None and not any(op in run for op in ops):
        yield Difference(
            "The program decays in runs of their own, not with the training step",
            "the code decays in every step, by r",
        )
    elif ops and not all(set(u.op for u in updates) <= set(graph.predecessors([op])) for op in ops):
        yield Difference(
            "The second step of the program does not wait for the update: it decays before it, after it, or in "
            "between; the code decays updated weights",
            "up to r of a step, in each step",
        )
    trained = {update.variable for update in updates}
    frozen = [v for v in second if v not in trained]
    most = max([rate for rate in second.values() if isinstance(rate, float)], default=0.0)
    if frozen:
        yield Difference(
            "The second step of the program also decays %s, which no optimizer trains; the code does not"
            % some([v.name for v in frozen]),
            "after k steps (1 - r)^k of these weights are left in the program, r being up to %g" % most,
        )
    if "stale-reads" in report.codes:
        yield Difference(
            "The second step of the program decays old weights or updated ones, as the run happens to go; the code "
            "decays updated ones",
            "up to %.3g %% of a step" % (100 * most),
        )


def notes_on(facts, updates, report, is_decoupled):
    """What is left to the reader: a tuple of sentences. report: AuditReport of the facts."""
    tf_graph, notes = facts.graph, []
    trained = {update.variable.name for update in updates}
    still = [v.name for v in report.variables if v.name not in trained]
    if still:
        them = "it" if len(still) == 1 else "them"
        notes.append("Nothing trains %s: keep %s as is" % (some(still), them))
    if not is_decoupled:
        decaying = {op.name for step in facts.steps for op in step.rates}
        for finding in report.findings:
            if finding.code == "inert":
                decays = decaying.issuperset(finding.variables)
                end = "So it is in the code" if decays else "In the code nothing decays either"
                notes.append("%s %s" % (finding.sentence, end))
    if tf_graph.get_collection(tf.GraphKeys.MOVING_AVERAGE_VARIABLES):
        notes.append("The program keeps moving averages of variables: update yours behind train_step")
    if tf_graph.get_collection(tf.GraphKeys.UPDATE_OPS):
        notes.append("The program has UPDATE_OPS, mostly of batch norm: call model(x, training=True)")
    return tuple(notes)
