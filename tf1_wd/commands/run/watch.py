"""Follows a program that builds its graphs anywhere and in any thread: a listener for each graph, until it trains."""

from __future__ import annotations

import contextlib
import functools
import threading
from dataclasses import dataclass, field

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.scope import hooks
from tf1_wd.errors import Tf1WdError
from tf1_wd.graph.assignments import written_variable
from tf1_wd.graph.marks import is_decay


@dataclass
class _State:
    """What is known of one graph.

    changes: updates and gradient calls so far; reported: how many at the last report. harmless: sets of ops that
    sessions have run, and that train nothing.
    """

    graph: object
    listener: object
    train_ops: set = field(default_factory=set)
    changes: int = 0
    reported: int = 0
    harmless: set = field(default_factory=set)


class Watch(hooks.Listener):
    """Gives every graph that computes gradients or applies them a listener of its own (see hooks.listen).

    make_listener: function without arguments that makes one, a pipeline.ScopeListener say.
    lets_attach: as for hooks.Listener. attach's DecayPlan is then appended to `scopes`.
    on_training(graph, listener): called before a session first runs an update of the graph or a raw gradient, and again
      when updates have been added since. What it raises comes out of the program's session.run; a Tf1WdError out of
      each such run to come.
    on_unheard(updates): called before a session first runs updates that no optimizer of this process has made:
      {op of a variable: update op}. What it raises is treated alike.
    """

    def __init__(self, make_listener, on_training, lets_attach=False, on_unheard=None):
        self.lets_attach = lets_attach
        self.error = None  # the first Tf1WdError that went into the program, which may have caught it
        self.graphs = {}  # id: graph, of the sessions that ran
        self.scopes = []  # of the program's own, to which this gave way
        self._make_listener = make_listener
        self._on_training, self._on_unheard = on_training, on_unheard
        self._heard = {}  # id of a graph: sets of ops that sessions have run, without unheard updates
        self._states = {}
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def open(self):
        """Watches all threads for the time of the block."""
        with hooks.everywhere(self), _tf.patched_sessions(self._before_run):
            yield self

    @property
    def has_updates(self):
        """True if some graph has an update, run or not."""
        return any(state.train_ops for state in self._states.values())

    # --- called by hooks

    def give_way(self, decided):
        self.scopes.append(decided)

    def gradients(self, compute, arguments):
        state = self._state()
        with self._noting():
            results = state.listener.gradients(compute, arguments)
        self._changed(state)
        return results

    def _applied(self, method, *args, **kwargs):
        state = self._state()
        with self._noting():
            train_op = getattr(state.listener, method)(*args, **kwargs)
        state.train_ops.add(getattr(train_op, "op", train_op))
        self._changed(state)
        return train_op

    apply_gradients = functools.partialmethod(_applied, "apply_gradients")
    overridden_apply_gradients = functools.partialmethod(_applied, "overridden_apply_gradients")
    keras_apply_gradients = functools.partialmethod(_applied, "keras_apply_gradients")

    @contextlib.contextmanager
    def _noting(self):
        try:
            yield
        except Tf1WdError as error:
            self.error = self.error or error
            raise

    @staticmethod
    def _changed(state):
        state.changes += 1
        state.harmless.clear()

    def _state(self):
        here = _tf.outermost(tf.get_default_graph())
        if id(here) not in self._states:  # the state keeps the graph alive, and so its id
            self._states[id(here)] = _State(here, self._make_listener())
        return self._states[id(here)]

    # --- called by sessions

    def _before_run(self, of_session, ops):
        self.graphs[id(of_session)] = of_session
        state, key = self._states.get(id(of_session)), frozenset(ops)
        if state is not None and state.reported != state.changes and key not in state.harmless:
            self._find_training(state, ops, key)
        heard = self._heard.setdefault(id(of_session), set())
        if self._on_unheard is not None and key not in heard:
            unheard = self._unheard(state, ops)
            if unheard:
                with self._noting():
                    self._on_unheard(unheard)
            heard.add(key)

    def _find_training(self, state, ops, key):
        wanted = state.train_ops | state.listener.raw_gradients
        inside = any(op.graph is not state.graph for op in wanted)  # in the function of a loop or a branch
        if any(op in wanted or (inside and op.type in graph.CALLS) for op in graph.predecessors(ops)):
            self._report(state)
        else:
            state.harmless.add(key)

    def _unheard(self, state, ops):
        """{op of a variable: update op} behind the ops of a run, but for those that this, or a scope, has heard of.

        {} if an imported decay is among them too.
        """
        behind = list(graph.predecessors(ops))
        if self.scopes or not any("Apply" in op.type for op in behind):
            return {}
        heard = set() if state is None else set(graph.predecessors(state.train_ops))
        behind = [op for op in behind if op not in heard]
        if any(map(is_decay, behind)):
            return {}
        written = [(written_variable(op), op) for op in behind if "Apply" in op.type]
        return {variable: op for variable, op in written if variable is not None}

    def _report(self, state):
        """Calls on_training once; after an error of ours again and again, as the program may catch it and go on."""
        with self._lock:  # other threads wait for the verdict
            if state.reported == state.changes:
                return
            try:
                with state.graph.as_default(), self._noting():
                    self._on_training(state.graph, state.listener)
            except BaseException as error:
                if not isinstance(error, Tf1WdError):
                    state.reported = state.changes
                raise
            state.reported = state.changes
