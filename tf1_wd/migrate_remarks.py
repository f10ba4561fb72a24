"""What code for TensorFlow 2 does not do as the TF1 graph does, and what it leaves to the reader."""

from __future__ import annotations

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.audit import audit_facts
from tf1_wd.migration import Difference

# optimizers whose slots stand still in TensorFlow 1 for rows that a batch does not look up
_LAZY_SLOTS = {"momentum": ("momentum",), "rmsprop": ("rho", "momentum"), "adadelta": ("rho",)}
TAKEN = Difference(
    "The program applies gradients that several workers have put together",
    "the code is one process; under a strategy give it the mean loss of the replicas",
)
REPLICAS = Difference(
    "The program trains the replicas of a distribution strategy",
    "the code is one replica with all of the batch; under a strategy of yours call tf1_wd.tf2.decay outside of its run",
)


class Update:
    """One update op: of which variable (its op), by which facts.Step, with which update_settings.Settings."""

    def __init__(self, variable, op, of, settings):
        self.variable, self.op, self.of, self.settings = variable, op, of, settings

    @property
    def optimizer(self):
        """What the ops of one optimizer have in common: the scope of their names."""
        return self.op.name.rsplit("update_" + self.variable.name, 1)[0]


def of_update(update):
    """The Differences of one update."""
    name, settings = update.variable.name, dict(update.settings.values)
    if _tf.control_flow_context(update.op) is not None:
        yield Difference(
            "The update of %s is inside a cond or a loop, which may skip it (loss scaling, accumulation)" % name,
            "the code updates, and decays, in every call: call train_step when the program would update",
        )
    moving = [slot for slot in _LAZY_SLOTS.get(update.settings.optimizer, ()) if settings.get(slot)]
    if "Sparse" in update.op.type and moving:
        yield Difference(
            "Rows of %s that a batch does not look up stand still in TensorFlow 1, and so does their %s; in the code "
            "they go on" % (name, " and ".join(moving)),
            "such a row moves by momentum^k of its last step in the k-th step after it"
            if settings.get("momentum")
            else "after k steps rho^k of its mean square is left, and its next step is so much longer",
        )


def of_second_step(facts, updates, second):
    """The Differences of the pasted second step. second: {variable: its rate}."""
    trained = {update.variable for update in updates}
    frozen = [v for v in second if v not in trained]
    known = [rate for rate in second.values() if isinstance(rate, float)]
    if frozen:
        yield Difference(
            "The second step of the program also decays %s, which no optimizer trains; the code does not"
            % ", ".join(v.name for v in frozen[:5]),
            "after k steps (1 - r)^k of these weights are left in the program, r being up to %g" % max(known or [0.0]),
        )
    report = audit_facts("", [facts], has_lines=False)
    if "stale-reads" in report.codes:
        yield Difference(
            "The second step of the program decays old weights or updated ones, as the run happens to go; the code "
            "decays updated ones",
            "up to %.3g %% of a step" % (100 * max(known or [0.0])),
        )


def of_terms(scopes):
    """The Differences of what scopes apply besides decay."""
    for scope in scopes:
        for name, fate in scope.plan.terms:
            if "its own SGD step" in fate:
                yield Difference("%s is %s" % (name, fate), "the code leaves that step out: add it to data_loss")


def notes_on(facts, updates, is_decoupled):
    """What is left to the reader: a tuple of sentences."""
    where, notes = facts.graph, []
    trained = {update.variable.name for update in updates}
    report = audit_facts("", [facts], has_lines=False)
    still = [v.name for v in report.variables if v.name not in trained]
    if still:
        notes.append(
            "Nothing trains %s: keep %s" % (", ".join(still[:5]), "it" if len(still) == 1 else "them") + " as is"
        )
    if not is_decoupled:
        notes += [
            "%s In the code nothing decays either" % finding.sentence
            for finding in report.findings
            if finding.code == "inert"
        ]
    if where.get_collection(tf.GraphKeys.MOVING_AVERAGE_VARIABLES):
        notes.append("The program keeps moving averages of variables: update yours behind train_step")
    if where.get_collection(tf.GraphKeys.UPDATE_OPS):
        notes.append("The program has UPDATE_OPS, mostly of batch norm: call model(x, training=True)")
    return tuple(notes)
