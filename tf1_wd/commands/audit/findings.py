"""What is wrong, or worth knowing, about the weight decay of a graph: one function for each finding."""

from __future__ import annotations

import difflib

from tf1_wd import graph
from tf1_wd.commands.audit.report import CODES, Finding, Strength, is_decay
from tf1_wd.commands.audit.source_lines import name_filters


def find(scene):
    """All findings, the gravest first."""
    checks = (
        *(_coupled, _negative, _double_counted, _inert, _empty_filters, _stale_reads, _frozen, _decayed_roles),
        *(_decoupled, _ambiguous),
    )
    found = []
    for code, ops, sentence, remedy in (told for check in checks for told in check(scene)):
        names = scene.names(ops)
        if names:
            count = names[0] if len(names) == 1 else "%d variables (%s)" % (len(names), _some(names))
            found.append(Finding(code, names, sentence.replace("{variables}", count), remedy))
    return tuple(sorted(found, key=lambda f: list(CODES).index(f.code)))


# Each check yields (code, ops of variables, sentence, remedy) of what it finds. {variables} in a sentence stands for
# the names; where none of the ops is in the report, nothing is told.


def _coupled(scene):
    for step in scene.facts.steps:
        if not step.is_plain and not step.decays_only:
            unknown = any(op in scene.variables and op not in step.first for op in step.problems)
            option, patch = ("--rate PATTERN=RATE ", "") if unknown else ("", "; `tf1-wd patch SCRIPT` writes the edit")
            command = "`tf1-wd run %sSCRIPT` trains"
            ways = {(command % option, patch): _decaying(step) - set(step.first)}
            for op, first in step.first.items():
                ways.setdefault((first, ""), set()).add(op)
            for (first, last), ops in ways.items():
                yield (
                    "coupled",
                    ops,
                    "%s gets the L2 of {variables} as part of the gradient and rescales it with the rest, so that "
                    "weights with large gradients hardly decay: this is no weight decay. %s"
                    % (step.optimizer, _numbers(step, scene, ops)),
                    "%s with true decay, w <- w - step - lr r w%s. The right rate is then another one: search it again"
                    % (first, last),
                )


def _numbers(step, scene, ops):
    told = {rate for op, rate in step.rates.items() if op in scene.variables and op in ops and is_decay(rate)}
    rates = sorted(rate for rate in told if isinstance(rate, float))
    if not rates:
        unknown = any(op in scene.variables and op in ops for op in step.problems)
        return "Its rate cannot be told from the graph." if unknown else "Its rate is known only at run time."
    text = "Rate %s" % (" and ".join("%g" % r for r in rates) if len(rates) < 4 else "%g to %g" % (rates[0], rates[-1]))
    if not isinstance(step.learning_rate, float):
        return text + "; the learning rate is known only at run time."
    strength = Strength(step.optimizer, rates[-1], step.learning_rate, len(rates))
    life = "" if strength.half_life is None else " (half-life %s steps)" % f"{strength.half_life:,.0f}"
    words = (text, step.learning_rate, strength.per_step, life)
    return "%s at learning rate %g: plain SGD would take %.3g of a weight off per step%s." % words


def _negative(scene):
    for step in scene.facts.steps:
        grow = {op: rate for op, rate in step.rates.items() if isinstance(rate, float) and rate < 0.0}
        yield (
            "negative",
            grow,
            "L2 of {variables} has a negative coefficient in the gradient (rate %s): it drives weights away from 0, "
            "which is no decay." % ", ".join("%g" % rate for rate in sorted(set(grow.values()))),
            "Correct its sign"
            if step.decays_only
            else "Correct its sign: `tf1-wd run` refuses the rate. Or train with true decay at another: `tf1-wd run "
            "--rate PATTERN=RATE SCRIPT`",
        )


def _double_counted(scene):
    for step in scene.facts.steps:
        hows: dict = {}
        for op, how in step.doubled.items():
            hows.setdefault(how.text if how.is_one_term else "", []).append((op, how.text))
        for members in hows.values():
            yield (
                "double-counted",
                [op for op, _ in members],
                "L2 of {variables} goes into one loss by more than one route, and the rates add up: %s."
                % members[0][1],
                "Keep one route: the regularizer (and get_regularization_losses once), or the sum written by hand. "
                "The rate in this report is the sum of both",
            )


def _inert(scene):
    facts = scene.facts
    if not facts.steps:
        return
    decayed = {op for step in facts.steps for op in step.rates if op not in step.problems}
    told = {op for step in facts.steps for op in [*step.rates, *step.untrained, *step.problems]}
    losses_are_known = all(step.loss_ops is not None for step in facts.steps)
    live = set(facts.origins.values())
    for name, declared in facts.collections.items():
        where = "L2 of {variables} is declared in the collection %s, " % name
        terms = [(any(p.tensor.op in live for p in ps), ps) for _, ps in declared.terms]
        lost = {op for is_live, ps in terms if not is_live for p in ps for op in p.factors}
        held = {op for is_live, ps in terms if is_live for p in ps for op in p.factors}
        yield (
            "inert",
            lost - held - told,
            where + "but no loss that is trained contains it: nothing decays.",
            "Add it to the loss (tf.losses.get_regularization_loss()), or train with it as true decay: "
            "`tf1-wd run --source collection SCRIPT`. Or delete the regularizers",
        )
        yield (
            "inert",
            held - told,
            where + "and a loss depends on it, but not as a summand with a factor of its own (squared, say, or behind "
            "tf.stop_gradient): its gradient there is no multiple of the weights, and nothing decays.",
            "Add it to the loss as it is (tf.losses.get_regularization_loss()), or train with it as true decay: "
            "`tf1-wd run --source collection SCRIPT`",
        )
        yield (
            "inert",
            lost & decayed if losses_are_known else (),
            where + "but no loss that is trained contains it: its rate is that of other L2 in the loss.",
            "Delete the regularizers; or add them to the loss (tf.losses.get_regularization_loss()), where the rates "
            "add up",
        )
        told |= lost | held
    rates = {op: rate for op, rate in facts.layers.items() if op not in told}
    yield (
        "inert",
        rates,
        "Keras layers have L2 regularizers for {variables}, but no loss that is trained contains the layers' losses: "
        "nothing decays.",
        "Add them to the loss (loss += tf.add_n(layer.losses), of each layer or model), or train with true decay: "
        "`tf1-wd run --rate %s SCRIPT`. Or leave out the regularizers"
        % ("%g" % next(iter(rates.values())) if len(set(rates.values())) == 1 else "PATTERN=RATE"),
    )


def _empty_filters(scene):
    all_names = [v.name for v in scene.variables.values()]
    filtered: dict = {}
    for penalty in (penalty for step in scene.facts.steps for penalty in step.penalties):
        for test in (test for line in scene.frames(penalty.tensor.op) for test in name_filters(line)):
            filtered.setdefault(test, set()).update(penalty.factors)
    for test, ops in filtered.items():
        if any(test.matches(name) for name in all_names):
            continue
        yield (
            "empty-filter",
            ops,
            "The test for %s at %s matches the name of no trainable variable, so it filters nothing: {variables} %s "
            "penalised." % (test, test.where, "is" if len(scene.names(ops)) == 1 else "are"),
            "Correct the string (near names: %s), or decide with `tf1-wd run --exclude PATTERN SCRIPT`, which refuses "
            "a pattern that matches nothing" % _some(_nearest(test.texts[0], all_names)),
        )


def _nearest(text, names):
    """Names, those with a part that is most like `text` first."""

    def likeness(name):
        return max(difflib.SequenceMatcher(None, text.lower(), part.lower()).ratio() for part in name.split("/"))

    return sorted(names[:500], key=likeness, reverse=True)


def _frozen(scene):
    trained = _trained(scene)
    yield (
        "frozen-decayed",
        [op for step in _second_steps(scene) for op in _decaying(step) if op not in trained],
        "A second step on the penalties alone moves {variables}, which no optimizer trains: frozen weights shrink "
        "towards zero.",
        "Remove the second step and use `tf1-wd run --source collection SCRIPT`, which decays only what is "
        "trained; or give the step's minimize the var_list of the optimizer",
    )


def _stale_reads(scene):
    penalties = [penalty.tensor for step in _second_steps(scene) for penalty in step.penalties]
    if not penalties:
        return
    # the updates, and what runs after one of them, through data or control edges
    after = {o for step in scene.facts.steps if not step.decays_only for ops in step.updates.values() for o in ops}
    for op in scene.facts.graph.get_operations():
        if not after.isdisjoint([*(tensor.op for tensor in op.inputs), *op.control_inputs]):
            after.add(op)
    reads = [op for op in graph.ancestors(penalties) if op.type == "ReadVariableOp" and op not in after]
    yield (
        "stale-reads",
        _trained(scene).intersection(graph.read_source(op.outputs[0]) for op in reads),
        "The second step's penalties read {variables} without waiting for the update: on resource variables the decay "
        "may be one of old weights or of new ones, as the run happens to go.",
        "Remove the second step; `tf1-wd run --convention snippet --source collection SCRIPT` does what it means, "
        "w <- (1 - r)(w - step), in one order",
    )


def _decayed_roles(scene):
    for role, what in (("norm", "Scales and offsets of normalizations"), ("bias", "Biases")):
        in_loss = {op: v for op, v in scene.variables.items() if v.place == "loss" and v.updated_by}
        decayed = {op: v.name for op, v in in_loss.items() if v.role == role and is_decay(v.rate)}
        last_names = sorted({name.rsplit("/", 1)[-1] for name in decayed.values()})
        yield (
            "%s-decayed" % role,
            decayed,
            "%s are decayed: %s." % (what, _some(list(decayed.values()))),
            "If that is not meant: `tf1-wd run --exclude '(^|/)(%s)$' SCRIPT`, or leave them out of the penalty"
            % "|".join(last_names[:4]),
        )


def _decoupled(scene):
    for step in scene.facts.steps:
        if step.own_decay:
            yield _own(step.updates, "%s. It is not L2 in the loss" % step.own_decay)
    for step in _second_steps(scene):
        if not step.is_plain:
            yield _own(
                _decaying(step),
                "A second step, %s on the penalties alone, moves {variables} by what that optimizer makes of them: it "
                "is no fraction of the weights" % step.optimizer,
                "Remove the second step, and search for a rate: `tf1-wd run --convention snippet --rate RATE SCRIPT`",
            )
        else:
            yield _own(
                _decaying(step),
                "A second step, %s on the penalties alone, takes a fraction of {variables} off" % step.optimizer,
                "Remove the second step: `tf1-wd run --convention snippet --source collection%s SCRIPT` decays the "
                "same variables when, and only when, they are updated, in one order on all kinds of variables"
                % _scale(step, scene),
            )
    where = dict(scene.facts.own_decays)
    if where:
        first = next(iter(where.values()))
        yield _own(where, "The program takes a fraction of {variables} off by itself (%s)" % first.name)


def _scale(step, scene):
    """The option by which the rates of the collection become those of a second step, which may multiply them."""
    declared = [d.rates for d in scene.facts.collections.values()]
    found = {
        round(rate * step.learning_rate / rates[op], 6)
        for op, rate in step.rates.items()
        for rates in declared
        if isinstance(rate, float) and isinstance(step.learning_rate, float) and isinstance(rates.get(op), float)
        if rates[op]
    }
    if len(found) != 1:
        return " --scale S" if found or not isinstance(step.learning_rate, float) else ""
    return "" if found == {1.0} else " --scale %g" % found.pop()


def _own(ops, sentence, remedy=None):
    leave = (
        "Leave it: `tf1-wd run` refuses these variables, for they would decay twice. To compare, take the program's "
        "own decay out first"
    )
    return "already-decoupled", ops, sentence + ".", remedy or leave


def _ambiguous(scene):
    reasons: dict = {}
    for step in scene.facts.steps:
        for op, problem in step.problems.items():
            first = step.first.get(op)
            remedy = first + " with true decay" if first else "Say what it is: `tf1-wd run --rate PATTERN=RATE SCRIPT`"
            reasons.setdefault((problem.of_any or problem.text, remedy), []).append(op)
    for (reason, remedy), ops in reasons.items():
        yield (
            "ambiguous",
            ops,
            "The rate of {variables} cannot be told from the graph: %s." % reason.rstrip("."),
            remedy,
        )


def _decaying(step):
    return {op for op, rate in step.rates.items() if is_decay(rate)}


def _second_steps(scene):
    return [step for step in scene.facts.steps if step.decays_only]


def _trained(scene):
    return {op for step in scene.facts.steps if not step.decays_only for op in step.updates}


def _some(names):
    return ", ".join(names[:3]) + (" and %d more" % (len(names) - 3) if len(names) > 3 else "")
