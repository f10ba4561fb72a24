"""Executes a program until its train graph is complete, reads that graph, and keeps the program from training on."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tf1_wd import _tf, graph
from tf1_wd.commands.run import execute as programs
from tf1_wd.commands.run.watch import Watch

_PATIENCE = 10  # training runs after which a program is not waited for
# ops that leave something behind
_WRITES = frozenset(["Save", "SaveV2", "SaveSlices", "MergeV2Checkpoints", "WriteFile"])


class TrainingReached(BaseException):
    """Unwinds a program whose train graph is complete. No Exception, so that programs do not catch it by mistake."""


@dataclass
class Stopped:
    """What became of the program: what `read` returned, or None, and what ended the program early, or None."""

    report: object = None
    raised: object = None


def stop_at_training(program, make_listener, read, steps=0, on_refusal=lambda report: None, lets_attach=True):
    """Executes a program as `python` does, up to its first training step or `steps` more, and reads what it built.

    What it would save on being stopped is not written. A program that trains nothing is read at its end; an error of
    the program is left in `raised`.

    program: execute.Program. make_listener, lets_attach: as for watch.Watch. read(graphs, run, scopes): graphs: list of
    (tf.Graph, listener); run: the ops of the run that trains, None for a program that ended without training; scopes:
    those of the program's own. A graph that is trained in one of these alone has no listener, but None.
    on_refusal(report): called if the program goes on although it is stopped, as with a bare `except:` in its training
    loop; what it returns is ignored, and it may end the process.
    Returns a Stopped. Raises ProgramNotFoundError, and what `read` raises for a program that ended without training.
    """
    listening = _Listening(make_listener, read, steps, on_refusal, lets_attach)
    result = Stopped()
    with listening.watch.open(), _tf.patched_sessions(listening.before_run):
        before = set(threading.enumerate())
        result.raised = programs.attempt(program)
        if not listening.is_over:
            for thread in set(threading.enumerate()) - before:
                if not thread.daemon:
                    thread.join()
    if listening.is_over or isinstance(result.raised, TrainingReached):
        result.raised = None
    if listening.error is not None:
        raise listening.error
    if result.raised is None or (isinstance(result.raised, SystemExit) and not result.raised.code):
        result.raised, result.report = None, listening.report or listening.at_the_end()
    return result


class _Listening:
    """Follows one program, and stops it in time."""

    def __init__(self, make_listener, read, steps, on_refusal, lets_attach):
        self._make_listener, self._read_graphs, self._on_refusal, self._stops = make_listener, read, on_refusal, 0
        self.watch = Watch(self._listener_of_graph, self._on_training, lets_attach)
        self._listeners = []
        self.report = self.error = None
        self.is_over = False
        self._left, self._graph, self._listener, self._ops = steps, None, None, ()

    def _listener_of_graph(self):
        self._listeners.append(self._make_listener())
        return self._listeners[-1]

    def _on_training(self, tf_graph, listener):
        first = self._graph is None
        self._graph, self._listener = tf_graph, listener
        self._read()
        if first and self._left > 0:
            self._left -= 1  # the step that is about to run
        elif first:
            self._stop()

    def before_run(self, tf_graph, ops):
        """Counts steps; keeps a program that is being stopped from training on and from saving anything."""
        self._ops = ops  # of the run that the watch may stop
        unseen = self._graph is None and self.watch.scopes
        if not unseen and (self._graph is None or (tf_graph is not self._graph and not self.is_over)):
            return
        behind = list(graph.predecessors(ops))
        trains = any(op.type not in graph.CALLS and "Apply" in op.type for op in behind)
        if unseen:
            if trains:
                self._on_training(tf_graph, None)
            return
        if self.is_over and (trains or any(op.type in _WRITES for op in behind)):
            self._stops += trains
            if self._stops >= _PATIENCE:
                self._on_refusal(self.report)
            raise TrainingReached
        if trains and self._left == 0:
            self._read()
            self._stop()
        self._left -= trains

    def _stop(self):
        self.is_over = True
        raise TrainingReached

    def _read(self):
        """Reads the graph that trains. What is wrong with it is no error of the program, which might catch it."""
        try:
            run = list(graph.predecessors(self._ops))
            self.report = self._read_graphs([(self._graph, self._listener)], run, self.watch.scopes)
        except Exception as error:
            self.error = error
            self._stop()

    def at_the_end(self):
        """The report on what was built and never run."""
        built = [(tf_graph, listener) for listener in self._listeners for tf_graph in listener.graphs]
        return self._read_graphs(built, None, self.watch.scopes)
