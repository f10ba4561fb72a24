"""What gives an optimizer of tf.train decoupled weight decay: the class that tf.contrib.opt puts before its own."""

from __future__ import annotations

import inspect
import numbers
import warnings
from typing import AbstractSet, Any, Callable, Iterable, Sequence, Union

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.ordering import apply_with
from tf1_wd.decay.ops.update import AppliedUpdate, Collection, plan_update
from tf1_wd.decay.refusals import refuse_eager, refuse_strategy
from tf1_wd.errors import (
    InvalidOptionError,
    InvalidRateError,
    Tf1WdWarning,
    UndecayedWarning,
    UnsupportedUpdateError,
)
from tf1_wd.graph.gradients import Pairs, tensors_of
from tf1_wd.graph.marks import by_an_optimizer
from tf1_wd.graph.update_ops import step_ignores_weights
from tf1_wd.graph.variables import checkpoint_name, size_of
from tf1_wd.penalties.in_gradients import holds_l2
from tf1_wd.plan.options import make_rules
from tf1_wd.plan.rates import is_rate
from tf1_wd.plan.same_variable import parts
from tf1_wd.plan.text_table import some

WeightDecay = Union[float, tf.Tensor, tf.Variable, Callable[..., Any]]
VarList = Union[tf.Variable, Iterable[tf.Variable], None]  # None stands for all variables


class DecoupledWeightDecayExtension:
    """Gives an optimizer decoupled weight decay; to be inherited from before the optimizer's class.

        w <- w - step - r w

    Args:
      weight_decay: r, in [0, 1), for each step: a float, a scalar Tensor or variable, or a function that returns one.
        A function with an argument to give gets the global step (as a Tensor, before it is incremented; schedules of
        Keras are such functions). It is called when the train_op is built. r is not multiplied by the learning rate.
      args, kwargs: those of the optimizer's class.

    The attribute `backend` chooses the op as in tf1_wd.decoupled_weight_decay: "auto", "native" or "tensorflow". Set it
    on the class or the object, before the train_op is built.

    Raises: InvalidRateError, InvalidOptionError; when the train_op is built, EagerModeError and UnsupportedUpdateError;
      by the class statement, InvalidOptionError for an optimizer's class before the extension.

    Example:
      >>> class AdagradW(tf1_wd.DecoupledWeightDecayExtension, tf.train.AdagradOptimizer):
      ...     def __init__(self, weight_decay, *args, **kwargs):
      ...         super().__init__(weight_decay, *args, **kwargs)
      >>> train_op = AdagradW(1e-4, learning_rate=0.1).minimize(loss)

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019); tf.contrib.opt of 1.15.
    """

    backend = "auto"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if tf.train.Optimizer in _around_extension(cls)[0]:
            raise InvalidOptionError(
                "class %s(%s): nothing would decay, as the apply_gradients of tf.train.Optimizer comes before that of "
                "DecoupledWeightDecayExtension: put the extension first"
                % (cls.__name__, ", ".join(base.__name__ for base in cls.__bases__))
            )

    def __init__(self, weight_decay: WeightDecay, *args: Any, **kwargs: Any) -> None:
        if not callable(weight_decay):
            _check_rate(weight_decay)
        self._weight_decay = weight_decay
        # of the call of minimize or apply_gradients that is running
        self._decay_var_list: AbstractSet[tf.Operation] | None = None
        for c in _around_extension(type(self))[0]:
            for name in ("_decay_weights_op", "_decay_weights_sparse_op"):
                if name in vars(c):
                    raise UnsupportedUpdateError(
                        "%s defines %s, a private method of tf.contrib.opt that is not called here, where all "
                        "variables decay in one op: pass a function as weight_decay, or decay_var_list="
                        % (c.__name__, name)
                    )
        super().__init__(*args, **kwargs)

    def minimize(
        self,
        loss: tf.Tensor,
        global_step: tf.Variable | None = None,
        var_list: Sequence[tf.Variable] | None = None,
        gate_gradients: int = tf.train.Optimizer.GATE_OP,
        aggregation_method: int | None = None,
        colocate_gradients_with_ops: bool = False,
        name: str | None = None,
        grad_loss: tf.Tensor | None = None,
        decay_var_list: VarList = None,
    ) -> tf.Operation:
        """As tf.train.Optimizer.minimize, with decay.

        decay_var_list: the variables to decay, of those that are updated: a tf.Variable or a list of them, partitioned
        ones too; None means all of them, [] means none.
        """
        refuse_eager()
        self._decay_var_list = _listed(decay_var_list)
        base: Any = super()
        try:
            return base.minimize(
                loss,
                global_step=global_step,
                var_list=var_list,
                gate_gradients=gate_gradients,
                aggregation_method=aggregation_method,
                colocate_gradients_with_ops=colocate_gradients_with_ops,
                name=name,
                grad_loss=grad_loss,
            )
        finally:
            self._decay_var_list = None

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, tf.Variable]],
        global_step: tf.Variable | None = None,
        name: str | None = None,
        decay_var_list: VarList = None,
    ) -> tf.Operation:
        """As tf.train.Optimizer.apply_gradients, with decay. decay_var_list: as for `minimize`."""
        refuse_eager()
        refuse_strategy()
        if decay_var_list is not None:
            self._decay_var_list = _listed(decay_var_list)
        pairs = [(None if g is None else tf.convert_to_tensor_or_indexed_slices(g), v) for g, v in grads_and_vars]
        base: Any = super()
        apply = base.apply_gradients
        try:
            if tf.distribute.has_strategy():  # _distributed_apply follows, once for all replicas
                return apply(pairs, global_step=global_step, name=name)
            return self._apply_with_decay(pairs, global_step, lambda: apply(pairs, global_step=global_step, name=name))
        finally:
            self._decay_var_list = None

    def _distributed_apply(
        self,
        distribution: tf.distribute.Strategy,
        grads_and_vars: Iterable[tuple[Any, tf.Variable]],
        global_step: tf.Variable | None = None,
        name: str | None = None,
    ) -> tf.Operation:
        """What apply_gradients of tf.train.Optimizer hands over to under a strategy, once for all replicas."""
        pairs, base = list(grads_and_vars), super()
        on_copies = [
            (gradient, copy)
            for gradients, variable in pairs
            for copy in _tf.copies(variable)
            for gradient in distribution.experimental_local_results(gradients)
        ]
        counter = None if global_step is None else _tf.copies(global_step)[0]
        return self._apply_with_decay(
            on_copies, counter, lambda: _tf.distributed_apply(base, distribution, pairs, global_step, name)
        )

    def _apply_with_decay(
        self, pairs: list, global_step: tf.Variable | None, apply: Callable[[], tf.Operation]
    ) -> tf.Operation:
        """Calls `apply`, which updates, with the decay before it, or around it. pairs: of all copies of variables."""
        chosen = _chosen(self._decay_var_list, [v for g, v in pairs if g is not None])
        rate = _rate_now(self._weight_decay, global_step) if chosen else 0.0
        if isinstance(rate, float) and rate == 0.0:
            return apply()
        _warn_of_l2(pairs, chosen, type(self).__name__)
        rules = make_rules(source="loss", convention="contrib", sparse="touched_rows", backend=self.backend)
        update = plan_update(pairs, rules, [], dict.fromkeys(chosen, rate), Collection((), {}))
        applied = AppliedUpdate(update, 1.0, tf.get_default_graph())
        with by_an_optimizer():
            return apply_with(applied, rules, self, apply, in_place=_step_ignores_weights(type(self)))


def _warn_of_l2(pairs: Pairs, decaying: Sequence[tf.Operation], optimizer: str) -> None:
    """Warns if a gradient holds L2 of a variable that decays; of one element, any gradient may look like that."""
    gradients = {graph.variable_op(v): tensors_of(g)[0] for g, v in pairs if g is not None}
    found = [op.name for op in decaying if size_of(op) != 1 and holds_l2(gradients[op], op)]
    if found:
        warnings.warn(
            "the loss holds L2 of %s, which goes through %s as any gradient does, and its weight_decay comes on top: "
            "take that L2 out of the loss, or leave these variables out of decay_var_list" % (some(found), optimizer),
            Tf1WdWarning,
            stacklevel=5,
        )


def _step_ignores_weights(optimizer_class: type) -> bool:
    """True if the class behind the extension is known for that, and none before it applies gradients in its own way."""
    ahead, behind = _around_extension(optimizer_class)
    own = [name for c in ahead for name in vars(c) if name.startswith(("_apply", "_resource_", "_prepare", "_finish"))]
    return not own and step_ignores_weights(behind[0])


def _around_extension(optimizer_class: type) -> tuple[Sequence[type], Sequence[type]]:
    """(classes before the extension, classes behind it) in the order in which methods are looked up."""
    order = optimizer_class.__mro__
    i = order.index(DecoupledWeightDecayExtension)
    return order[:i], order[i + 1 :]


def _listed(decay_var_list: VarList) -> AbstractSet[tf.Operation] | None:
    """The ops of the variables in a decay_var_list, or None for all. Raises InvalidOptionError."""
    if decay_var_list is None:
        return None
    entries: Any = decay_var_list
    if hasattr(entries, "dtype") or isinstance(entries, str):  # one, which may be iterable
        entries = [entries]
    elif not isinstance(entries, Iterable):
        raise InvalidOptionError("decay_var_list takes a list of variables; got %r" % (entries,))
    found = set()
    for entry in entries:
        ops = {graph.variable_op(copy) for v in parts(entry) for copy in _tf.copies(v) if hasattr(copy, "dtype")}
        if not ops or None in ops:
            raise InvalidOptionError("decay_var_list takes variables; got %r" % (entry,))
        found |= ops
    return found


def _chosen(listed: AbstractSet[tf.Operation] | None, variables: Sequence[tf.Variable]) -> list[tf.Operation]:
    """The ops of those `variables` that are listed. listed: set of ops, or None for all. Raises InvalidOptionError."""
    updated = [graph.variable_op(v) for v in variables]
    graphs = {op.graph for op in updated}
    foreign = sorted(op.name for op in listed or () if op.graph not in graphs)
    if foreign and updated:
        raise InvalidOptionError(
            "decay_var_list: %s is of another graph than the variables that are updated, and would not decay: list the "
            "variable of this graph" % ", ".join(foreign)
        )
    found = [op for op in updated if listed is None or op in listed]
    if listed and not found:
        warnings.warn(
            "none of the variables in decay_var_list is updated here (%s), so nothing decays; say decay_var_list=[] if "
            "that is meant" % ", ".join(sorted(map(checkpoint_name, variables))[:3]),
            UndecayedWarning,
            stacklevel=5,
        )
    return found


def _rate_now(weight_decay: WeightDecay, global_step: tf.Variable | None) -> float | tf.Tensor:
    """The weight decay of this update: a float or a scalar tensor."""
    if callable(weight_decay):
        weight_decay = weight_decay(_count(global_step)) if _takes_an_argument(weight_decay) else weight_decay()
    _check_rate(weight_decay)
    if isinstance(weight_decay, tf.Variable):
        return _tf.fresh_read(weight_decay)
    known = _tf.constant_value(weight_decay) if isinstance(weight_decay, tf.Tensor) else None
    if known is not None and known == 0:
        return 0.0
    return weight_decay if tf.is_tensor(weight_decay) else float(weight_decay)


def _takes_an_argument(function: Callable[..., Any]) -> bool:
    """True if an argument has to be given: in `lambda rate=rate: ...` the default is meant."""
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    except ValueError:  # of a function of C without a signature
        return False
    return False


def _count(global_step: tf.Variable | None) -> tf.Tensor:
    global_step = tf.train.get_global_step() if global_step is None else global_step
    if global_step is None:
        raise InvalidOptionError(
            "weight_decay is a function of the global step, but the graph has none: pass global_step= to minimize or "
            "apply_gradients, or call tf.train.get_or_create_global_step()"
        )
    return _tf.fresh_read(global_step)


def _check_rate(weight_decay: Any) -> None:
    if tf.is_tensor(weight_decay) or isinstance(weight_decay, tf.Variable):
        if not weight_decay.dtype.is_floating or weight_decay.shape.rank not in (None, 0):
            raise InvalidRateError("weight_decay must be a floating scalar, not %r" % (weight_decay,))
        return
    if not isinstance(weight_decay, numbers.Real) or not is_rate(weight_decay):
        raise InvalidRateError(
            "weight_decay=%r is not a number in [0, 1), nor a Tensor, a variable or a function that returns one of "
            "these" % (weight_decay,)
        )
