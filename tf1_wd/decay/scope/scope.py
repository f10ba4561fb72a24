"""True weight decay around the code that builds a train_op: decorator and context manager."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import Any, Callable

from tf1_wd._tf import tf
from tf1_wd.decay.coupled import coupled_rules
from tf1_wd.decay.ops import lazy_rows
from tf1_wd.decay.ops.summaries import add_summaries
from tf1_wd.decay.refusals import refuse_no_function
from tf1_wd.decay.scope import hooks
from tf1_wd.decay.scope.closing import check
from tf1_wd.decay.scope.pipeline import ScopeListener
from tf1_wd.errors import InvalidOptionError
from tf1_wd.plan.decisions import DecayPlan
from tf1_wd.plan.options import Rules, make_rules


def decoupled_weight_decay(build: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Makes L2 penalties true weight decay, for every update whose train_op is built in the scope.

        order="after":   w <- (1 - r) (w - step)        (convention "snippet", the default)
        order="before":  w <- w - step - r w            (conventions "adamw", "contrib", "paper")

    with r = rate * scale, and step what the optimizer makes of the gradient of the data loss alone: the penalties in
    the loss leave the gradient, and stay in the loss's value. A variable's rate is the sum, over its penalties, of
    coefficient * factor (`0.01 * tf.nn.l2_loss(w)`: 0.01; `0.01 * tf.reduce_sum(w ** 2)`: 0.02), each variable once.

    Args:
      build: the function to decorate; without it, the result is decorator and context manager.
      source: "auto" (the loss; for variables that have no penalty there, the collection REGULARIZATION_LOSSES), "loss"
        or "collection".
      rates: a rate for all trained variables, or {pattern: rate}; wins over penalties.
      multipliers: {pattern: factor}; multiplies the rate of each variable, wherever it comes from.
      include, exclude: regular expression (searched in the variable's name), callable of a variable, variable, or a
        list of these. Excluded means: no decay at all.
      scale: multiplies every rate: a float, a scalar Tensor, a callable of the global step (called once, when the graph
        is built, with the step's number as a tensor; returns one), or "learning_rate" (the optimizer's own, schedules
        included). At run time a rate * scale outside of [0, 1) is an InvalidArgumentError that names the variables.
      order: "after" or "before". convention: "snippet", "adamw" (scale="learning_rate"), "contrib" or "paper".
      sparse: which rows decay of a table whose gradient is sparse (tf.IndexedSlices, of tf.nn.embedding_lookup):
        "all_rows", "touched_rows" (those in the gradient, each once), or "lazy" (all, but each when it is next touched,
        to the same weights; see `Scope.catch_up`).
      backend: "auto", "native" (the compiled op or an error) or "tensorflow" (its twin in public ops).
      others: "coupled" leaves terms of the loss that are not L2 (L1, an orthogonality) where they are; "decouple" makes
        the gradient step of each a part of the decay, times scale. The plan names them in both cases.
      summary: True adds scalar summaries, weight_decay/scale and weight_decay/largest_rate (rate * scale).

    Returns: the decorated function (its attribute `decay` is the scope of the last call), or the scope. `scope.plan` is
    the DecayPlan.

    Raises: InvalidOptionError, InvalidRateError, NoMatchError for options; NothingToDecayError, NothingUpdatedError,
      EagerModeError, UnsupportedUpdateError, AlreadyDecoupledError, AmbiguousRateError, CoupledPenaltyError,
      NestedScopeError for what was built. Each says what to do. Warns of a global step that nothing counts.

    Example:
      >>> with tf1_wd.decoupled_weight_decay(exclude=r"bias|BatchNorm") as decay:
      ...     train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
      >>> print(decay.plan)

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
    """
    return _scope(build, make_rules(**options), "decoupled_weight_decay")


def coupled_weight_decay(build: Callable[..., Any] | None = None, **options: Any) -> Any:
    """L2 as decoupled_weight_decay with the same options would decay, to compare the two with one word changed.

        gradient <- gradient + (rate * scale) * w

    The decay goes into the gradient when it is applied, so it is never clipped. convention, order and
    scale="learning_rate" change nothing here: the optimizer multiplies the gradient by its learning rate.

    Args, Returns, Raises: as for decoupled_weight_decay; UnsupportedUpdateError under a distribution strategy, and
      InvalidOptionError for sparse="lazy".

    Example:
      >>> with tf1_wd.coupled_weight_decay(rates=1e-4, exclude=tf1_wd.bias_and_norm):
      ...     train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)

    Source: Loshchilov and Hutter (ICLR 2019), Algorithm 2, line 6.
    """
    return _scope(build, coupled_rules(**options), "coupled_weight_decay")


def _scope(build: Any, rules: Rules, name: str) -> Any:
    if build is not None and not (callable(build) or hasattr(build, "__get__")):
        raise InvalidOptionError(
            "%s decorates a function, and got %r: pass options by name, such as rates= or exclude=" % (name, build)
        )
    return Scope(rules) if build is None else Scope(rules)(build)


class Scope:
    """What decoupled_weight_decay returns: a context manager that can decorate functions too."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._begin(ScopeListener(rules))

    def _begin(self, listener: ScopeListener) -> None:
        self._listener = listener
        self._catch_up = None
        self._may_be_empty = False

    def __call__(self, build: Callable[..., Any]) -> Callable[..., Any]:
        refuse_no_function(build)

        def call(*args: Any, **kwargs: Any) -> Any:
            decorated.decay = Scope(self.rules)
            return decorated.decay.call(build, *args, **kwargs)

        decorated: Any = functools.wraps(build)(call)

        with contextlib.suppress(TypeError, ValueError):  # a function of C need not have one
            decorated.__signature__ = inspect.signature(build)  # Estimators look at it
        return decorated

    def call(self, build: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function that builds a train_op returns, called in this scope."""
        with self:
            result = build(*args, **kwargs)
            # What an Estimator's model_fn returns for evaluation has no train_op, and nothing was to be updated.
            self._may_be_empty = getattr(result, "train_op", self) is None
            return result

    def __enter__(self) -> Scope:
        listener = ScopeListener(self.rules)
        hooks.listen(listener)
        self._begin(listener)
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        hooks.forget()
        if kind is None:
            self.check()
            if self.rules.summary:
                add_summaries(self._listener.record.updates)

    @property
    def plan(self) -> DecayPlan:
        """Every decision taken so far, with its reason: a DecayPlan."""
        return self._listener.plan

    def check(self) -> None:
        """Raises, or warns, as leaving the scope does, of what was built so far."""
        check(self._listener.record, self._may_be_empty)

    def catch_up(self) -> tf.Operation:
        """The op that brings all rows up to date whose decay is due under sparse="lazy"; without any, it does nothing.

            w_row <- w_row * (product of 1 - r over the updates since the row was touched)

        Rows that the loss does not look up keep their weights until then. So run it on its own, before anything else
        reads the table: before a checkpoint is saved for a program without tf1_wd, before export, and before an
        evaluation by other lookups than those of the loss. Build it before the graph is finalized.

        Returns: a tf.Operation; later calls return the same one.

        Example:
          >>> catch_up = decay.catch_up()
          >>> session.run(catch_up)
          >>> saver.save(session, path)
        """
        if self._catch_up is None:
            self._catch_up = lazy_rows.catch_up(self._listener.record.updates)
        return self._catch_up
