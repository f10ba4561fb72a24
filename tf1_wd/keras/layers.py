"""What each weight of a Keras model is (a kernel, a bias, ...), and so at which rate it decays; imports no TensorFlow.

Layers are known by the names of their Keras classes, so that tf.keras of TensorFlow 1 and 2, tf-keras and Keras 3 are
read alike, none of them imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Iterable, Mapping, NamedTuple, Sequence, Tuple

from tf1_wd.errors import InvalidOptionError, NothingToDecayError
from tf1_wd.plan.decisions import Decay, DecayPlan
from tf1_wd.plan.options import Rules, Selector, check_matches, given_rate, left_out
from tf1_wd.plan.rates import check_rate
from tf1_wd.plan.reasons import Note, Reason

KERNEL, DEPTHWISE, RECURRENT, BIAS, EMBEDDINGS = "kernel", "depthwise", "recurrent", "bias", "embeddings"
_NEVER = {"normalization": "normalization: never", "slope": "slope of an activation: never"}

_PLAIN = {"kernel": KERNEL, "bias": BIAS}
_DEPTHWISE = {"kernel": DEPTHWISE, "depthwise_kernel": DEPTHWISE, "bias": BIAS}  # "kernel" in Keras 3
_SEPARABLE = {"depthwise_kernel": DEPTHWISE, "pointwise_kernel": KERNEL, "bias": BIAS}
_CELL = {"kernel": KERNEL, "recurrent_kernel": RECURRENT, "bias": BIAS}
_NORMALIZATION = dict.fromkeys(("gamma", "beta", "scale"), "normalization")

# classes, and {attribute: what it is}; the first class of a layer's method resolution order that is here decides
_TABLE = (
    ("Dense EinsumDense LocallyConnected1D LocallyConnected2D", _PLAIN),
    ("Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose", _PLAIN),
    ("DepthwiseConv1D DepthwiseConv2D", _DEPTHWISE),
    ("SeparableConv1D SeparableConv2D", _SEPARABLE),
    ("SimpleRNNCell GRUCell LSTMCell ConvLSTMCell ConvLSTM2DCell CuDNNGRU CuDNNLSTM", _CELL),
    ("Embedding", {"embeddings": EMBEDDINGS}),
    ("PReLU", {"alpha": "slope"}),
    ("BatchNormalization BatchNormalizationBase SyncBatchNormalization", _NORMALIZATION),
    ("LayerNormalization GroupNormalization RMSNormalization", _NORMALIZATION),
)
_KNOWN: dict[str, Mapping[str, str]] = {name: attributes for names, attributes in _TABLE for name in names.split()}

_NEVER_CALLED = ". If the model never calls it: build that layer, or exclude it (exclude=layer), or take it out"


Rates = Mapping[str, Tuple[float, str]]  # role -> (rate, the option that gave it)


class Regularizer(NamedTuple):
    """What a regularizer is. rate: of the L2 in it, a float, or a function that computes it from its variables; None:
    not known to hold any. has_rest: True if there is more in it than L2.
    """

    rate: Any
    has_rest: bool


NO_REGULARIZER = Regularizer(0.0, False)


@dataclass(frozen=True)
class Weight:
    """A weight of a model: its innermost layer, the Keras class that layer is or derives from (None: not known), what
    the weight is there (None: not known), whether it trains, and its regularizer.
    """

    variable: Any
    name: str
    layer: Any
    known: str | None
    role: str | None
    trainable: bool
    regularizer: Regularizer


def layers_of(model: Any) -> list[Any]:
    """A Keras model or layer and all layers in it, each once; those inside a layer (a wrapper's, a cell) before it.

    Raises InvalidOptionError if `model` is none.
    """
    if not is_layer(model):
        raise InvalidOptionError("plan takes a Keras model or layer, and got %r" % (model,))
    found, seen = [], set()

    def visit(layer: Any) -> None:
        if id(layer) not in seen:
            seen.add(id(layer))
            for inner in _layers_in(_attributes(layer)):
                visit(inner)
            found.append(layer)

    visit(model)
    return found


def unbuilt(layers: Iterable[Any]) -> list[Any]:
    """Those layers that will have weights, or may have, and have none yet."""
    return [
        layer
        for layer in layers
        if _known_class(layer) or not any(map(is_keras, type(layer).__mro__[:1]))
        if not layer.built and not weights_in(layer)
    ]


def weights_of(model: Any, known: Mapping[int, Regularizer], left_out: Sequence[Any] = ()) -> list[Weight]:
    """Every weight of a built model once, in the model's order: list of Weight.

    known: regularizers by the id of what is underneath their weights. left_out: layers that need not be built, and
    those inside of them.
    Raises InvalidOptionError if the model, or another of its layers, is not built.
    """
    _refuse_unbuilt(model, left_out)
    owners: dict[int, Any] = {}
    for layer in layers_of(model):
        for variable in weights_in(layer):
            owners.setdefault(id(variable), layer)
    training = {id(variable) for variable in model.trainable_weights}
    unique = {id(variable): variable for variable in model.weights}.values()
    return [
        _weight(
            variable,
            owners[id(variable)],
            id(variable) in training,
            known.get(id(underneath(variable)), NO_REGULARIZER),
        )
        for variable in unique
    ]


def weights_in(layer: Any) -> list[Any]:
    """The weights of a layer; none of a Sequential that is not built, which raises ValueError in Keras 2."""
    try:
        return list(layer.weights)
    except ValueError:
        return []


def underneath(variable: Any) -> Any:
    """The object shared by a Keras variable and the tf.Variable it wraps; use its id() to compare them."""
    value = getattr(variable, "value", None)  # in Keras 3 the tf.Variable, elsewhere a method
    inner = variable if value is None or callable(value) else value
    try:
        return getattr(inner, "handle", inner)  # mixed precision wraps a variable of Keras 2, but not its handle
    except ValueError:  # a distribution strategy's has none outside of its replicas
        return inner


def decide(weights: Sequence[Weight], rates: Rates | None, rules: Rules, matched: Sequence[Selector] = ()) -> DecayPlan:
    """The DecayPlan of a model's weights.

    weights: list of Weight. rates: as given to roles; None: those of the regularizers. rules: Rules; its rates, include
    and exclude win over both. matched: those selectors of exclude that need match no weight.
    Raises InvalidRateError, NoMatchError; NothingToDecayError if no weight decays.
    """
    checked = replace(rules, exclude=tuple(selector for selector in rules.exclude if selector not in matched))
    check_matches(checked, [(w.variable, w.name) for w in weights])
    decays = tuple(_decide(w, rates, rules) for w in weights)
    notes = [(w.name, note) for w, d in zip(weights, decays) for note in _notes(w, d, rates is None)]
    plan = DecayPlan(decays, (), rules.order, tuple(notes))
    if not plan.decaying:
        advice = "" if rates is not None else " from a regularizer: pass a rate, tf1_wd.keras.plan(model, rate)"
        raise NothingToDecayError("no weight of the model decays%s. Per variable:\n%s" % (advice, plan))
    return plan


def _notes(weight: Weight, decay: Decay, by_regularizers: bool) -> list[Note]:
    """What is to be said of the regularizer of a weight."""
    rate, has_rest = weight.regularizer
    if decay.rate is None:
        is_told = by_regularizers and weight.trainable and weight.regularizer != NO_REGULARIZER
        return [Note.STAYS_COUPLED] if is_told else []
    if rate is None or rate == 0.0:
        return [Note.NOT_L2] if has_rest else []
    if not by_regularizers:
        return [Note.REGULARIZED]
    return [Note.TAKEN_OUT, Note.REST] if has_rest else [Note.TAKEN_OUT]


def _decide(weight: Weight, rates: Rates | None, rules: Rules) -> Decay:
    rate, why, reason = _rate(weight, rates, rules)
    if rate is not None and not callable(rate):
        check_rate(rate, weight.name, why, rules.scale, has_convention=True)
        rate, reason = (rate, reason) if rate else (None, Reason.ZERO_RATE)
    shape = tuple(weight.variable.shape)
    shape = tuple(getattr(n, "value", n) for n in shape)  # tf.Dimension, in TensorFlow 1
    scale = rules.scale
    if isinstance(scale, (float, str)):
        return Decay(weight.variable, weight.name, shape, rate, why, scale, reason=reason)
    words = getattr(scale, "__name__", None) or getattr(scale, "name", None) or type(scale).__name__
    return Decay(weight.variable, weight.name, shape, rate, why, words, reason=reason, scale_tensor=scale)


def _rate(weight: Weight, rates: Rates | None, rules: Rules) -> tuple[Any, str, Reason]:
    """(rate or None, why in words, Reason)."""
    kept_out = left_out(rules, weight.variable, weight.name)
    if kept_out is not None:
        return None, kept_out[1], kept_out[0]
    if not weight.trainable:
        return None, "not trainable", Reason.FROZEN
    given, text = given_rate(rules, weight.variable, weight.name)
    if given is not None:
        return given, text, Reason.GIVEN
    where = type(weight.layer).__name__
    if rates is None:
        rate = weight.regularizer.rate
        if rate is None:
            return None, "its regularizer in %s is not known to be L2" % where, Reason.NO_RATE
        if rate == 0.0:
            return None, "no L2 regularizer", Reason.NO_RATE
        follows = ", as its variables have it in each step" if callable(rate) else ""
        return rate, "L2 regularizer of %s%s" % (where, follows), Reason.REGULARIZER
    if weight.known is None:
        return None, "%s is a layer that is not known: name its weights in rates=" % where, Reason.UNKNOWN_LAYER
    if weight.role is None:
        return None, "not known in %s: name it in rates=" % where, Reason.UNKNOWN_WEIGHT
    if weight.role in _NEVER:
        return None, _NEVER[weight.role], Reason.NEVER
    rate, text = rates[weight.role]
    return rate, "%s of %s: %s" % (weight.role, where, text), Reason.ROLE


def _weight(variable: Any, layer: Any, trainable: bool, regularizer: Regularizer) -> Weight:
    known = _known_class(layer)
    attributes = {} if known is None else _KNOWN[known]
    attribute = next((a for a in attributes if getattr(layer, a, None) is variable), None)
    role = None if attribute is None else attributes[attribute]
    return Weight(
        variable=variable,
        name=keras_name(variable),
        layer=layer,
        known=known,
        role=role,
        trainable=trainable,
        regularizer=regularizer,
    )


def keras_name(variable: Any) -> str:
    """The name of a weight: its path in Keras 3, elsewhere its name without the output number."""
    return getattr(variable, "path", None) or variable.name.split(":")[0]


def _known_class(layer: Any) -> str | None:
    for cls in type(layer).__mro__:
        if is_keras(cls) and cls.__name__ in _KNOWN:
            return cls.__name__
    return None


def is_keras(cls: type) -> bool:
    """True for a class of any Keras."""
    return "keras" in cls.__module__.split(".") or cls.__module__.startswith("tf_keras.")


def is_layer(value: object) -> bool:
    """True for a layer or model of any Keras."""
    return is_layer_class(type(value))


def is_layer_class(kind: type) -> bool:
    """True for a class of them."""
    return hasattr(kind, "trainable_weights") and hasattr(kind, "get_weights")


def _attributes(layer: Any) -> list[Any]:
    if any(is_keras(cls) and cls.__name__ == "Bidirectional" for cls in type(layer).__mro__):
        return [layer.forward_layer, layer.backward_layer]  # of `layer` it keeps the pattern alone, never built
    return list(vars(layer).values())


def _layers_in(value: Any) -> list[Any]:
    if is_layer(value):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [layer for item in value for layer in _layers_in(item)]
    return []


def _refuse_unbuilt(model: Any, left_out: Sequence[Any]) -> None:
    missing = unbuilt([layer for layer in layers_of(model) if not any(layer is other for other in left_out)])
    for layer in [model] if not model.built else missing:
        raise InvalidOptionError(
            "%s %r is not built, so its weights are not there yet: call the model on a batch, or model.build(...), "
            "before the plan is made%s" % (type(layer).__name__, layer.name, "" if layer is model else _NEVER_CALLED)
        )
    if not model.weights:
        raise InvalidOptionError("%s %r has no weights" % (type(model).__name__, model.name))
