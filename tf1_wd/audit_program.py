"""Executes a program until its train graph is complete, and audits that graph."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tf1_wd import _tf, graph, graph_files
from tf1_wd import program as programs
from tf1_wd.audit import audit_facts, norm_of
from tf1_wd.errors import AuditError
from tf1_wd.observe import Observer
from tf1_wd.structure import trainable_variables
from tf1_wd.watch import Watch

_PATIENCE = 10  # training runs after which a program is not waited for
# ops that leave something behind
_WRITES = frozenset(["Save", "SaveV2", "SaveSlices", "MergeV2Checkpoints", "WriteFile"])


class TrainingReached(BaseException):
    """Unwinds a program whose train graph is complete. No Exception, so that programs do not catch it by mistake."""


@dataclass
class Audit:
    """What became of the program: the AuditReport, or None, and what ended the program early, or None."""

    report: object = None
    raised: object = None


def audit_program(program, steps=0, on_refusal=lambda report: None):
    """Executes a program as `python` does, up to its first training step or `steps` more, and audits what it built.

    What it would save on being stopped is not written. A program that trains nothing is audited at its end, if it built
    an update; an error of the program is left in `raised`.

    program: program.Program. steps: int. on_refusal(report): called if the program goes on although it is stopped, as
    with a bare `except:` in its training loop; what it returns is ignored, and it may end the process.
    Returns an Audit. Raises ProgramNotFoundError; AuditError for a program that
    ends without building an update.

    Example:
      >>> audit_program(Program("train.py", ("--batch_size", "8"))).report.codes
    """
    listening = _Listening(str(program), steps, on_refusal)
    result = Audit()
    with listening.watch.open(), _tf.patched_sessions(listening.before_run):
        before = set(threading.enumerate())
        result.raised = programs.attempt(program)
        if not listening.is_over:
            for thread in set(threading.enumerate()) - before:
                if not thread.daemon:
                    thread.join()
    if listening.is_over or isinstance(result.raised, TrainingReached):
        result.raised = None
    if result.raised is None or (isinstance(result.raised, SystemExit) and not result.raised.code):
        result.raised, result.report = None, listening.report or listening.at_the_end()
    return result


class _Listening:
    """Follows one program, and stops it in time."""

    def __init__(self, name, steps, on_refusal):
        self._on_refusal, self._stops = on_refusal, 0
        self.watch = Watch(self._observer, self._on_training)
        self._observers = []
        self.report = None
        self.is_over = False
        self._name, self._left, self._graph, self._listener = name, steps, None, None

    def _observer(self):
        self._observers.append(Observer())
        return self._observers[-1]

    def _on_training(self, where, listener):
        first = self.report is None
        self._graph, self._listener = where, listener
        self._audit()
        if first and self._left > 0:
            self._left -= 1  # the step that is about to run
        elif first:
            self.is_over = True
            raise TrainingReached

    def before_run(self, where, ops):
        """Counts steps; keeps a program that is being stopped from training on and from saving anything."""
        if self._graph is None or (where is not self._graph and not self.is_over):
            return
        behind = list(graph.predecessors(ops))
        trains = any(op.type not in graph.CALLS and "Apply" in op.type for op in behind)
        if self.is_over and (trains or any(op.type in _WRITES for op in behind)):
            self._stops += trains
            if self._stops >= _PATIENCE:
                self._on_refusal(self.report)
            raise TrainingReached
        if trains and self._left == 0:
            self.is_over = True
            self._audit()
            raise TrainingReached
        self._left -= trains

    def _audit(self):
        self.report = audit_facts(self._name, [self._listener.facts(self._graph)], _norms(self._graph))

    def at_the_end(self):
        """The report on what was built and never run."""
        built = [(where, observer) for observer in self._observers for where in observer.graphs]
        if not built:
            raise AuditError(
                "%s ended without training: it gave no optimizer of tf.train any gradients, so there is nothing to "
                "audit. Give it the arguments with which it trains" % self._name
            )
        notes = ["The program ended without a training step: this is the graph that it built."]
        return audit_facts(self._name, [observer.facts(where) for where, observer in built], notes=notes)


def _norms(where):
    """{name of a trainable variable: its norm}, of the variables whose values a session of the graph has."""
    reads = {graph.variable_op(v).name: _read_of(graph.variable_op(v)) for v in trainable_variables(where)}
    reads = {name: tensor for name, tensor in reads.items() if tensor is not None}
    values = graph_files.values_in_session(where, reads)
    return {name: norm_of(value) for name, value in values.items()}


def _read_of(variable):
    """A tensor with the value of a variable (its op) that waits for nothing, or None."""
    if variable.type != "VarHandleOp":
        return variable.outputs[0]
    for op in variable.outputs[0].consumers():
        if op.type == "ReadVariableOp" and not op.control_inputs and _tf.control_flow_context(op) is None:
            return op.outputs[0]
    return None
