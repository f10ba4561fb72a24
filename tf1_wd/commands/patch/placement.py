"""Where the scopes go: chains of calls -> one Plan for a file. Changes nothing itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m

from tf1_wd.commands.patch.control_flow import always, leaves, raises
from tf1_wd.commands.patch.gradient_chains import Chain, Refusal, Refused, call_around, targets
from tf1_wd.commands.patch.syntax import blocks_of
from tf1_wd.commands.patch.training_calls import APPLY, Event, Unit

_BUILDERS = re.compile(
    r"train_op|optimi[sz]|minimi[sz]|train_step|model_fn|build_train|train_model|backward|^_?training$"
)


@dataclass(frozen=True)
class Wrap:
    """Statements first..last of a block go into one `with`."""

    unit: Unit
    chains: tuple
    block: cst.Module | cst.IndentedBlock
    first: int
    last: int

    @property
    def line(self):
        return min(event.line for chain in self.chains for event in chain.events)

    def holds(self, path):
        """Whether the path from the body of the unit goes through one of the statements."""
        return any(step.block is self.block and self.first <= step.index <= self.last for step in path)


@dataclass(frozen=True)
class Decorate:
    """A function gets the decorator. calls: how many calls of it the file has."""

    unit: Unit
    chains: tuple
    calls: int = 1

    @property
    def line(self):
        return self.unit.line


def decide(chains, units, rates_given):
    """(scopes, refusals): the Wraps and Decorates that hold every chain, each once."""
    scopes: list = []
    refusals: list = []
    calls = {unit: _calls_of(unit, units) for unit in units}
    chains = _at_calls(chains, calls)
    for unit in units:
        own = [c for c in chains if c.unit is unit]
        try:
            _check(own, rates_given)
            if own:
                decorated = Decorate(unit, tuple(own), len(calls[unit]))
                scopes += [decorated] if _can_be_decorated(unit, own) else _cover(unit, unit.body, own)
        except Refused as refused:
            refusals += refused.args
    if not refusals:
        refusals = _nested(scopes, units)
    return scopes, refusals


def _calls_of(unit, units):
    """[(unit, Reference)] of each use of a function in its file."""
    return [(caller, used) for caller in units for used in caller.references if unit in targets(used, caller, units)]


def _at_calls(chains, calls):
    """The chains, those of a function that is called several times at one place moved to the calls of it.

    One scope around all of these trains what a call without L2 updates, as `tf1-wd run` does; a decorator, a scope for
    each call, would stop there. calls: {unit: what _calls_of returns}.
    """
    for unit, sites in calls.items():
        own = [chain for chain in chains if chain.unit is unit]
        callers = {caller for caller, _ in sites}
        if len(sites) < 2 or len(callers) > 1 or unit.returns_spec or not (own and _can_be_decorated(unit, own)):
            continue
        caller = callers.pop()
        nodes = [call_around(used) for _, used in sites]
        if None in nodes or any(_is_in_lambda(used) for _, used in sites):
            continue
        moved = [
            Chain(caller, [Event(APPLY, node, used.path, used.line, via=unit)], any(c.accumulates for c in own))
            for node, (_, used) in zip(nodes, sites)
        ]
        try:
            is_one = len(_cover(caller, caller.body, moved)) == 1
        except Refused:
            continue
        if is_one:
            chains = [*(chain for chain in chains if chain.unit is not unit), *moved]
    return chains


def _is_in_lambda(used):
    lambdas = m.findall(used.path[-1].statement, m.Lambda())
    return any(node is used.node for inner in lambdas for node in m.findall(inner, m.Name() | m.Attribute()))


def _check(chains, rates_given):
    for chain in chains:
        for event in chain.events:
            if event.in_lambda:
                why = "the update is built in a lambda that runs elsewhere"
                raise Refused(Refusal(event.line, why, "turn the lambda into a function, and decorate that"))
            if not event.path:
                by_hand = "put its body on lines of its own, and run this again"
                raise Refused(Refusal(event.line, "the function stands on one line", by_hand))
        if chain.accumulates and not rates_given:
            why = (
                "gradients are summed up in variables before they are applied, so how often a penalty counts is not in "
                "the graph"
            )
            by_hand = "say the rates: --rate 1e-4, or --rate 'PATTERN=1e-4'"
            raise Refused(Refusal(chain.update.line, why, by_hand))


def _can_be_decorated(unit, chains):
    """Whether a function only builds a graph, updates whenever it is called, and is named or made for it."""
    if not unit.is_function or unit.is_generator or unit.runs or not isinstance(unit.body, cst.IndentedBlock):
        return False
    if unit.returns_spec:
        return True
    if any(c.update.via is not None for c in chains) or not always(unit.body, _statements(chains)):
        return False
    returns_value = any(value is not None for value, _ in unit.returns)
    named = _BUILDERS.search(unit.name) is not None
    plain = unit.name not in ("__init__", "main", "train", "_train", "run") and not unit.name.startswith("test")
    return plain and (named or returns_value)


def _statements(chains):
    """Identities of the innermost statements that update."""
    return {id(c.update.path[-1].statement) for c in chains}


def _place(event, block):
    """Which statement of a block an event is in; None where it is not inside of the block."""
    return next((step.index for step in event.path if step.block is block), None)


def _cover(unit, block, chains):
    """The Wraps that hold the chains, all of which are inside of the block."""
    places = [_place(e, block) for c in chains for e in c.events]
    wrap = Wrap(unit, tuple(chains), block, min(places), max(places))
    if wrap.first == wrap.last:
        inner = _descend(unit, block.body[wrap.first], chains)
        if inner is not None:
            return inner
    trouble, groups = _trouble(wrap), _groups(chains, block)
    if trouble is None:
        return [wrap]
    if len(groups) == 1:
        raise Refused(trouble)
    return [inner for group in groups for inner in _cover(unit, block, group)]


def _descend(unit, statement, chains):
    """The Wraps inside of one compound statement; None where the statement itself is to be wrapped."""
    branches = [(b, [c for c in chains if None not in [_place(e, b) for e in c.events]]) for b in blocks_of(statement)]
    branches = [(block, inside) for block, inside in branches if inside]
    if sum(len(inside) for _, inside in branches) < len(chains):
        return None  # in the header of the statement, or across its branches
    if len(branches) > 1 and isinstance(statement, cst.If) and always(statement, _statements(chains)):
        return None
    return [wrap for block, inside in branches for wrap in _cover(unit, block, inside)]


def _groups(chains, block):
    """Chains whose runs of statements overlap belong together."""
    places = {chain: [_place(event, block) for event in chain.events] for chain in chains}
    groups: list = []
    last = -1
    for chain in sorted(chains, key=lambda c: min(places[c])):
        if min(places[chain]) > last:
            groups.append([])
        groups[-1].append(chain)
        last = max(last, *places[chain])
    return groups


def _trouble(wrap):
    """The Refusal that says why the run of statements cannot be wrapped as a whole; None if it can."""
    for path, line in wrap.unit.runs:
        if wrap.holds(path):
            update = wrap.chains[-1].update.line
            why = "a session runs between the gradients and the update of line %d" % update
            return Refusal(line, why, "move it behind the statements that build the train_op")
    run = wrap.block.body[wrap.first : wrap.last + 1]
    if always(run, _statements(wrap.chains)):
        return None
    if any(leaves(s) or raises(s) for s in run):
        why = "the function may return before the update is built"
    else:
        why = "gradients are computed in any case, but the update is built under a condition or in a loop"
    by_hand = "put the gradients and the update under the same condition, or wrap by hand where it is known to hold"
    return Refusal(wrap.chains[0].update.line, why, by_hand)


def _nested(scopes, units):
    """Refusals for scopes that would open inside another: a call, in one, of a function that opens one."""
    opening = {scope.unit for scope in scopes}
    found = []
    for scope in scopes:
        for used in scope.unit.references:
            if isinstance(scope, Decorate) or scope.holds(used.path):
                target = _opens(used, scope.unit, opening, units, 4)
                if target is not None:
                    titles = scope.unit.title, target.title
                    why = "%s builds an update and calls %s, which builds another: scopes cannot be nested" % titles
                    by_hand = "put one `with tf1_wd.decoupled_weight_decay(...):` around both, where %s is called"
                    found.append(Refusal(used.line, why, by_hand % scope.unit.title))
    return found


def _opens(used, unit, opening, units, depth):
    """The function that a Reference leads to, itself or by what it calls, and that opens a scope; or None."""
    for other in targets(used, unit, units):
        if other in opening:
            return other
        further = (_opens(inner, other, opening, units, depth - 1) for inner in other.references if depth)
        found = next(filter(None, further), None)
        if found is not None:
            return found
    return None
