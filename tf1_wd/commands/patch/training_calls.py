"""Finds, function by function, the calls that compute gradients and the calls that update variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider

from tf1_wd.commands.patch.syntax import PathStep, argument, blocks_of, dotted, last_name, simple_parts

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

    @property
    def argument(self):
        return argument(self.call, 0, "grads_and_vars")


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
        assigned = {}
        for statement in m.findall(self.body, m.Assign()):
            for target in statement.targets:
                assigned[dotted(target.target)] = statement.value
        values = [assigned.get(dotted(v), v) if v is not None else None for v, _ in self.returns]
        return bool(values) and all(
            isinstance(v, cst.Call) and (last_name(v.func) or "").endswith(_SPECS) for v in values
        )


def find_units(module):
    """(units, positions, module) of a parsed module; the module is the one whose nodes the units hold."""
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(PositionProvider)
    finder = _Finder(positions)
    finder.module(wrapper.module)
    return finder.units, positions, wrapper.module


class _Finder:
    def __init__(self, positions):
        self.units = []
        self._positions = positions
        self._defined = set()  # (class or "", name) of every function of the file
        self._modules = {}  # name -> the module that it stands for
        self._imported = {}  # the same, and name -> where from for what is imported from a module

    def module(self, module):
        collect = _Definitions()
        module.visit(collect)
        self._defined = collect.found
        self._modules, self._imported = imported_names(module)
        unit = Unit(module, "<module>", "", None, module, 1)
        self.units.append(unit)
        self._block(unit, module, (), "")

    def _line(self, node):
        return self._positions[node].start.line

    def _block(self, unit, block, path, owner):
        for i, statement in enumerate(block.body):
            self._statement(unit, statement, (*path, PathStep(block, i)), owner)

    def _statement(self, unit, statement, path, owner):
        if isinstance(statement, cst.FunctionDef):
            self._expressions(unit, [statement.params, *statement.decorators], path)
            inner = Unit(statement, statement.name.value, owner, unit, statement.body, self._line(statement))
            self.units.append(inner)
            if isinstance(statement.body, cst.IndentedBlock):
                self._block(inner, statement.body, (), "")
            else:
                self._expressions(inner, [statement.body], ())
        elif isinstance(statement, cst.ClassDef):
            # a class body is run where it stands, but its methods are units of their own
            if isinstance(statement.body, cst.IndentedBlock):
                self._block(unit, statement.body, path, statement.name.value)
        elif blocks_of(statement):
            inside = blocks_of(statement)
            self._expressions(unit, [statement], path, skip=inside)
            for block in inside:
                self._block(unit, block, path, owner)
        else:
            self._expressions(unit, [statement], path)

    def _expressions(self, unit, nodes, path, skip=()):
        for node in nodes:
            node.visit(_Calls(self, unit, path, skip))

    def call(self, unit, node, path, in_lambda):
        """Notes what one call is: an event, a call of a function of this file, or a session's run."""
        name, line = last_name(node.func), self._line(node)
        if name is None:
            return
        receiver = dotted(node.func.value) if isinstance(node.func, cst.Attribute) else None
        if self.is_local(name, receiver, unit):
            return  # noted by reference
        kind = GRADIENTS if name == "gradients" else _METHODS.get(name)
        if kind is not None and not self._is_foreign(name, node.func, receiver):
            unit.events.append(Event(kind, node, path, line, in_lambda))
        elif isinstance(node.func, cst.Attribute) and (name in _RUNS or (name == "train" and "slim" in str(receiver))):
            unit.runs.append((path, line))

    def _is_foreign(self, name, func, receiver):
        """Whether a call by a method's name is one of another module of the program, or of another library."""
        if name in ("gradients", "optimize_clones"):
            return False
        root = (receiver or "").split(".")[0]
        if name in _FUNCTIONS:
            origin = self._imported.get(name if isinstance(func, cst.Name) else root)
            return origin is not None and origin.split(".")[0] not in _TENSORFLOW
        return isinstance(func, cst.Name) or self._modules.get(root, "tensorflow").split(".")[0] not in _TENSORFLOW

    def reference(self, unit, node, path):
        """Notes the use of a function of this file, called or handed on."""
        name = last_name(node)
        receiver = dotted(node.value) if isinstance(node, cst.Attribute) else None
        if self.is_local(name, receiver, unit):
            unit.references.append(Reference(name, receiver, node, path, self._line(node)))

    def is_local(self, name, receiver, unit):
        """Whether `name` (of `receiver`) can be a function that this file defines."""
        if (receiver or "").split(".")[0] in {"tf", *self._modules}:
            return False
        owners = {owner for owner, n in self._defined if n == name}
        if receiver is None:
            return "" in owners
        # an optimizer is an attribute or a variable, and its methods are TensorFlow's: only self's own are of the file
        if name in _METHODS:
            return receiver in ("self", "cls") and bool(owners - {""})
        return bool(owners - {""})


def imported_names(module):
    """(name -> module of each `import`, the same with name -> module of each `from module import name`)."""
    modules, names = {}, {}
    for _, small in simple_parts(module, (cst.Import, cst.ImportFrom)):
        if isinstance(small.names, cst.ImportStar):
            continue
        for alias in small.names:
            full = dotted(alias.name)
            name = alias.asname.name.value if alias.asname else full.split(".")[0]
            if isinstance(small, cst.Import):
                modules[name] = full
            else:
                names[name] = "." if small.relative or small.module is None else dotted(small.module)
    return modules, {**modules, **names}


class _Definitions(cst.CSTVisitor):
    def __init__(self):
        self.found = set()
        self._owners = [""]

    def visit_ClassDef(self, node):
        self._owners.append(node.name.value)

    def leave_ClassDef(self, original_node):
        self._owners.pop()

    def visit_FunctionDef(self, node):
        self.found.add((self._owners[-1], node.name.value))
        self._owners.append("")

    def leave_FunctionDef(self, original_node):
        self._owners.pop()


class _Calls(cst.CSTVisitor):
    """Hands the calls and references of one statement to the finder, without those of the blocks in it."""

    def __init__(self, finder, unit, path, skip):
        self._finder, self._unit, self._path = finder, unit, path
        self._skip = {id(block) for block in skip}
        self._lambdas = []
        self._calls = 0

    def visit_IndentedBlock(self, node):
        return id(node) not in self._skip

    def visit_Lambda(self, node):
        # an argument of a call runs with the call; any other lambda runs some time later
        self._lambdas.append(self._calls == 0)

    def leave_Lambda(self, original_node):
        self._lambdas.pop()

    def visit_Call(self, node):
        self._finder.call(self._unit, node, self._path, any(self._lambdas))
        self._calls += 1

    def leave_Call(self, original_node):
        self._calls -= 1

    def visit_Attribute(self, node):
        self._finder.reference(self._unit, node, self._path)
        node.value.visit(self)
        return False

    def visit_Arg(self, node):
        node.value.visit(self)
        return False

    def visit_Name(self, node):
        self._finder.reference(self._unit, node, self._path)

    def visit_Return(self, node):
        self._unit.returns.append((node.value, self._path))

    def visit_Yield(self, node):
        self._unit.is_generator = True

    def visit_Await(self, node):
        self._unit.is_generator = True


def defines_optimizer(unit):
    """Whether a unit is a method of an optimizer class, which hands over what it is given."""
    return bool(unit.owner) and unit.name in _OPTIMIZER_METHODS
