"""What a file has that decays, or trains, by itself: the pasted snippet, own decoupled decay, Keras, TF2."""

from __future__ import annotations

import re
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.gradient_chains import Refusal
from tf1_wd.commands.patch.syntax import argument, code, dotted, last_name, simple_parts
from tf1_wd.commands.patch.training_calls import GRADIENTS, MINIMIZE

_COLLECTION = (
    r"((\w+\.)*get_collection\((\w+\.)*GraphKeys\.REGULARIZATION_LOSSES\)|(\w+\.)*get_regularization_losses\(\))"
)
_PENALTIES = re.compile(r"(\w+\.)*(add_n|reduce_sum)\(%s\)|(\w+\.)*get_regularization_loss\(\)" % _COLLECTION)
_SGD = re.compile(r"(\w+\.)*GradientDescentOptimizer\((learning_rate=)?1(\.0*)?\)")
_DECOUPLED = re.compile(
    r"^(AdamWOptimizer|MomentumWOptimizer|AdamWeightDecayOptimizer|AdamW|SGDW|LAMBOptimizer|LAMB|LARSOptimizer"
    r"|DecoupledWeightDecayExtension|extend_with_decoupled_weight_decay|weight_decay_optimizers)$"
)
_EAGER = {"GradientTape", "implicit_gradients", "implicit_value_and_gradients", "enable_eager_execution"}
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


def find_snippets(units):
    """(snippets, refusals); takes the snippets' calls out of the units' events."""
    snippets, refusals = [], []
    for unit in units:
        assigned = _assigned(unit.body)
        for event in [e for e in unit.events if e.kind in (MINIMIZE, GRADIENTS)]:
            loss = argument(event.call, 0, "loss")
            if loss is None or not _PENALTIES.fullmatch(_resolved(loss, assigned)):
                continue
            unit.events.remove(event)
            snippet = _as_snippet(event, assigned)
            if snippet is None:
                refusals.append(
                    Refusal(
                        event.line,
                        "a second optimizer decays the weights, in another form than the known snippet "
                        "(GradientDescentOptimizer(1.0).minimize(add_n of REGULARIZATION_LOSSES) under "
                        "control_dependencies([train_op]))",
                        "remove this second step, and run this again",
                    )
                )
            else:
                snippets.append(snippet)
    return snippets, refusals


def _assigned(body):
    """name -> expression of every name that is assigned once."""
    found = {}
    for assign in m.findall(body, m.Assign()):
        for target in assign.targets:
            name = dotted(target.target)
            if name:
                found[name] = None if name in found else assign.value
    return found


def _resolved(node, assigned):
    node = assigned.get(dotted(node)) or node
    return re.sub(r"\s|,(?=\))", "", code(node))


def _as_snippet(event, assigned):
    if len(event.path) < 2 or len(event.call.args) != 1:
        return None
    statement = event.path[-2].statement
    if not isinstance(statement, cst.With) or len(statement.items) != 1:
        return None
    guard = re.fullmatch(
        r"(?:\w+\.)*control_dependencies\(\[([\w.]+)\]\)", re.sub(r"\s", "", code(statement.items[0].item))
    )
    if guard is None or not _SGD.fullmatch(_resolved(event.call.func.value, assigned)):
        return None
    *before, last = statement.body.body
    if last is not event.path[-1].statement or not all(_prepares(s, assigned) for s in before):
        return None
    assign = last.body[0] if isinstance(last, cst.SimpleStatementLine) and len(last.body) == 1 else None
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1 or assign.value is not event.call:
        return None
    target = dotted(assign.targets[0].target)
    if target is None:
        return None
    replacement = "" if target == guard.group(1) else "%s = %s" % (target, guard.group(1))
    return Snippet(event.path[-2].block, event.path[-2].index, event.line, replacement)


def _prepares(statement, assigned):
    """Whether a statement only names the snippet's optimizer or its loss."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return False
    small = statement.body[0]
    if not isinstance(small, cst.Assign) or len(small.targets) != 1:
        return False
    text = _resolved(small.targets[0].target, assigned)
    return bool(_SGD.fullmatch(text) or _PENALTIES.fullmatch(text) or re.fullmatch(_COLLECTION, text))


def own_decay(module, positions):
    """(line, what) of decay that is decoupled already, or None: an optimizer known by name, or an assignment."""
    for node in m.findall(module, m.Call() | m.ClassDef()):
        bases = [last_name(b.value) for b in node.bases] + [node.name.value] if isinstance(node, cst.ClassDef) else []
        for name in bases or [last_name(node.func) if isinstance(node, cst.Call) else None]:
            if name and _DECOUPLED.match(name):
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
    return name == "assign_sub" or any(re.match(r"1(\.0*)?\s*-", code(_bare(f))) for f in others)


def _factors(node):
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Multiply):
        return _factors(node.left) + _factors(node.right)
    if isinstance(node, cst.Call) and last_name(node.func) == "multiply" and len(node.args) >= 2:
        return [f for a in node.args[:2] for f in _factors(a.value)]
    return [node]


def _bare(node):
    return node.with_changes(lpar=[], rpar=[])


def other_training(module, positions):
    """A Refusal for training that has no train_op of tf.train: Keras' fit, TF2's tape; None without it."""
    for call in m.findall(module, m.Call()):
        name, line = last_name(call.func), positions[call].start.line
        keywords = {a.keyword.value for a in call.args if a.keyword is not None}
        if name == "compile" and isinstance(call.func, cst.Attribute) and keywords & {"optimizer", "loss"}:
            return Refusal(
                line,
                "a Keras model trains itself: its updates are no train_op of tf.train",
                "give its optimizer a decoupled decay (tf.keras.optimizers.AdamW), and take the regularizers out",
            )
        if name in _EAGER:
            return Refusal(
                line,
                "this is eager code (%s), without a graph that a scope could change" % name,
                "use an AdamW of Keras, or assign w - rate * w behind the step",
            )
        receiver = dotted(call.func) or ""
        if re.search(r"(^|\.)keras\.optimizers\.|^tf\.optimizers\.|ScipyOptimizerInterface", receiver):
            return Refusal(
                line,
                "%s is no optimizer of tf.train" % receiver,
                "use the one of tf.train, or decay by hand behind its step",
            )
    return None


def uses_tensorflow(module):
    """Whether the file imports TensorFlow, or takes `tf` from somewhere."""
    roots = {name.split(".")[0] for name in imported(module)}
    return bool(roots & {"tensorflow", "tf_slim", "horovod"}) or bool(
        m.findall(module, m.Attribute(value=m.Name("tf")))
    )


def imported(module):
    """Dotted names of the modules that are imported anywhere in the file."""
    found: set = set()
    for _, small in simple_parts(module, (cst.Import, cst.ImportFrom)):
        if isinstance(small, cst.Import):
            found.update(dotted(a.name) or "" for a in small.names)
        elif small.module is not None:
            found.add(dotted(small.module) or "")
    return found
