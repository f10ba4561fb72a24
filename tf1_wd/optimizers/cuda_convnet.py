"""Training as in cuda-convnet: each layer with its own learning rates, momenta and decay, from its parameter file."""

from __future__ import annotations

import math
import os
import re
from typing import Any, Iterable, Mapping, Sequence, Tuple, Union

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.decay.ops import weights as weights_ops
from tf1_wd.decay.refusals import refuse_eager
from tf1_wd.errors import CoupledPenaltyError, InvalidOptionError, InvalidRateError, UnsupportedUpdateError
from tf1_wd.native.twin import as_scalar
from tf1_wd.penalties.in_gradients import holds_l2
from tf1_wd.plan.decisions import Decay
from tf1_wd.plan.layer_params import BIASES, WEIGHTS, LayerParams, Learning, assign, read_layer_params
from tf1_wd.plan.options import check_flag
from tf1_wd.plan.rates import is_rate
from tf1_wd.plan.reasons import Reason
from tf1_wd.plan.scale_option import check_scalar
from tf1_wd.plan.text_table import table

Gradient = Union[tf.Tensor, tf.IndexedSlices]
Pair = Tuple[Gradient, tf.Variable]

_RULES = {
    False: "inc <- mom inc - s eps (g + wc w), w <- w + inc",
    True: "inc <- mom inc - s eps g, w <- w + inc - s eps wc w",
}


class CudaConvnetOptimizer(tf.train.Optimizer):
    """Momentum by the numbers of a layer parameter file of cuda-convnet, with the decay inside or beside it.

        decoupled=False:  inc <- mom inc - s eps (g + wc w),  w <- w + inc               (cuda-convnet)
        decoupled=True:   inc <- mom inc - s eps g,           w <- w + inc - s eps wc w

    eps, mom: epsW, momW for weights, epsB, momB for biases; biases do not decay. eps=0: the variables stay as they are,
    and do not decay. g: the gradient of the loss (the mean over the batch, as there). A sparse gradient is made dense,
    and the gradients of a variable that is listed twice are added. L2 in the loss is part of g: beside it, wc of
    decoupled=False comes on top, and that of decoupled=True is refused.

    Args:
      params: path of the file, or the LayerParams of `read_layer_params`.
      decoupled: see above. The decay is one op a device then, before the step.
      scale: s, what multiplies every eps: a float or a scalar Tensor, such as a schedule.
      weights, biases: regular expressions for the names of a layer's variables, in which {layer} stands for its name.
        Several weights, of a layer with several inputs, take the numbers of its lists in the order they were made in.
      scopes: {layer in the file: its name in the graph}, where they differ.
      backend: of the decoupled decay: "auto", "native" or "tensorflow".

    One slot a variable, "inc". `print(optimizer)` shows which variable learns by which numbers, and what in the
    file has no meaning here.

    Raises, when it is made: InvalidOptionError for the file and the options, OSError; in apply_gradients: NoMatchError
      for a layer without variables and a variable without a layer; InvalidRateError for a decoupled decay of
      eps * wc >= 1; CoupledPenaltyError for one of a variable whose gradient holds L2 already; EagerModeError;
      UnsupportedUpdateError under a distribution strategy.

    Example:
      >>> train_op = tf1_wd.CudaConvnetOptimizer("layer-params.cfg", decoupled=True).minimize(loss)

    Source: cuda-convnet, include/weights.cuh (Weights::update).
    """

    def __init__(
        self,
        params: str | os.PathLike[str] | LayerParams,
        decoupled: bool = False,
        scale: float | tf.Tensor = 1.0,
        weights: str = WEIGHTS,
        biases: str = BIASES,
        scopes: Mapping[str, str] | None = None,
        backend: str = "auto",
        use_locking: bool = False,
        name: str = "CudaConvnet",
    ) -> None:
        super().__init__(use_locking, name)
        self._params = params if isinstance(params, LayerParams) else read_layer_params(params)
        check_flag("decoupled", decoupled)
        self._decoupled = decoupled
        self._scale = _checked(scale)
        self._weights, self._biases = _pattern("weights", weights), _pattern("biases", biases)
        self._scopes = _layer_scopes(scopes)
        self._backend = backend
        self._weight_decay = max(wc for layer in self._params.layers for wc in layer.wc)  # a scope refuses any but 0
        self._learning: dict[str, Learning] = {}
        self._scale_now: float | tf.Tensor = 1.0  # of the call of apply_gradients that is running

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Gradient | None, tf.Variable]],
        global_step: tf.Variable | None = None,
        name: str | None = None,
    ) -> tf.Operation:
        """As in tf.train.Optimizer; the variables with a gradient each need a layer in the file."""
        refuse_eager()
        if tf.distribute.has_strategy():
            raise UnsupportedUpdateError(
                "CudaConvnetOptimizer trains no replicas, as each would decay the weights: train without a strategy"
            )
        pairs = [(gradient, variable) for gradient, variable in grads_and_vars if gradient is not None]
        updated = [variable.op.name for _, variable in pairs]
        there = [variable.op.name for variable in tf.trainable_variables()]
        names = list(dict.fromkeys(there + updated))
        self._learning = assign(self._params, names, updated, self._weights, self._biases, self._scopes)
        pairs = _one_a_variable([(g, v) for g, v in pairs if self._learning[v.op.name].eps > 0])
        if not pairs:
            raise InvalidOptionError("%s: nothing to train: every eps of %s is 0" % (self._params.path, updated))
        decays = self._decays(pairs) if self._decoupled else []
        # A Tensor that shows its shape only when it runs fails then, unless it is a scalar.
        scale, variables = self._scale, [variable for _, variable in pairs]
        self._scale_now = scale if isinstance(scale, float) else as_scalar(variables, scale)
        # In place, the decay must not change weights that a gradient has yet to read; the step itself reads none.
        with tf.control_dependencies([op for g, _ in pairs for op in _tf.awaited(g.op)] if decays else []):
            ops = weights_ops.decay(decays, self._scale_now, self._backend)
        with tf.control_dependencies(ops):
            return super().apply_gradients(pairs, global_step, name)

    def __str__(self) -> str:
        rows = [(name, o.layer, o.eps, o.momentum, o.wc, o.eps * o.wc) for name, o in self._learning.items()]
        lines = [table(rows, ("variable", "layer", "eps", "mom", "wc", "eps wc")), _RULES[self._decoupled]]
        if self._params.ignored:
            lines.append("not used, of %s: %s" % (self._params.path, ", ".join(self._params.ignored)))
        return "\n".join(lines)

    def _decays(self, pairs: Sequence[Pair]) -> list[Decay]:
        decays = []
        for gradient, variable in pairs:
            name, one = variable.op.name, self._learning[variable.op.name]
            if not is_rate(one.eps * one.wc):
                raise InvalidRateError(
                    "%s: [%s] epsW * wc = %g * %g = %g takes all of %s off in a step: it must be less than 1"
                    % (self._params.path, one.layer, one.eps, one.wc, one.eps * one.wc, name)
                )
            if one.wc > 0:
                why = "[%s] of %s" % (one.layer, self._params.path)
                if holds_l2(gradient, variable.op):
                    raise CoupledPenaltyError(
                        "the gradient of %s holds L2 of it, as of a penalty in the loss, and the decay by wc of %s "
                        "would come on top: take the penalty out of the loss, or set wc=0" % (name, why)
                    )
                shape, rate = tuple(variable.shape.as_list()), one.eps * one.wc
                decays.append(Decay(variable, name, shape, rate, why, reason=Reason.LAYER_PARAMS))
        return decays

    def _create_slots(self, var_list: Iterable[tf.Variable]) -> None:
        for variable in var_list:
            self._zeros_slot(variable, "inc", self._name)

    def _step(self, gradient: Gradient, variable: tf.Variable) -> tf.Operation:
        one, inc = self._learning[variable.op.name], self.get_slot(variable, "inc")
        if one.wc > 0 and not self._decoupled:
            gradient += one.wc * _tf.fresh_read(variable)
        is_number = isinstance(self._scale_now, float)
        eps = one.eps * (self._scale_now if is_number else tf.cast(self._scale_now, variable.dtype.base_dtype))
        value = one.momentum * _tf.fresh_read(inc) - eps * gradient
        options = dict(use_locking=self._use_locking, read_value=False)
        return tf.group(inc.assign(value, **options), variable.assign_add(value, **options))

    _apply_dense = _resource_apply_dense = _step


def _one_a_variable(pairs: Sequence[Pair]) -> list[Pair]:
    """Dense pairs, with the sum of the gradients of a variable that is listed twice: it moves, and decays, once."""
    found: dict[tf.Operation, tuple[tf.Variable, list[tf.Tensor]]] = {}
    for gradient, variable in pairs:
        found.setdefault(variable.op, (variable, []))[1].append(_dense(gradient, variable))
    return [(gs[0] if len(gs) == 1 else tf.add_n(gs), variable) for variable, gs in found.values()]


def _dense(gradient: Gradient, variable: tf.Variable) -> tf.Tensor:
    """Momentum and decay move all rows of a table, those without a gradient too."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])


def _layer_scopes(scopes: Any) -> dict[str, str]:
    """A copy of the option, a dict or None."""
    if scopes is None:
        return {}
    pairs = list(scopes.items()) if hasattr(scopes, "items") else [(scopes, None)]
    if not all(isinstance(layer, str) and isinstance(name, str) for layer, name in pairs):
        raise InvalidOptionError(
            "scopes=%r must map layers of the file to their names in the graph, such as {'fc10': 'softmax_linear'}"
            % (scopes,)
        )
    return dict(pairs)


def _checked(scale: Any) -> float | tf.Tensor:
    if tf.is_tensor(scale) or isinstance(scale, tf.Variable):
        check_scalar(scale)
        if not (scale.dtype.is_floating or scale.dtype.is_integer):
            raise InvalidOptionError("scale must be a number; %s is %s" % (scale.name, scale.dtype.base_dtype.name))
        return scale
    try:
        if isinstance(scale, (bool, str, bytes)):  # which Python would make numbers of
            raise TypeError
        number = float(scale)
    except (TypeError, ValueError):
        raise InvalidOptionError("scale must be a float or a scalar Tensor, not %r" % (scale,)) from None
    if not math.isfinite(number) or number <= 0:
        raise InvalidOptionError("scale=%r must be finite and greater than 0" % scale)
    return number


def _pattern(option: str, pattern: Any) -> str:
    try:
        re.compile(pattern.replace("{layer}", "layer"))
    except (AttributeError, re.error) as error:
        raise InvalidOptionError("%s=%r is not a regular expression: %s" % (option, pattern, error)) from error
    if "{layer}" not in pattern:
        raise InvalidOptionError("%s=%r must hold {layer}, which stands for the name of each layer" % (option, pattern))
    return pattern
