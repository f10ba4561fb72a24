"""Finds, function by function, the calls that compute gradients and the calls that update variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider

from tf1_wd.commands.patch import syntax

MINIMIZE, GRADIENTS, APPLY = "minimize", "gradients", "apply_gradients"

# the last name of a call -> what it does to a training graph
_METHODS = {
    "minimize": MINIMIZE,
    "compute_gradients": GRADIENTS,
    "apply_gradients": APPLY,
    "create_train_op": MINIMIZE,  # slim.learning, tf.contrib.training
    "optimize_loss": MINIMIZE,  # tf.contrib.layers
    "optimize_clones": GRADIENTS,  # slim's model_deploy
}
_FUNCTIONS = ("create_train_op", "optimize_loss")  # of modules, where the others are methods of an optimizer
_TENSORFLOW = ("tensorflow", "tf_slim", "horovod")
_RUNS = {"run", "eval", "run_step", "fit", "train_and_evaluate"}
_SPECS = ("EstimatorSpec", "ModelFnOps", "create_estimator_spec")
# methods that an optimizer class defines: what they call is handed over, not built
_OPTIMIZER_METHODS = {"minimize", "compute_gradients", "apply_gradients", "get_updates"}


class Reference(NamedTuple):
    """One use of a function of this file, called or handed on."""

    name: str
    receiver: str | None
    node: cst.BaseExpression
    path: tuple
    line: int


@dataclass(eq=False)
class Event:
    """One call that computes gradients, or updates, or both; `path` leads to it from the body of its function."""

    kind: str
    call: cst.Call
    path: tuple
    line: int
    in_lambda: bool = False
    via: Unit | None = None  # the Unit that the call runs, where the event is inside of that


@dataclass(eq=False)
class Unit:
    """A function's body, or the module's; statements of nested functions are in units of their own."""

    node: Any  # cst.FunctionDef or cst.Module
    name: str
    owner: str  # the class, or ""
    parent: Unit | None
    body: cst.CSTNode
    line: int
    events: list = field(default_factory=list)
    references: list = field(default_factory=list)  # Reference
    runs: list = field(default_factory=list)  # (path, line) of what runs a session
    returns: list = field(default_factory=list)  # (value, path)
    is_generator: bool = False

    @property
    def gradients(self):
        """The events that compute gradients alone."""
        return [event for event in self.events if event.kind == GRADIENTS]

    @property
    def lineage(self):
        """It, and the units around it, the outermost last."""
        return [self, *(self.parent.lineage if self.parent is not None else ())]

    @property
    def is_function(self):
        return isinstance(self.node, cst.FunctionDef)

    @property
    def title(self):
        if not self.is_function:
            return "the module"
        return "%s.%s" % (self.owner, self.name) if self.owner else self.name

    @property
    def parameters(self):
        if not self.is_function:
            return set()
        p = self.node.params
        return {x.name.value for x in [*p.params, *p.kwonly_params, *p.posonly_params]}

    @property
    def returns_spec(self):
        """Whether everything it returns is an EstimatorSpec or the like, whose train_op may be None."""
        assigned: dict = {}
        for statement in m.findall(self.body, m.Assign()):
            assigned.update((syntax.dotted(target.target), statement.value) for target in statement.targets)
        values = [assigned.get(syntax.dotted(v), v) if v is not None else None for v, _ in self.returns]
        return bool(values) and all(
            isinstance(v, cst.Call) and (syntax.last_name(v.func) or "").endswith(_SPECS) for v in values
        )


def find_units(module):
    """(units, positions, module) of a parsed module; the module is the one whose nodes the units hold."""
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    return _Finder(wrapper.module, positions).units, positions, wrapper.module


class _Finder:
    """Cuts a module into units, and then notes in each what its statements do."""

    def __init__(self, module, positions):
        self._positions = positions
        found = list(syntax.imports(module))
        self._modules = {i.name: i.module for i in found if i.original is None}
        self._imported = {**self._modules, **{i.name: i.module for i in found if i.original is not None}}
        self._parts: list = []  # (unit, a statement or an expression of it, path)
        self.units = [Unit(module, "<module>", "", None, module, 1)]
        self._block(self.units[0], module, (), "")
        self._defined = {(unit.name, unit.owner) for unit in self.units[1:]}
        for part in self._parts:
            self._read(*part)

    def _line(self, node):
        return self._positions[node].start.line

    def _block(self, unit, block, path, owner):
        for i, statement in enumerate(block.body):
            self._statement(unit, statement, (*path, syntax.PathStep(block, i)), owner)

    def _statement(self, unit, statement, path, owner):
        if isinstance(statement, cst.FunctionDef):
            self._parts += [(unit, part, path) for part in (statement.params, *statement.decorators)]
            inner = Unit(statement, statement.name.value, owner, unit, statement.body, self._line(statement))
            self.units.append(inner)
            if isinstance(statement.body, cst.IndentedBlock):
                self._block(inner, statement.body, (), "")
            else:
                self._parts.append((inner, statement.body, ()))
            return
        if isinstance(statement, cst.ClassDef):  # its body is run where it stands, but its methods are units
            owner = statement.name.value
        else:
            self._parts.append((unit, statement, path))
        for block in syntax.blocks_of(statement):
            self._block(unit, block, path, owner)

    def _read(self, unit, part, path):
        for node, around in syntax.own_nodes(part):
            if isinstance(node, cst.Call):
                self._call(unit, node, path, around)
            elif isinstance(node, (cst.Name, cst.Attribute)) and self._is_local(node):
                unit.references.append(
                    Reference(syntax.last_name(node), syntax.receiver_of(node), node, path, self._line(node))
                )
            elif isinstance(node, cst.Return):
                unit.returns.append((node.value, path))
            elif isinstance(node, (cst.Yield, cst.Await)):
                unit.is_generator = True

    def _call(self, unit, node, path, around):
        """Notes an event, or a session's run; a call of a function of this file is noted by reference."""
        name, receiver, line = syntax.last_name(node.func), syntax.receiver_of(node.func), self._line(node)
        if name is None or self._is_local(node.func):
            return
        kind = GRADIENTS if name == "gradients" else _METHODS.get(name)
        if kind is not None and not self._is_foreign(name, node.func, receiver):
            # an argument of a call runs with the call; any other lambda runs some time later
            outermost = next((n for n in around if isinstance(n, (cst.Call, cst.Lambda))), None)
            unit.events.append(Event(kind, node, path, line, isinstance(outermost, cst.Lambda)))
        elif isinstance(node.func, cst.Attribute) and (name in _RUNS or (name == "train" and "slim" in str(receiver))):
            unit.runs.append((path, line))

    def _is_foreign(self, name, func, receiver):
        """Whether a call by a method's name is one of another module of the program, or of another library."""
        if name in ("gradients", "optimize_clones"):
            return False
        if isinstance(func, cst.Name) and name not in _FUNCTIONS:
            return True
        root = name if isinstance(func, cst.Name) else (receiver or "").split(".")[0]
        known = self._imported if name in _FUNCTIONS else self._modules
        return known.get(root, "tensorflow").split(".")[0] not in _TENSORFLOW

    def _is_local(self, node):
        """Whether a name or an attribute can be a function that this file defines."""
        name, receiver = syntax.last_name(node), syntax.receiver_of(node)
        if (receiver or "").split(".")[0] in {"tf", *self._modules}:
            return False
        if receiver is None:
            return (name, "") in self._defined
        # an optimizer is an attribute or a variable, and its methods are TensorFlow's: only self's own are of the file
        is_method = any(n == name and owner for n, owner in self._defined)
        return is_method and (name not in _METHODS or receiver in ("self", "cls"))


def defines_optimizer(unit):
    """Whether a unit is a method of an optimizer class, which hands over what it is given."""
    return bool(unit.owner) and unit.name in _OPTIMIZER_METHODS
