"""What the weight decay of a program really is: from watching its graph being built, or from a graph in a file."""

from __future__ import annotations

import collections
import contextlib
import functools
import os

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.facts import by_variable
from tf1_wd.commands.audit.findings import find
from tf1_wd.commands.audit.from_graph import structural_facts
from tf1_wd.commands.audit.report import RUN_TIME, UNKNOWN, AuditedVariable, AuditReport, Finding, Strength
from tf1_wd.commands.audit.scene import Scene
from tf1_wd.commands.audit.source_lines import users_frames
from tf1_wd.errors import AuditError
from tf1_wd.graph import files
from tf1_wd.graph.marks import made_in
from tf1_wd.graph.roles import role_of
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.plan.text_table import cell

_COLLECTION = tf.GraphKeys.REGULARIZATION_LOSSES


def audit_facts(program, all_facts, norms=None, notes=(), has_lines=True):
    """The AuditReport of the facts of one graph or several.

    program: what it is called in the report. all_facts: list of facts.Facts. norms: {name of a variable: norm of its
    weights}. notes: sentences for the report. has_lines: False if the ops know nothing of the code that made them.
    """
    variables: list[AuditedVariable] = []
    findings: list[Finding] = []
    strengths: list[Strength] = []
    for facts in all_facts:
        frames = functools.lru_cache(None)(lambda op: users_frames(files.traceback(op)) if has_lines else ())
        in_losses = by_variable(penalty for step in facts.steps for penalty in step.penalties)
        declared = by_variable(penalty for d in facts.collections.values() for penalty in d.penalties)
        audited = {
            graph.variable_op(v): _audited(v, facts, frames, in_losses, declared, norms or {})
            for v in trainable_variables(facts.graph)
        }
        variables += audited.values()
        findings += find(Scene(facts, audited, frames))
        strengths += _strengths(facts, audited)
        notes = (*notes, *facts.notes)
    return AuditReport(program, tf.version.VERSION, tuple(variables), tuple(findings), tuple(strengths), tuple(notes))


def audit_file(path, checkpoint=None):
    """The AuditReport of a `.meta` file, or of a SavedModel's folder.

    checkpoint: a checkpoint with the weights; by default the one beside the file, if there is one.
    Raises AuditError if it is neither, or holds no trainable variables.

    Example:
      >>> report = audit_file("train_dir/model.ckpt-1000.meta")
    """
    with graph_from(path) as (tf_graph, beside):
        facts = structural_facts(tf_graph)
        notes = ["Read from a file: source lines are not in it, and the loss is known by the names of its gradients."]
        if not facts.steps:
            notes.append("The graph updates no variable, so which optimizer trains it is not known.")
        if made_in(tf_graph):
            notes.append("tf1_wd decays weights in this graph, at rates that a file does not tell: its plan has them.")
        norms = _norms(checkpoint or beside, asked=checkpoint is not None)
        return audit_facts(os.path.basename(os.path.abspath(path)), [facts], norms, notes, has_lines=False)


@contextlib.contextmanager
def graph_from(path):
    """In the block the graph of a `.meta` file or a SavedModel's folder is the default; gives (it, the prefix of the
    checkpoint beside it). Raises AuditError if it is neither, or holds no trainable variables.
    """
    meta_graph, beside = _read(path)
    with tf.Graph().as_default() as tf_graph:
        try:
            files.import_meta_graph(meta_graph)
        except Exception as error:  # an op that is not registered here, say; each version raises its own
            raise AuditError("%s cannot be imported into this TensorFlow: %s" % (path, error)) from error
        if not trainable_variables(tf_graph):
            raise AuditError(
                "%s lists no trainable variables (the collection %s): give it the graph of the training"
                % (path, tf.GraphKeys.TRAINABLE_VARIABLES)
            )
        yield tf_graph, beside


def _read(path):
    """(MetaGraphDef, prefix of the checkpoint beside it) of a file or a SavedModel's folder."""
    file = os.path.join(path, "saved_model.pb") if os.path.isdir(path) else path
    try:
        with open(file, "rb") as source:
            data = source.read()
    except OSError as error:
        raise AuditError("%s: %s. A graph is a .meta file or a SavedModel's folder" % (file, error.strerror)) from error
    try:
        if file.endswith(".pb"):
            graphs = files.saved_model(data).meta_graphs
            if not graphs:
                raise ValueError("it holds no graph")
            largest = max(graphs, key=lambda g: len(g.graph_def.node))
            return largest, os.path.join(os.path.dirname(file), "variables", "variables")
        meta_graph = files.meta_graph(data)
    except ValueError as error:
        raise AuditError("%s is no .meta file and no SavedModel: %s" % (file, error)) from error
    return meta_graph, file[: -len(".meta")] if file.endswith(".meta") else file


def _norms(prefix, asked):
    """{name: norm} of the variables in a checkpoint; {} if there is none."""
    if not (asked or os.path.exists(prefix + ".index") or os.path.isfile(prefix)):
        return {}
    try:
        reader = tf.train.NewCheckpointReader(prefix)
    except Exception as error:  # each version raises its own
        raise AuditError("%s is no checkpoint: %s" % (prefix, error)) from error
    return {name: norm_of(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}


def norm_of(value):
    """The Euclidean norm of an array of floats; None for other values."""
    if getattr(value, "dtype", None) is None or value.dtype.kind not in "fV":
        return None
    return float((value.astype("float64") ** 2).sum() ** 0.5)


def _audited(variable, facts, frames, in_losses, declared, norms):
    """The AuditedVariable of a tf.Variable: what the facts say of it. in_losses, declared: {op: list of Penalty}."""
    op = graph.variable_op(variable)
    steps = [step for step in facts.steps if op in step.updates and not step.decays_only]
    rate, place, why = _rate(op, steps, facts)
    penalties = in_losses.get(op) if place == "loss" else None
    penalties = penalties or declared.get(op, []) if place != "-" else []
    learning_rates = {step.learning_rate for step in steps}
    made = [facts.origins.get(penalty.tensor.op, penalty.tensor.op) for penalty in penalties[:1]]
    lines = [line for op_ in made for line in frames(op_)[:1]]
    shape = variable.shape
    return AuditedVariable(
        name=op.name,
        shape=tuple(shape.as_list()) if shape.rank is not None else (None,),
        dtype=variable.dtype.base_dtype.name,
        kind="resource" if op.type == "VarHandleOp" else "reference",
        rate=rate,
        rule=_rule(op, rate, penalties),
        place=place,
        source=str(lines[0]) if lines else None,
        updated_by=tuple(dict.fromkeys(s.optimizer for s in facts.steps if op in s.updates)),
        learning_rate=learning_rates.pop() if len(learning_rates) == 1 else RUN_TIME if steps else None,
        frozen=not steps,
        role=role_of(op),
        norm=norms.get(op.name),
        why=why,
    )


def _rate(op, steps, facts):
    """(rate, place, why) of a variable, from the first place that gives it one. steps: those that train it."""
    rates = [step.rates[op] for step in steps if op in step.rates]
    if rates:
        reasons = [step.problems[op].text for step in steps if op in step.problems]
        if len(set(rates)) > 1:
            return UNKNOWN, "loss", "each of its optimizers has another rate: %s" % ", ".join(map(cell, rates))
        return rates[0], "loss", reasons[0] if reasons else ""
    for step in facts.steps:
        if step.decays_only and op in step.rates:
            return step.rates[op], "loss", "that of a second step, %s on the penalties alone" % step.optimizer
    for step in facts.steps:
        if op in step.untrained:
            return step.untrained[op], "loss", "in the loss of %s, which does not train it" % step.optimizer
    for name in sorted(facts.collections, key=lambda name: name != _COLLECTION):
        if op in facts.collections[name].rates:
            return facts.collections[name].rates[op], "collection", "in %s, in no loss at that rate" % name
    if op in facts.layers:
        return facts.layers[op], "layer", "a regularizer of a Keras layer, whose losses are in no loss"
    return None, "-", ""


def _rule(op, rate, penalties):
    """How the rate comes about: coefficient times what is penalised."""
    if not penalties:
        return ""
    word = "l2_loss(w)" if penalties[0].tensor.op.type == "L2Loss" else "sum(w ** 2)"
    if len(penalties) > 1:
        return "%d penalties" % len(penalties)
    factor = penalties[0].factors[op]
    if word != "l2_loss(w)" and factor != 2.0:
        return "gradient %s w" % (rate if not isinstance(rate, float) else "%g" % rate)
    return "%s %s" % ("%g" % (rate / factor) if isinstance(rate, float) and factor else "c", word)


def _strengths(facts, audited):
    """A Strength for each optimizer, learning rate and rate that numbers are known of."""
    counts = collections.Counter(
        (step.optimizer, rate, step.learning_rate)
        for step in facts.steps
        for op, rate in step.rates.items()
        if isinstance(step.learning_rate, float) and isinstance(rate, float) and rate > 0.0 and op in audited
    )
    return [Strength(*key, count) for key, count in counts.items()]
