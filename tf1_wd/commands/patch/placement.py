"""Where the scopes go: chains of calls -> one Plan for a file. Changes nothing itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

import libcst as cst

from tf1_wd.commands.patch.control_flow import always, leaves, raises
from tf1_wd.commands.patch.gradient_chains import Refusal, Refused, targets
from tf1_wd.commands.patch.syntax import blocks_of
from tf1_wd.commands.patch.training_calls import Unit

_BUILDERS = re.compile(
    r"train_op|optimi[sz]|minimi[sz]|train_step|model_fn|build_train|train_model|backward|^_?training$"
)


@dataclass(frozen=True)
class Wrap:
    """Statements first..last of a block go into one `with`."""

    block: cst.Module | cst.IndentedBlock
    first: int
    last: int
    line: int
    unit: Unit
    chains: tuple


@dataclass(frozen=True)
class Decorate:
    """A function gets the decorator."""

    unit: Unit
    line: int
    chains: tuple


def decide(chains, units, rates_given):
    """(scopes, refusals): the Wraps and Decorates that hold every chain, each once."""
    scopes: list = []
    refusals: list = []
    for unit in units:
        own = [c for c in chains if c.unit is unit]
        if not own:
            continue
        try:
            _check(own, rates_given)
            scopes.extend(_scopes_of(unit, own, units))
        except Refused as refused:
            refusals.extend(refused.args)
    if not refusals:
        refusals = _nested(scopes, units)
    return scopes, refusals


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


def _scopes_of(unit, chains, units):
    if _can_be_decorated(unit, chains):
        return [Decorate(unit, unit.line, tuple(chains))]
    return _cover(unit, unit.body, 0, chains)


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


def _cover(unit, block, depth, chains):
    """The Wraps that hold the chains, all of which are inside of the block."""
    places = [e.path[depth].index for c in chains for e in c.events]
    first, last = min(places), max(places)
    updates = _statements(chains)
    if first == last:
        inner = _descend(unit, block.body[first], depth + 1, chains, updates)
        if inner is not None:
            return inner
    run = block.body[first : last + 1]
    groups = _groups(chains, depth)
    trouble = _trouble(unit, block, depth, first, last, run, chains, updates)
    if trouble is None:
        return [Wrap(block, first, last, min(e.line for c in chains for e in c.events), unit, tuple(chains))]
    if len(groups) > 1:
        return [wrap for group in groups for wrap in _cover(unit, block, depth, group)]
    raise Refused(trouble)


def _descend(unit, statement, depth, chains, updates):
    """The Wraps inside of one compound statement; None where the statement itself is to be wrapped."""
    inside = {id(b): b for b in blocks_of(statement)}
    places = [{id(e.path[depth].block) if len(e.path) > depth else None for e in c.events} for c in chains]
    if any(len(p) > 1 or None in p for p in places):
        return None  # in the header of the statement, or across its branches
    used: set = {p for place in places for p in place}
    if not used <= set(inside):
        return None
    if len(used) == 1:
        return _cover(unit, inside[used.pop()], depth, chains)
    if isinstance(statement, cst.If) and always(statement, updates):
        return None
    branches = [[c for c, p in zip(chains, places) if b in p] for b in inside if b in used]
    return [
        wrap
        for branch in branches
        for wrap in _cover(unit, inside[id(branch[0].events[0].path[depth].block)], depth, branch)
    ]


def _groups(chains, depth):
    """Chains whose runs of statements overlap belong together."""
    groups: list = []
    for chain in sorted(chains, key=lambda c: min(e.path[depth].index for e in c.events)):
        indices = [e.path[depth].index for e in chain.events]
        if groups and min(indices) <= groups[-1][1]:
            groups[-1][0].append(chain)
            groups[-1][1] = max(groups[-1][1], *indices)
        else:
            groups.append([[chain], max(indices)])
    return [group for group, _ in groups]


def _trouble(unit, block, depth, first, last, run, chains, updates):
    """The Refusal that says why the run of statements cannot be wrapped as a whole; None if it can."""
    for path, line in unit.runs:
        step = path[depth] if len(path) > depth else None
        if step is not None and step.block is block and first <= step.index <= last:
            return Refusal(
                line,
                "a session runs between the gradients and the update of line %d" % chains[-1].update.line,
                "move it behind the statements that build the train_op",
            )
    if not always(run, updates):
        line = chains[0].update.line
        return Refusal(
            line,
            "gradients are computed in any case, but the update is built under a condition or in a loop"
            if not any(leaves(s) or raises(s) for s in run)
            else "the function may return before the update is built",
            "put the gradients and the update under the same condition, or wrap by hand where it is known to hold",
        )
    return None


def _nested(scopes, units):
    """Refusals for scopes that would open inside another: a call, in one, of a function that opens one."""
    opening = {scope.unit for scope in scopes}
    found = []
    for scope in scopes:
        for used in scope.unit.references:
            if isinstance(scope, Wrap) and not any(
                s.block is scope.block and scope.first <= s.index <= scope.last for s in used.path
            ):
                continue
            target = _opens(used, scope.unit, opening, units, 4)
            if target is not None:
                found.append(
                    Refusal(
                        used.line,
                        "%s builds an update and calls %s, which builds another: scopes cannot be nested"
                        % (scope.unit.title, target.title),
                        "put one `with tf1_wd.decoupled_weight_decay(...):` around both, where %s is called"
                        % scope.unit.title,
                    )
                )
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
