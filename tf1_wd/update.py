"""One update of an optimizer: what decays with it, and the ops that do it in the asked order."""

from __future__ import annotations

from dataclasses import dataclass

from tf1_wd import graph, step
from tf1_wd._tf import tf
from tf1_wd.differentiation import tensors_of
from tf1_wd.penalties import find_penalties, rates, read_collection
from tf1_wd.plan import Trained, decide
from tf1_wd.replay import term_steps
from tf1_wd.rules import check_matches


@dataclass(frozen=True)
class Collection:
    """What the loss collection of a graph says: its terms, and the rate of each variable by op."""

    terms: tuple
    rates: dict


@dataclass(frozen=True)
class Update:
    """What happens to the weights together with one update.

    decisions: one plan.Decay a variable of the update. replayed: penalties.Term with a step of their own.
    notes: (name of a term, what became of it). trained: {op: tf.Variable} of the variables with a gradient.
    gradients: the tensors of all its gradients. reads: {op of a resource variable: ops that read it for a penalty}.
    """

    decisions: tuple
    replayed: tuple
    notes: tuple
    trained: dict
    gradients: tuple
    reads: dict

    @property
    def decays(self):
        """The decisions that decay."""
        return [d for d in self.decisions if d.rate is not None]

    @property
    def is_empty(self):
        """True if the update needs no further op."""
        return not self.decays and not self.replayed


def collection_now():
    """The loss collection of the default graph, as it stands."""
    terms = read_collection()
    ys = [term.tensor for term in terms]
    return Collection(tuple(terms), rates(find_penalties(graph.ancestors(ys)), ys) if ys else {})


def plan_update(pairs, rules, calls, loss_rates, collection):
    """Decides what happens together with an update; adds nothing to the graph.

    pairs: list of (gradient or None, tf.Variable). rules: Rules. calls: the GradientCalls whose results are applied.
    loss_rates: {op of a variable: rate}. collection: Collection.
    Raises NoMatchError, InvalidRateError.
    """
    trained = [_trained(gradient, variable) for gradient, variable in pairs]
    known = [(v, name_of(v)) for v in tf.trainable_variables()] + [(t.variable, t.name) for t in trained]
    check_matches(rules, known)
    decisions = decide(trained, rules, loss_rates, collection.rates)
    with_gradient = {t.key: t.variable for t in trained if t.has_gradient}
    replayed, notes = [], []
    for term in collection.terms:
        fate = _fate(term, rules, calls, with_gradient)
        if fate == _REPLAYED:
            replayed.append(term)
        if fate is not None:
            notes.append((term.tensor.op.name, fate))
    gradients = tuple(tensor for gradient, _ in pairs for tensor in tensors_of(gradient))
    reads = {t.key: [op for call in calls for op in call.reads_of(t.key)] for t in trained}
    return Update(tuple(decisions), tuple(replayed), tuple(notes), with_gradient, gradients, reads)


_REPLAYED = "not L2 and not in the loss: its own SGD step, times scale, on the weights the decay sees"
NOT_APPLIED = "depends on inputs and is not in the loss: not applied; add it to the loss"


def _fate(term, rules, calls, trained):
    if term.rest is None:
        return None
    if any(call.contains(term.tensor) for call in calls):
        return "not L2, in the loss: stays there"
    if term.rest == "inputs":
        return NOT_APPLIED
    if rules.source == "loss":
        return "not L2, in the collection only, and source='loss': not applied"
    if not any(op in trained for op in term.variables):
        return "not L2, and none of its variables is trained by this update: not applied"
    return _REPLAYED


def build_after(update, rules, scale):
    """Ops of order "after", on the weights that the control dependencies in force let through."""
    steps = [s for term in update.replayed for s in term_steps(term, update.trained, scale)]
    with tf.control_dependencies([amount for _, amount in steps]):
        ops = step.decay(update.decays, scale, rules.backend) if update.decays else []
    with tf.control_dependencies(ops):
        return ops + step.subtract(steps)


def build_before(update, rules, scale, in_place):
    """(ops that the update must wait for, function that builds what must follow it) of order "before".

    in_place: True if the optimizer's step does not read the weights, so that they may be decayed before it; otherwise
    the decay is computed before the update and taken off after it.
    """
    steps = [s for term in update.replayed for s in term_steps(term, update.trained, scale)]
    if in_place:
        with tf.control_dependencies([amount for _, amount in steps]):
            ops = step.decay(update.decays, scale, rules.backend) if update.decays else []
        with tf.control_dependencies(ops):
            return ops + step.subtract(steps), lambda: []
    steps += step.differences(update.decays, scale)
    return [amount.op for _, amount in steps], lambda: step.subtract(steps)


def name_of(variable):
    """The variable's name in checkpoints: without the output number."""
    return graph.variable_op(variable).name


def _trained(gradient, variable):
    shape = variable.shape
    dims = tuple(shape.as_list()) if shape.rank is not None else (None,)
    return Trained(graph.variable_op(variable), variable, name_of(variable), dims, gradient is not None)
