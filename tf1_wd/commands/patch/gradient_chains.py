"""Which gradients go into which update: chains of calls, followed by name through a function and to its callers."""

from __future__ import annotations

import collections
import functools
from dataclasses import dataclass

import libcst.matchers as m

from tf1_wd.commands.patch.assignments import Writes
from tf1_wd.commands.patch.syntax import first_argument, names_in
from tf1_wd.commands.patch.training_calls import APPLY, GRADIENTS, MINIMIZE, Event, Unit, defines_optimizer


@dataclass(eq=False)
class Chain:
    """The calls of one unit that belong to one update: its gradients, and what applies them."""

    unit: Unit
    events: list
    accumulates: bool = False  # whether the gradients wait in variables between runs of the session

    @property
    def update(self):
        return self.events[-1]


@dataclass(frozen=True)
class Refusal:
    """Why a file is left as it is: the line, the reason, and what to do by hand."""

    line: int
    why: str
    by_hand: str


class Refused(Exception):
    """Carries Refusals, its arguments, up to where a file is given up."""


def find_chains(units):
    """(chains, refusals) of a file."""
    origins = {unit: _Origins(unit, units) for unit in units}
    chains, refusals = [], []
    waiting: collections.deque = collections.deque(
        (unit, event, None) for unit in units for event in unit.events if event.kind != GRADIENTS
    )
    rounds = 0
    while waiting:
        unit, event, names = waiting.popleft()
        rounds += 1
        if rounds > 1000:
            raise RecursionError("its functions call each other in circles")
        if defines_optimizer(unit):
            continue
        if event.kind == MINIMIZE:
            chains.append(Chain(unit, [event]))
            continue
        if names is None:
            applied = first_argument(event.call, "grads_and_vars")
            names = names_in(applied) if applied is not None else set()
        inside = set(map(id, m.findall(event.call, m.Call()))) if event.call is not None else ()
        inline = [e for e in unit.gradients if id(e.call) in inside]
        found, reached, accumulates = origins[unit].behind(names, event)
        found = list({id(e): e for e in [*inline, *found]}.values())
        if found:
            found.sort(key=lambda e: e.line)
            chains.append(Chain(unit, [*found, event], accumulates))
            continue
        callers = [(u, used) for u in units for used in u.references if unit in targets(used, u, units)]
        if not callers:
            refusals.append(_no_gradients(unit, event))
        for caller, used in callers:
            call = call_around(used)
            passed = names_in(call) if call is not None else set()
            closed_over = reached - unit.parameters if caller in unit.lineage else set()
            own = {n for n in reached if n.startswith("self.")}
            waiting.append((caller, Event(APPLY, call, used.path, used.line, via=unit), passed | closed_over | own))
    return chains, refusals


def _no_gradients(unit, event):
    return Refusal(
        event.line,
        "%s applies gradients that this file does not visibly compute" % unit.title,
        "put `with tf1_wd.decoupled_weight_decay(...):` around the code that computes the gradients and applies them, "
        "where both are called; or train it unchanged by `tf1-wd run`",
    )


def call_around(used):
    """The call of a referenced function; None where the function is handed on without a call."""
    if not used.path:
        return None
    return next((c for c in m.findall(used.path[-1].statement, m.Call()) if c.func is used.node), None)


def targets(used, unit, units):
    """The functions of the file that a Reference in a unit may be one to, as far as its name tells."""
    return [other for other in units if other is not unit and _refers_to(used, unit, other)]


def _refers_to(used, unit, target):
    if used.name != target.name:
        return False
    if used.receiver is None:
        outer = target.parent
        return not target.owner and (outer is None or not outer.is_function or outer in unit.lineage)
    if used.receiver in ("self", "cls"):
        return bool(target.owner) and target.owner == _class_of(unit)
    return bool(target.owner)


def _class_of(unit):
    """The class that `self` belongs to in a unit, or ""."""
    return next((outer.owner for outer in unit.lineage if outer.owner), "")


class _Origins:
    """Goes back, in one unit, from an update's gradients to the calls that computed them."""

    def __init__(self, unit, units):
        self._unit, self._units = unit, units
        self._writes = Writes(unit.body)

    def behind(self, names, event):
        """(gradient events of this unit that flow into the names at an event, all names on the way, whether through
        variables)."""
        for through_variables in (False, True):
            found, seen = self._follow(names, event, through_variables)
            if found:
                break
        return found, seen, through_variables and bool(found)

    def _follow(self, names, event, through_variables):
        found, seen, todo = [], set(), [(name, event.path) for name in names]
        while todo:
            name, path = todo.pop()
            if (name, path) in seen:
                continue
            seen.add((name, path))
            for write in self._writes.reaching(name, path):
                if write.accumulates and not through_variables:
                    continue
                events = self._events_in(write.value)
                found.extend(events)
                if not events:
                    todo.extend((n, write.path) for n in names_in(write.value))
            if name.startswith("self."):
                found.extend(self._calls(self._unit.references, functools.partial(self._is_writer, name)))
        return found, {name for name, _ in seen}

    def _events_in(self, value):
        inside = set(map(id, m.findall(value, m.Call() | m.Name() | m.Attribute())))
        used = [used for used in self._unit.references if id(used.node) in inside]
        own = [event for event in self._unit.gradients if id(event.call) in inside]
        return own + self._calls(used, functools.partial(_computes, self._units))

    def _calls(self, references, is_wanted):
        """An event for each Reference to a function that computes the wanted gradients."""
        return [
            Event(GRADIENTS, None, used.path, used.line, via=other)
            for used in references
            for other in targets(used, self._unit, self._units)
            if is_wanted(other)
        ]

    def _is_writer(self, name, other):
        """Whether a unit is a method of the same class that writes gradients to `name`, self.x."""
        statements = [event.path[-1].statement for event in other.gradients if event.path]
        assigned = [target for s in statements for assign in m.findall(s, m.Assign()) for target in assign.targets]
        is_method = bool(other.owner) and other.owner == _class_of(self._unit)
        return is_method and any(name in names_in(target.target) for target in assigned)


def _computes(units, unit, depth=4):
    """Whether a function computes gradients that it does not apply itself, by itself or in what it calls."""
    if unit.gradients != unit.events:
        return False
    return bool(unit.gradients) or any(
        _computes(units, other, depth - 1) for used in unit.references for other in targets(used, unit, units) if depth
    )
