"""Executes an untouched TF1 program with its L2 turned into true weight decay."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field

from tf1_wd.commands.run import execute as programs
from tf1_wd.commands.run.watch import Watch
from tf1_wd.decay.scope.pipeline import ScopeListener
from tf1_wd.errors import (
    OF_LEGACY,
    NestedScopeError,
    NothingToDecayError,
    NothingUpdatedError,
    Tf1WdError,
    Tf1WdWarning,
)
from tf1_wd.graph.marks import made_in
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.native import loader
from tf1_wd.penalties.own_decay import refuse_own_decay

# by which the text of a program tells that it has L2, if not in each of its graphs
_WORDS_OF_L2 = ("l2_loss", "l2_regularizer", "regularizers.l2", "regularizers.L2")
_WITHOUT = "this graph has no L2, though the program has: nothing decays, and it trains as it is"


@dataclass
class Run:
    """What became of a program.

    plans: the DecayPlan of each graph that trained. warnings: sentences. error: the Tf1WdError because of which it is
    not decoupled, or None. raised: what ended the program, a SystemExit say, or None. has_own_scope: True if it uses
    tf1_wd itself, or imported a graph that decays by it. fails_alike: True if the error is the program's own, which
    ends it without a scope around it too.
    """

    plans: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    error: Tf1WdError | None = None
    raised: BaseException | None = None
    has_own_scope: bool = False
    fails_alike: bool = False


def run(program, rules, on_plan=lambda plan: None, on_warning=lambda text: None, result=None):
    """Executes a program as `python` does, with a decoupled_weight_decay scope around each of its graphs.

    program: execute.Program. rules: options.Rules. on_plan(plan): called before a graph first trains, and anew if
    updates were added to it. on_warning(text): called for what looks like weight decay and is not applied. result: the
    Run to fill in, which on_plan can then look into.

    Returns the Run. Raises ProgramNotFoundError.
    """
    result = Run() if result is None else result
    plans: dict = {}
    without: list = []
    names_l2 = any(word in programs.source_of(program) for word in _WORDS_OF_L2)

    def on_training(tf_graph, scope):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", Tf1WdWarning)
            try:
                scope.check()
                if scope.has_zero_coefficients:
                    refuse_own_decay(trainable_variables(tf_graph))
            except NothingToDecayError as error:
                if any(_attaches(decided, tf_graph) for decided in watch.scopes):
                    return
                refuse_own_decay(trainable_variables(tf_graph))  # told first: a rate would be refused for it
                is_of_a_sweep = names_l2 or any(plan.decaying for plan in result.plans)
                if scope.has_terms or not is_of_a_sweep:
                    raise
                without.append(error)
                warnings.warn(_WITHOUT, Tf1WdWarning, stacklevel=1)
        plans[id(tf_graph)] = scope.plan
        result.plans[:] = plans.values()
        for warning in caught:
            result.warnings.append(str(warning.message))
            on_warning(result.warnings[-1])
        on_plan(scope.plan)

    if rules.backend != "tensorflow":
        loader.status()  # registers the op, for programs that import a graph which this one exported
    watch = Watch(lambda: ScopeListener(rules, takes_keras=True), on_training, True, _refuse_unheard)
    before = set(threading.enumerate())
    with watch.open():
        result.raised = programs.attempt(program)
        for thread in set(threading.enumerate()) - before:
            if not thread.daemon:
                thread.join()
    result.error = watch.error
    result.has_own_scope = bool(watch.scopes) or (not plans and any(map(made_in, watch.graphs.values())))
    seen = plans or result.has_own_scope or watch.has_updates
    if result.error is None and watch.graphs and not seen and _ended_well(result.raised):
        result.error = _nothing_seen()
    if without and result.error is None and not any(plan.decaying for plan in result.plans):
        result.error = without[0]
    if isinstance(result.raised, Tf1WdError):
        result.error = result.raised
        result.fails_alike = watch.error is None and not isinstance(result.raised, NestedScopeError)
    result.fails_alike = result.fails_alike or isinstance(result.error, OF_LEGACY)
    return result


def _attaches(decided, tf_graph):
    """True for what decays variables of a graph behind updates that the watch has heard."""
    hears_updates_alone = decided.gradient_keys is None
    return hears_updates_alone and any(getattr(d.variable, "graph", None) is tf_graph for d in decided.plan.decaying)


def _ended_well(raised):
    return raised is None or (isinstance(raised, SystemExit) and raised.code in (None, 0))


def _refuse_unheard(updates):
    """Raises NothingUpdatedError for updates that were made elsewhere, or by hand: their gradients are what they are.

    updates: {op of a variable: update op}.
    """
    raise NothingUpdatedError(
        "%s is updated by %s (%s), which no optimizer in this program has made, so it would not decay. Of an imported "
        "graph, execute the program that builds and exports it by tf1-wd run: what it writes then decays under tf1-wd "
        "run, and, with --backend tensorflow, anywhere. %s"
        % (*next((v.name, op.name, op.type) for v, op in updates.items()), _BY_OTHER_MEANS)
    )


_BY_OTHER_MEANS = (
    "Of updates that the program makes itself (tf.raw_ops, assignments), and of an imported graph without L2, give the "
    "train_op to tf1_wd.attach(train_op, rates=...), once the L2, if there is any, is out of the loss"
)


def _nothing_seen():
    return NothingUpdatedError(
        "the program ran to its end, and no apply_gradients of an optimizer of tf.train or of Keras 2 was seen in it, "
        "so nothing decayed. A program that does not train is run with --decay off. " + _BY_OTHER_MEANS
    )
