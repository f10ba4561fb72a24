"""Which gradients go into which update: chains of calls, followed by name through a function and to its callers."""

from __future__ import annotations

import collections
from dataclasses import dataclass

import libcst.matchers as m

from tf1_wd.commands.patch.assignments import Writes
from tf1_wd.commands.patch.syntax import names_in
from tf1_wd.commands.patch.training_calls import APPLY, GRADIENTS, MINIMIZE, Event, defines_optimizer


@dataclass(eq=False)
class Chain:
    """The calls of one unit that belong to one update: its gradients, and what applies them."""

    unit: object
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
    waiting = collections.deque(
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
        callers = _calls_of(unit, units)
        if not callers:
            refusals.append(_no_gradients(unit, event))
        for caller, (_, _, node, path, line) in callers:
            call = _call_around(caller, node, path)
            passed = names_in(call) if call is not None else set()
            closed_over = reached - unit.parameters if _within(unit, caller) else set()
            own = {n for n in reached if n.startswith("self.")}
            waiting.append((caller, Event(APPLY, call, path, line, via=unit), passed | closed_over | own))
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


def _call_around(unit, node, path):
    """The call whose function is `node`; None where the function is handed on without a call."""
    if not path:
        return None
    return next((c for c in m.findall(path[-1].statement, m.Call()) if c.func is node), None)


def _calls_of(target, units):
    """(unit, call) for every use of a function in the file, as far as its name tells."""
    if not target.is_function:
        return []
    found = []
    for unit in units:
        for call in unit.calls:
            if unit is not target and refers_to(call, unit, target):
                found.append((unit, call))
    return found


def refers_to(call, unit, target):
    """Whether a use of a name in `unit` is one of the function `target`."""
    name, receiver = call[0], call[1]
    if name != target.name:
        return False
    if receiver is None:
        return not target.owner and (
            target.parent is None or not target.parent.is_function or _within(unit, target.parent)
        )
    if receiver in ("self", "cls"):
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
        for call in self._unit.calls:
            if not any(n is call[2] for n in m.findall(value, m.Name() | m.Attribute())):
                continue
            for other in units:
                if other is not self._unit and refers_to(call, self._unit, other) and computes(other, loose, units):
                    own.append(Event(GRADIENTS, None, call[3], call[4], via=other))
        return own

    def _methods_that_write(self, name, loose, units):
        """Calls here of methods of the same class that write gradients to self.x."""
        found = []
        for other in units:
            if other is self._unit or not other.owner or other.owner != class_of(self._unit):
                continue
            if not any(_writes(other, name, e) for e in loose[other]):
                continue
            calls = [c for c in self._unit.calls if refers_to(c, self._unit, other)]
            found.extend(Event(GRADIENTS, None, c[3], c[4], via=other) for c in calls)
        return found


def computes(unit, loose, units, depth=4):
    """Whether a function computes gradients that it does not apply itself, by itself or in what it calls."""
    if any(e.kind != GRADIENTS for e in unit.events):
        return False
    return bool(loose[unit]) or any(
        refers_to(call, unit, other) and computes(other, loose, units, depth - 1)
        for call in unit.calls
        for other in units
        if depth and other is not unit
    )


def _writes(unit, name, event):
    statement = event.path[-1].statement if event.path else None
    assigns = m.findall(statement, m.Assign()) if statement is not None else ()
    return any(name in names_in(t.target) for a in assigns for t in a.targets)
