"""Keras models that a file compiles: the line behind `compile` that decouples their decay."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.gradient_chains import Refusal, Refused
from tf1_wd.commands.patch.syntax import (
    blocks_of,
    code,
    dotted,
    first_argument,
    imports,
    last_name,
    receiver_of,
)

_KEYWORDS = {"optimizer", "loss", "metrics", "loss_weights"}
_TRAINS = {"fit", "fit_generator", "train_on_batch"}
_OPTIONS = {"rates", "include", "exclude", "scale", "order", "convention"}  # of tf1_wd.keras.plan


@dataclass(frozen=True)
class Compiled:
    """One statement `X.compile(...)`: the model as text, the block, the place in it, the line, and the optimizer."""

    model: str
    block: object
    index: int
    line: int
    optimizer: object


def find_compiled(module, positions, options):
    """The Compiled of a file, in their order. Raises Refused where one cannot be followed by the line."""
    calls = [
        call for call in m.findall(module, m.Call(func=m.Attribute(attr=m.Name("compile")))) if _is_keras(call, module)
    ]
    if not calls:
        return []
    statements = {
        id(s.body[0].value): (s, block, i) for block in _blocks(module) for i, s in enumerate(block.body) if _is_call(s)
    }
    found, refusals = [], []
    for call in calls:
        line, model = positions[call].start.line, code(call.func.value)
        by_hand = "behind it, once the model is built: %s" % line_for(
            "MODEL" if dotted(call.func.value) is None else model, options
        )
        place = statements.get(id(call))
        if place is None or not isinstance(call.func.value, cst.Name):
            what = (
                "the model that is compiled here has no plain name"
                if place
                else "this compile is no statement of its own"
            )
            refusals.append(Refusal(line, what, by_hand))
        else:
            found.append(Compiled(model, place[1], place[2], line, first_argument(call, "optimizer")))
    refusals += [*_of_options(found, options), *_of_optimizers(found, module), *_of_estimators(module, positions)]
    if refusals:
        raise Refused(*sorted(refusals, key=lambda r: r.line))
    return found


def line_for(model, options):
    """The line that decouples a model, by the rule of `tf1-wd run`: w <- w - step - lr r w."""
    words = {"convention": '"adamw"'} if not {"order", "scale"} & set(options) else {}
    words.update(options)
    rate = words.pop("rates", None)
    if rate is not None:
        words = {"rates" if rate.startswith("{") else "rate": rate, **words}
    arguments = ["%s=%s" % pair for pair in words.items()]
    return "tf1_wd.keras.decouple(%s, tf1_wd.keras.plan(%s))" % (model, ", ".join([model, *arguments]))


class Decouple(cst.CSTTransformer):
    """Puts the lines in. found: Compiled of the tree. options: of the plan, {name: literal}."""

    def __init__(self, found, options):
        self._found, self._options = found, options

    def leave_IndentedBlock(self, original_node, updated_node):
        """Adds the lines of one block."""
        own = {c.index: c for c in self._found if c.block is original_node}
        if not own:
            return updated_node
        body = []
        for i, statement in enumerate(updated_node.body):
            body.append(statement)
            if i in own:
                body.append(cst.parse_statement(line_for(own[i].model, self._options)))
        return updated_node.with_changes(body=body)

    leave_Module = leave_IndentedBlock


def _is_keras(call, module):
    """Whether `X.compile(...)` compiles a model, not a regular expression."""
    root = (receiver_of(call.func) or "").split(".")[0]
    modules = {found.name for found in imports(module) if found.original is None}
    if root in modules or not call.args:
        return False
    if {arg.keyword.value for arg in call.args if arg.keyword is not None} & _KEYWORDS:
        return True
    model, calls = code(call.func.value), m.findall(module, m.Call())
    is_trained = any(last_name(c.func) in _TRAINS and receiver_of(c.func) == model for c in calls)
    assigned = [a.value for a in m.findall(module, m.Assign()) if dotted(a.targets[0].target) == model]
    return is_trained or any(isinstance(v, cst.Call) and last_name(v.func) in ("Sequential", "Model") for v in assigned)


def _blocks(module):
    pending = [module]
    for block in pending:
        yield block
        for statement in block.body:
            inner = [statement.body] if isinstance(statement, (cst.FunctionDef, cst.ClassDef)) else blocks_of(statement)
            pending += [b for b in inner if isinstance(b, cst.IndentedBlock)]


def _is_call(statement):
    return m.matches(statement, m.SimpleStatementLine(body=[m.Expr(value=m.Call())]))


def _of_options(found, options):
    """Refusals for options that a Keras plan has not."""
    names = sorted(set(options) - _OPTIONS)
    if found and names:
        why = "%s is no option of tf1_wd.keras.plan, which decays Keras models" % ", ".join("--" + n for n in names)
        yield Refusal(found[0].line, why, "leave it out, and run this again")


def _of_optimizers(found, module):
    """Refusals for optimizers that tf1_wd.keras cannot decay by."""
    assigned = {dotted(t.target): a.value for a in m.findall(module, m.Assign()) for t in a.targets}
    seen: dict = {}
    for one in found:
        value = assigned.get(dotted(one.optimizer), one.optimizer) if one.optimizer is not None else None
        name = dotted(value.func) if isinstance(value, cst.Call) else None
        if name and ".train." in name:
            why = "%s is compiled with an optimizer of tf.train, %s" % (one.model, name)
            yield Refusal(one.line, why, "compile it with Keras's own optimizer; or run the file by `tf1-wd run`")
        shared = dotted(one.optimizer) if one.optimizer is not None else None
        if shared in seen and shared is not None:
            why = "%s and %s are compiled with one optimizer, which can decay by one plan" % (seen[shared], one.model)
            yield Refusal(one.line, why, "give each model an optimizer of its own, and run this again")
        elif shared is not None:
            seen[shared] = one.model


def _of_estimators(module, positions):
    for call in m.findall(module, m.Call()):
        if last_name(call.func) == "model_to_estimator":
            why = "model_to_estimator makes the optimizer anew, and that one does not decay"
            yield Refusal(positions[call].start.line, why, "train the model by fit; or run the file by `tf1-wd run`")
