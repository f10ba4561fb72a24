"""Which gradients go into which update: chains of calls, followed by name through a function and to its callers."""

from __future__ import annotations

import collections
from dataclasses import dataclass

import libcst.matchers as m

from tf1_wd.commands.patch.assignments import Writes
from tf1_wd.commands.patch.syntax import names_in
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


def find_chains(units):
    """(chains, refusals) of a file."""
    origins = {unit: _Origins(unit) for unit in units}
    loose = {unit: [e for e in unit.events if e.kind == GRADIENTS] for unit in units}
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
            names = names_in(event.argument) if event.argument is not None else set()
        inline = [e for e in loose[unit] if event.call is not None and _inside(e.call, event.call)]
        found, reached, accumulates = origins[unit].behind(names, event, loose, units)
        found = list({id(e): e for e in [*inline, *found]}.values())
        if found:
            found.sort(key=lambda e: e.line)
            chains.append(Chain(unit, [*found, event], accumulates))
            continue
        callers = _references_to(unit, units)
        if not callers:
            refusals.append(_no_gradients(unit, event))
        for caller, used in callers:
            call = _call_around(used)
            passed = names_in(call) if call is not None else set()
            closed_over = reached - unit.parameters if _within(unit, caller) else set()
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


def _inside(node, outer):
    return any(n is node for n in m.findall(outer, m.Call()))


def _call_around(used):
    """The call of a referenced function; None where the function is handed on without a call."""
    if not used.path:
        return None
    return next((c for c in m.findall(used.path[-1].statement, m.Call()) if c.func is used.node), None)


def _references_to(target, units):
    """(unit, Reference) for every use of a function in the file, as far as its name tells."""
    if not target.is_function:
        return []
    others = [unit for unit in units if unit is not target]
    return [(unit, used) for unit in others for used in unit.references if refers_to(used, unit, target)]


def refers_to(used, unit, target):
    """Whether a Reference in `unit` is one to the function `target`."""
    if used.name != target.name:
        return False
    if used.receiver is None:
        return not target.owner and (
            target.parent is None or not target.parent.is_function or _within(unit, target.parent)
        )
    if used.receiver in ("self", "cls"):
        return bool(target.owner) and target.owner == class_of(unit)
    return bool(target.owner)


def class_of(unit):
    """The class that `self` belongs to in a unit, or ""."""
    while unit is not None and not unit.owner:
        unit = unit.parent
    return unit.owner if unit is not None else ""


def _within(unit, ancestor):
    while unit is not None:
        if unit is ancestor:
            return True
        unit = unit.parent
    return False


class _Origins:
    """Goes back, in one unit, from an update's gradients to the calls that computed them."""

    def __init__(self, unit):
        self._unit = unit
        self._writes = Writes(unit.body)

    def behind(self, names, event, loose, units):
        """(gradient events of this unit that flow into the names at an event, all names on the way, whether through
        variables)."""
        found, seen = self._follow(names, event, loose, units, False)
        if found:
            return found, seen, False
        found, seen = self._follow(names, event, loose, units, True)
        return found, seen, bool(found)

    def _follow(self, names, event, loose, units, through_variables):
        found, seen, todo = [], set(), [(name, event.path) for name in names]
        while todo:
            name, path = todo.pop()
            if (name, path) in seen:
                continue
            seen.add((name, path))
            for write in self._writes.reaching(name, path):
                if write.accumulates and not through_variables:
                    continue
                events = self._events_in(write.value, loose, units)
                found.extend(events)
                if not events:
                    todo.extend((n, write.path) for n in names_in(write.value))
            if name.startswith("self."):
                found.extend(self._methods_that_write(name, loose, units))
        return found, {name for name, _ in seen}

    def _events_in(self, value, loose, units):
        own = [e for e in loose[self._unit] if _inside(e.call, value)]
        for used in self._unit.references:
            if not any(n is used.node for n in m.findall(value, m.Name() | m.Attribute())):
                continue
            for other in units:
                if other is not self._unit and refers_to(used, self._unit, other) and computes(other, loose, units):
                    own.append(Event(GRADIENTS, None, used.path, used.line, via=other))
        return own

    def _methods_that_write(self, name, loose, units):
        """Calls here of methods of the same class that write gradients to self.x."""
        found: list = []
        for other in units:
            if other is self._unit or not other.owner or other.owner != class_of(self._unit):
                continue
            if not any(_writes(other, name, e) for e in loose[other]):
                continue
            uses = [used for used in self._unit.references if refers_to(used, self._unit, other)]
            found.extend(Event(GRADIENTS, None, used.path, used.line, via=other) for used in uses)
        return found


def computes(unit, loose, units, depth=4):
    """Whether a function computes gradients that it does not apply itself, by itself or in what it calls."""
    if any(e.kind != GRADIENTS for e in unit.events):
        return False
    return bool(loose[unit]) or any(
        refers_to(used, unit, other) and computes(other, loose, units, depth - 1)
        for used in unit.references
        for other in units
        if depth and other is not unit
    )


def _writes(unit, name, event):
    statement = event.path[-1].statement if event.path else None
    assigns = m.findall(statement, m.Assign()) if statement is not None else ()
    return any(name in names_in(t.target) for a in assigns for t in a.targets)
