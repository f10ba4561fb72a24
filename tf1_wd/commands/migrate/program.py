"""The Migration of a program, which is executed until its train graph is complete, and of a graph in a file."""

from __future__ import annotations

import os
import warnings
from functools import partial

from tf1_wd.commands.audit.assemble import graph_from
from tf1_wd.commands.audit.from_graph import structural_facts
from tf1_wd.commands.audit.watched import Observer
from tf1_wd.commands.migrate.reading.reader import from_facts
from tf1_wd.commands.run.stop import stop_at_training
from tf1_wd.decay.scope.hooks import Listener
from tf1_wd.decay.scope.pipeline import ScopeListener
from tf1_wd.errors import MigrationError, Tf1WdWarning


def migrate_file(path, rules=None, rates=None):
    """The Migration of a `.meta` file, as it trains; with `rules`, as it would with its L2 turned into decay by these.

    rates: options.Rules with rates for variables whose rate the graph does not tell.
    Raises AuditError (no graph), MigrationError, NoMatchError, InvalidRateError.

    Example:
      >>> print(module.write(migrate_file("train_dir/model.ckpt-1000.meta")).code)
    """
    with graph_from(path) as (tf_graph, _):
        return from_facts(os.path.basename(os.path.abspath(path)), structural_facts(tf_graph), rules=rules, rates=rates)


def migrate_program(program, rules=None, rates=None, on_refusal=lambda migration: None):
    """The Migration of a program, executed as `python` does up to its first training step.

    program: execute.Program. rules: options.Rules: as `tf1-wd run` trains it with these; None: as it trains by itself,
    with the decay of its own scopes of tf1_wd, if it has any. rates: as for migrate_file. on_refusal(migration): see
    stop.stop_at_training.
    Returns a stop.Stopped, with a Migration. Raises ProgramNotFoundError, MigrationError; with `rules` also the
    errors of decoupled_weight_decay.

    Example:
      >>> migrate_program(Program("train.py", ("--batch_size", "8"))).report
    """
    name = str(program) if program.is_module else os.path.basename(program.target)

    def read(graphs, run, scopes):
        if len(graphs) != 1:
            raise MigrationError(
                "%s ended without training, with %d graphs in which an optimizer of tf.train was given gradients; one "
                "can be migrated. Give it the arguments with which it trains. Keras's fit, eager training and programs "
                "that start others are not followed: docs/migrating-to-tf2 has their forms" % (name, len(graphs))
            )
        if rules is not None and scopes:
            raise MigrationError("%s uses tf1_wd itself: leave --decoupled out" % name)
        ((tf_graph, listener),) = graphs
        if listener is not None and listener.of_keras:
            raise MigrationError(
                "%s trains by Keras's own optimizer (%s), so there is no step of it to write: a Keras model goes on in "
                "TensorFlow 2 as it is. To decay there at the rates of its regularizers, call tf1_wd.keras.decouple("
                "model, tf1_wd.keras.plan(model)) behind model.compile: docs/guide/keras.md"
                % (name, ", ".join(listener.of_keras))
            )
        facts = structural_facts(tf_graph) if listener is None else listener.facts(tf_graph)
        results = None if listener is None else listener.results(tf_graph)
        if scopes:
            scopes = [s for s in scopes if any(getattr(d.variable, "graph", None) is tf_graph for d in s.plan.decays)]
            told = [scope.gradient_keys for scope in scopes if scope.gradient_keys is not None]
            results = (results or set()).union(*told) if told else results
        else:
            scopes = listener.checked(tf_graph)
        return from_facts(name, facts, results, scopes, rates=rates, run=run)

    return stop_at_training(
        program, lambda: MigrationListener(rules), read, on_refusal=on_refusal, lets_attach=rules is None
    )


class MigrationListener(Observer):
    """Watches; with rules, a scope decays what is watched. of_keras: classes of Keras's optimizers that apply."""

    def __init__(self, rules):
        super().__init__()
        self.of_keras = []
        self._scope = Listener() if rules is None else ScopeListener(rules)

    def checked(self, tf_graph):
        """[the scope], [] without rules; raises what decoupled_weight_decay raises at its end."""
        if not isinstance(self._scope, ScopeListener):
            return []
        with warnings.catch_warnings(), tf_graph.as_default():
            warnings.simplefilter("ignore", Tf1WdWarning)  # the plan, and so the code, has them
            self._scope.check()
        return [self._scope]

    def gradients(self, compute, arguments):
        return super().gradients(lambda **given: self._scope.gradients(compute, given), arguments)

    def apply_gradients(self, original, *args, **kwargs):
        return super().apply_gradients(partial(self._scope.apply_gradients, original), *args, **kwargs)

    def keras_apply_gradients(self, original, optimizer, *args, **kwargs):
        self.of_keras = sorted({*self.of_keras, type(optimizer).__name__})
        return super().keras_apply_gradients(original, optimizer, *args, **kwargs)

    def overridden_apply_gradients(self, original, *args, **kwargs):
        through = partial(self._scope.overridden_apply_gradients, original)
        return super().overridden_apply_gradients(through, *args, **kwargs)
