"""Weight decay for Keras models that exist already: which weights decay, and the same plan decoupled or coupled."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Sequence

from tf1_wd.errors import InvalidOptionError, InvalidRateError
from tf1_wd.keras import layers as keras_layers
from tf1_wd.keras import optimizer, regularizers
from tf1_wd.keras.layers import BIAS, DEPTHWISE, EMBEDDINGS, KERNEL, RECURRENT
from tf1_wd.plan.decisions import DecayPlan
from tf1_wd.plan.options import make_rules
from tf1_wd.plan.rates import multiplied_by_learning_rate, number_of, problem_of


def plan(
    model: Any,
    rate: float | None = None,
    depthwise: float = 0.0,
    bias: float = 0.0,
    embeddings: float = 0.0,
    recurrent: float | None = None,
    **options: Any,
) -> DecayPlan:
    """Which weights of a Keras model decay, and at which rate: the kernels, and what else is asked for.

        order="after":   w <- (1 - r) (w - step)        (convention "snippet", the default)
        order="before":  w <- w - step - r w            (conventions "adamw", "contrib")

    with r = rate * scale. Kernels of Dense, EinsumDense, Conv*, Conv*Transpose, LocallyConnected*, of recurrent cells,
    and the pointwise kernels of SeparableConv* take `rate`. Nested models, wrappers (TimeDistributed, Bidirectional)
    and cells are looked into; a shared layer counts once. Normalization, and the slopes of PReLU, never decay; weights
    that are not trainable do not. A weight of a layer that is not known does not decay unless rates= names it, and the
    plan says so.

    Args:
      model: a built Keras model or layer, of tf.keras (TensorFlow 1 and 2), tf-keras or Keras 3. A layer in it that is
        never called, and so not built, must be excluded.
      rate: of kernels, a float that is in [0, 1) once scale multiplies it. None: the rates are those of the model's own
        L2 regularizers (l2(c): 2 c), on whatever weights they are, and `decouple` takes that L2 out of the gradient;
        its value stays in the loss.
      depthwise: of the kernels of DepthwiseConv* and the depthwise kernels of SeparableConv*. 0, as MobileNet advises.
      bias: of biases. embeddings: of Embedding tables; all rows decay.
      recurrent: of recurrent kernels; None: as `rate`.
      options: rates={pattern: rate}, include=, exclude=: regular expressions searched in the weight's name, callables
        of a weight, weights, layers or classes of layers; rates= wins over all of the above, exclude= over rates=.
        scale (a float, "learning_rate", a tf.Variable, or a function of the optimizer's iterations that returns a
        scalar, such as a LearningRateSchedule), order, convention.

    Returns: tf1_wd.DecayPlan, with every weight of the model.

    Raises: InvalidOptionError (not a Keras model, not built, an unknown option), InvalidRateError, NoMatchError,
      NothingToDecayError.

    Example:
      >>> print(tf1_wd.keras.plan(model, 1e-4, exclude="predictions"))

    Source: Howard et al., MobileNets (2017), section 3.2, for depthwise kernels.
    """
    for name in options:
        if name not in _OPTIONS:
            raise InvalidOptionError("there is no option %s: options are %s" % (name, ", ".join(_OPTIONS)))
    layers = keras_layers.layers_of(model)
    excluded = _listed(options.get("exclude"))
    for name in ("include", "exclude"):
        options[name] = _named(options.get(name), name, layers)
    if hasattr(options.get("rates"), "items"):
        options["rates"] = {_named(key, "rates", layers): value for key, value in options["rates"].items()}
    elif options.get("rates") is not None:
        raise InvalidOptionError(
            "rates=%r: the rate of all kernels is rate=; rates= maps patterns to rates" % (options["rates"],)
        )
    rules = make_rules(**options)
    given: tuple[tuple[str, str, Any], ...] = (
        (KERNEL, "rate", rate),
        (DEPTHWISE, "depthwise", depthwise),
        (BIAS, "bias", bias),
        (EMBEDDINGS, "embeddings", embeddings),
        (RECURRENT, "rate", rate) if recurrent is None else (RECURRENT, "recurrent", recurrent),
    )
    rates_by_role: dict[str, tuple[float, str]] = {}
    if rate is None:
        _refuse_roles(depthwise=depthwise, bias=bias, embeddings=embeddings, recurrent=recurrent)
        given = ()
    for role, option, value in given:
        number = _rate_of(value, option, rules.scale)
        rates_by_role[role] = (number, "%s=%g" % (option, number))
    unused = [layer for layer in keras_layers.unbuilt(layers) if any(_means(item, layer) for item in excluded)]
    left_out = [inner for layer in unused for inner in keras_layers.layers_of(layer)]
    matched = [s for s, item in zip(rules.exclude, excluded) if any(_means(item, layer) for layer in unused)]
    weights = keras_layers.weights_of(model, regularizers.read_all(layers), left_out)
    return keras_layers.decide(weights, None if rate is None else rates_by_role, rules, matched)


def rates(plan: DecayPlan) -> dict[str, float]:
    """A plan as the option rates= of decoupled_weight_decay and attach, for tf.train optimizers in graph mode.

    plan: what `plan` returned. Returns: {regular expression of one variable's whole name: rate}; a float scale of the
    plan is in the rates. Raises InvalidOptionError for a plan of another order, or with scale="learning_rate", which
    rates cannot carry.

    Example:
      >>> with tf1_wd.decoupled_weight_decay(rates=tf1_wd.keras.rates(plan)):
      ...     train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
    """
    for d in plan.decaying:
        if not isinstance(d.rate, float):
            raise InvalidOptionError(
                "the rate of %s follows the variables of its regularizer, which rates= cannot: name a rate of it in "
                "plan(model, rates=...), or decay by this plan: tf1_wd.keras.decouple(model, plan)" % d.name
            )
    if plan.order != "after" or any(not isinstance(d.scale, float) for d in plan.decaying):
        raise InvalidOptionError(
            "rates do not carry the order and the scale of a plan (%s): make the plan without convention=, order= and "
            "scale=, and give these to decoupled_weight_decay or attach" % plan.summary()
        )
    return {"^%s$" % re.escape(d.name): d.rate * d.scale for d in plan.decaying}


def decouple(model: Any, plan: DecayPlan) -> None:
    """Makes the compiled Keras optimizer of a model decay its weights by a plan, once with every update.

        plan.order "after":   w <- (1 - r) (w - step)      "before":   w <- w - step - r w      with r = rate * scale

    Only weights that the update changes decay: not those frozen since, nor any on a step that a loss-scale optimizer
    skips. Updates may name Keras's variables or the tf.Variables in them. Constraints are applied again afterwards.
    `fit`, `train_on_batch`, and loops of one's own that call `model.optimizer.apply_gradients` decay alike. In graph
    mode with order="after" the compiled op does it, elsewhere assignments of TensorFlow.

    What decays is the optimizer object: compiled anew, or loaded from a file, a model has no decay until decouple is
    called on it again.

    Args:
      model: a compiled Keras model (tf.keras of TensorFlow 1 in graph mode and 2, tf-keras, Keras 3 on TensorFlow in
        eager mode).
      plan: what `plan` returned for this model, with the layers and the frozen weights that it has now.

    Raises: InvalidOptionError (not compiled; a plan of another model, or made before a layer was added or unfrozen);
      AlreadyDecoupledError (an optimizer with weight_decay, or decoupled before); CoupledPenaltyError (a weight of the
      plan has an L2 regularizer); UnsupportedUpdateError (an optimizer of tf.train; use_ema,
      gradient_accumulation_steps, decay=; Keras 3 in graph mode).
    Training raises: AlreadyDecoupledError (weight_decay was set since); InvalidOptionError (a weight that was frozen
      when the plan was made is updated); NothingToDecayError (an update without any weight of the plan);
      UnsupportedUpdateError (a distribution strategy).

    Example:
      >>> model.compile("adam", "mse")
      >>> tf1_wd.keras.decouple(model, tf1_wd.keras.plan(model, 1e-4))
      >>> model.fit(x, y)

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
    """
    optimizer.decouple(model, plan)


def add_l2(model: Any, plan: DecayPlan) -> None:
    """Adds the L2 of a plan to the model's loss: coupled decay of the same weights at the same rates.

        loss <- loss + sum of rate / 2 * |w|^2,   so   gradient <- gradient + rate * w

    The rate is multiplied by a float scale of the plan; scale="learning_rate" counts 1, since the optimizer multiplies
    the gradient by it; other scales are refused. The order of the plan means nothing here. In Keras 3 the L2 sits on
    the weight: every other model that shares it trains with it too.

    Args: as for `decouple`; in graph mode before model.compile, elsewhere before or after it.

    Raises: CoupledPenaltyError (a regularizer is there already, or add_l2 was called before); AlreadyDecoupledError
      (the optimizer decays by a plan); InvalidOptionError (a plan of another model, or made before a layer was added
      or unfrozen); UnsupportedUpdateError (compiled already, in graph mode).

    Example:
      >>> tf1_wd.keras.add_l2(model, tf1_wd.keras.plan(model, 1e-4))
    """
    optimizer.add_l2(model, plan)


_OPTIONS = ("rates", "include", "exclude", "scale", "order", "convention")


def _refuse_roles(**given: float | None) -> None:
    for name, value in given.items():
        if value:
            raise InvalidOptionError(
                "%s=%r without a rate: rates are then those of the regularizers; name other weights in rates="
                % (name, value),
                option=name,
            )


def _rate_of(value: object, option: str, scale: Any) -> float:
    rate = number_of(value, option)
    if problem_of(rate, scale):
        of_scale = "that times scale is in [0, 1)" if isinstance(scale, float) else "from 0 on"
        what = "in [0, 1)" if scale == 1.0 else of_scale
        advice = multiplied_by_learning_rate(rate, scale)
        raise InvalidRateError("%s=%r must be a number %s%s" % (option, value, what, advice), option=option)
    return rate


def _listed(value: object) -> list[Any]:
    """An option that names weights, one by one."""
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _named(value: Any, option: str, layers: Sequence[Any]) -> Any:
    """An option that names weights, with layers, classes of layers and weights turned into callables of a weight."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_named(item, option, layers) for item in value]
    if isinstance(value, type):
        return _one_of(_of_class(value, option, layers), value.__name__)
    if keras_layers.is_layer(value):
        return _one_of(keras_layers.weights_in(value), value.name)
    if hasattr(value, "name") and hasattr(value, "dtype"):
        return _one_of([value], value.name)
    return value


def _of_class(kind: type, option: str, layers: Sequence[Any]) -> list[Any]:
    """The weights of those layers that are of a class."""
    if not keras_layers.is_layer_class(kind):
        raise InvalidOptionError(
            "%s=%s is a class, but none of Keras layers: name weights by regular expressions, callables of a weight, "
            "weights, layers or classes of layers" % (option, kind.__name__)
        )
    return [w for layer in layers if isinstance(layer, kind) for w in keras_layers.weights_in(layer)]


def _one_of(weights: Iterable[Any], name: str) -> Callable[[Any], bool]:
    """A callable of a weight that says whether it is one of these."""
    meant = {id(keras_layers.underneath(w)) for w in weights}

    def is_meant(variable: Any) -> bool:
        return id(keras_layers.underneath(variable)) in meant

    is_meant.__name__ = name
    return is_meant


def _means(item: Any, layer: Any) -> bool:
    """True if an item of exclude= names a layer, which need not have weights."""
    if isinstance(item, type):
        return isinstance(layer, item)
    if keras_layers.is_layer(item):
        return layer is item
    return isinstance(item, (str, re.Pattern)) and re.search(item, layer.name) is not None
