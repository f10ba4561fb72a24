"""Audits a program: executes it until its train graph is complete, and says what that decays."""

from __future__ import annotations

from tf1_wd import _tf, graph
from tf1_wd.commands.audit.assemble import audit_facts, norm_of
from tf1_wd.commands.audit.watched import Observer
from tf1_wd.commands.run.stop import stop_at_training
from tf1_wd.errors import AuditError
from tf1_wd.graph import files
from tf1_wd.graph.variables import trainable_variables


def audit_program(program, steps=0, on_refusal=lambda report: None):
    """The audit of a program, executed as `python` does up to its first training step or `steps` more.

    A program that trains nothing is audited at its end, if it built an update.

    program: execute.Program. steps: int. on_refusal(report): see stop.stop_at_training.
    Returns a stop.Stopped, with an AuditReport. Raises ProgramNotFoundError; AuditError for a program that ends
    without building an update, or decays by tf1_wd itself.

    Example:
      >>> audit_program(Program("train.py", ("--batch_size", "8"))).report.codes
    """
    name = str(program)

    def read(graphs, run, scopes):
        if scopes:
            raise AuditError(
                "%s uses tf1_wd itself: print(scope.plan) tells what decays in it, where audit tells what decays "
                "without" % name
            )
        if not graphs:
            raise AuditError(
                "%s ended without training: it gave no optimizer of tf.train any gradients, so there is nothing to "
                "audit. Give it the arguments with which it trains" % name
            )
        facts = [observer.facts(tf_graph) for tf_graph, observer in graphs]
        if run is not None:
            return audit_facts(name, facts, _norms(graphs[0][0]))
        notes = ["The program ended without a training step: this is the graph that it built."]
        return audit_facts(name, facts, notes=notes)

    return stop_at_training(program, Observer, read, steps, on_refusal)


def _norms(tf_graph):
    """{name of a trainable variable: its norm}, of the variables whose values a session of the graph has."""
    reads = {op.name: _read_of(op) for op in map(graph.variable_op, trainable_variables(tf_graph))}
    reads = {name: tensor for name, tensor in reads.items() if tensor is not None}
    return {name: norm_of(value) for name, value in files.values_in_session(tf_graph, reads).items()}


def _read_of(variable):
    """A tensor with the value of a variable (its op) that waits for nothing, or None."""
    if variable.type != "VarHandleOp":
        return variable.outputs[0]
    for op in variable.outputs[0].consumers():
        if op.type == "ReadVariableOp" and not op.control_inputs and _tf.control_flow_context(op) is None:
            return op.outputs[0]
    return None
