"""What a file has that decays, or trains, by itself: the pasted snippet, own decoupled decay, Keras, TF2."""

from __future__ import annotations

import re
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.gradient_chains import Refusal, Refused
from tf1_wd.commands.patch.syntax import code, dotted, first_argument, imported_roots, last_name
from tf1_wd.commands.patch.training_calls import GRADIENTS, MINIMIZE

_COLLECTION = (
    r"((\w+\.)*get_collection\((\w+\.)*GraphKeys\.REGULARIZATION_LOSSES\)|(\w+\.)*get_regularization_losses\(\))"
)
_PENALTIES = re.compile(r"(\w+\.)*(add_n|reduce_sum)\(%s\)|(\w+\.)*get_regularization_loss\(\)" % _COLLECTION)
_SGD = re.compile(r"(\w+\.)*GradientDescentOptimizer\((learning_rate=)?1(\.0*)?\)")
_GUARD = re.compile(r"(?:\w+\.)*control_dependencies\(\[([\w.]+)\]\)")
_ASSIGNMENT = m.SimpleStatementLine(body=[m.Assign(targets=[m.AssignTarget()])])
_DECOUPLED = re.compile(
    r"^(AdamWOptimizer|MomentumWOptimizer|AdamWeightDecayOptimizer|AdamW|SGDW|LAMBOptimizer|LAMB|LARSOptimizer"
    r"|DecoupledWeightDecayExtension|extend_with_decoupled_weight_decay|weight_decay_optimizers)$"
)
_EAGER = {"GradientTape", "implicit_gradients", "implicit_value_and_gradients", "enable_eager_execution"}
_OTHER_OPTIMIZERS = r"ScipyOptimizerInterface"
_OF_KERAS = r"(^|\.)keras\.optimizers\.|^tf\.optimizers\."
# what is multiplied in place without being decay: schedules, counters
_NOT_WEIGHTS = re.compile(
    r"(^|_)(lr|rate|step|epsilon|eps|beta|momentum|temperature|scale|count)|learning", re.IGNORECASE
)


@dataclass(frozen=True)
class Snippet:
    """The pasted second SGD step: the `with` at `index` of `block`; `replacement` is what must stand in its place."""

    block: object
    index: int
    line: int
    replacement: str  # "" where nothing needs to


_NO_SNIPPET = (
    "a second optimizer decays the weights, in another form than the known snippet "
    "(GradientDescentOptimizer(1.0).minimize(add_n of REGULARIZATION_LOSSES) under control_dependencies([train_op]))"
)


def find_snippets(units):
    """(snippets, refusals); takes the snippets' calls out of the units' events."""
    snippets, refusals = [], []
    for unit in units:
        assigned = _assigned(unit.body)
        for event in [e for e in unit.events if e.kind == MINIMIZE and _is_of_penalties(e, assigned)]:
            unit.events.remove(event)
            snippet = _as_snippet(event, assigned)
            if snippet is None:
                refusals.append(_second_step(event))
            else:
                snippets.append(snippet)
    return snippets, refusals


def second_steps(chains):
    """Refusals for the updates that apply gradients of penalties and no others."""
    for chain in chains:
        assigned = _assigned(chain.unit.body)
        gradients = [event for event in chain.events if event.kind == GRADIENTS]
        if gradients and all(event.call is not None and _is_of_penalties(event, assigned) for event in gradients):
            yield _second_step(gradients[0])


def _second_step(event):
    return Refusal(event.line, _NO_SNIPPET, "remove this second step, and run this again")


def _is_of_penalties(event, assigned):
    loss = first_argument(event.call, "loss")
    return loss is not None and _PENALTIES.fullmatch(_resolved(loss, assigned)) is not None


def _assigned(body):
    """name -> expression of every name that is assigned once."""
    found = {}
    for assign in m.findall(body, m.Assign()):
        for name in filter(None, [dotted(target.target) for target in assign.targets]):
            found[name] = None if name in found else assign.value
    return found


def _resolved(node, assigned):
    """A node as text without blanks; of a name that is assigned once, what it stands for."""
    return re.sub(r"\s|,(?=\))", "", code(assigned.get(dotted(node)) or node))


def _as_snippet(event, assigned):
    if len(event.path) < 2 or len(event.call.args) != 1:
        return None
    outer, last = event.path[-2:]
    if not m.matches(outer.statement, m.With(items=[m.WithItem()])):
        return None
    guard = _GUARD.fullmatch(_resolved(outer.statement.items[0].item, assigned))
    if guard is None or not _SGD.fullmatch(_resolved(event.call.func.value, assigned)):
        return None
    *before, statement = outer.statement.body.body
    if statement is not last.statement or not all(_prepares(s, assigned) for s in before):
        return None
    if not m.matches(statement, _ASSIGNMENT) or statement.body[0].value is not event.call:
        return None
    target = dotted(statement.body[0].targets[0].target)
    if target is None:
        return None
    replacement = "" if target == guard.group(1) else "%s = %s" % (target, guard.group(1))
    return Snippet(outer.block, outer.index, event.line, replacement)


def _prepares(statement, assigned):
    """Whether a statement only names the snippet's optimizer or its loss."""
    if not m.matches(statement, _ASSIGNMENT):
        return False
    text = _resolved(statement.body[0].targets[0].target, assigned)
    return bool(_SGD.fullmatch(text) or _PENALTIES.fullmatch(text) or re.fullmatch(_COLLECTION, text))


def own_decay(module, positions):
    """(line, what) of decay that is decoupled already, or None: an optimizer known by name, or an assignment."""
    for node in m.findall(module, m.Call() | m.ClassDef()):
        named = [node.func] if isinstance(node, cst.Call) else [*(base.value for base in node.bases), node.name]
        for name in filter(None, map(last_name, named)):
            if _DECOUPLED.match(name):
                return positions[node].start.line, name
    for call in m.findall(module, m.Call()):
        name = last_name(call.func)
        if name in ("assign", "assign_sub") and _decays(call, name):
            return positions[call].start.line, code(call)
    return None


def _decays(call, name):
    """Whether a call is `v.assign(v * (1 - wd))`, or `v.assign_sub(wd * v)`, or either as a function of v."""
    if dotted(call.func) in ("tf.assign", "tf.assign_sub", "state_ops.assign", "state_ops.assign_sub"):
        values = [a.value for a in call.args[:2]]
    elif isinstance(call.func, cst.Attribute) and call.args:
        values = [call.func.value, call.args[0].value]
    else:
        return False
    if len(values) < 2 or _NOT_WEIGHTS.search(code(values[0])):
        return False
    factors = _factors(values[1])
    others = [f for f in factors if not f.deep_equals(values[0])]
    if len(factors) < 2 or len(others) == len(factors):
        return False
    return name == "assign_sub" or any(
        re.match(r"1(\.0*)?\s*-", code(f.with_changes(lpar=[], rpar=[]))) for f in others
    )


def _factors(node):
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Multiply):
        return _factors(node.left) + _factors(node.right)
    if isinstance(node, cst.Call) and last_name(node.func) == "multiply" and len(node.args) >= 2:
        return [f for a in node.args[:2] for f in _factors(a.value)]
    return [node]


def refuse_other_training(module, positions, has_compiled):
    """Raises Refused for training that has no train_op of tf.train: Keras's optimizers, TF2's tape.

    has_compiled: True if a Keras model is compiled, as what uses these.
    """
    for call in m.findall(module, m.Call()):
        name, full = last_name(call.func), dotted(call.func) or ""
        if name in _EAGER:
            why = "this is eager code (%s), without a graph that a scope could change" % name
            by_hand = "use an AdamW of Keras, or assign w - rate * w behind the step"
        elif re.search(_OTHER_OPTIMIZERS if has_compiled else r"%s|%s" % (_OTHER_OPTIMIZERS, _OF_KERAS), full):
            why = "%s is no optimizer of tf.train" % full
            by_hand = "use the one of tf.train, or decay by hand behind its step"
        else:
            continue
        raise Refused(Refusal(positions[call].start.line, why, by_hand))


def uses_tensorflow(module):
    """Whether the file imports TensorFlow, or takes `tf` from somewhere."""
    return bool(imported_roots(module) & {"tensorflow", "tf_slim", "horovod", "keras", "tf_keras"}) or bool(
        m.findall(module, m.Attribute(value=m.Name("tf")))
    )
