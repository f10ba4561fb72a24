"""The options of a decay as one validated value; knows no TensorFlow.

A rule reads: which variables (include, exclude, rates), which of their rows (sparse), how much (scale), when (order),
from where (source), by which implementation (backend). A convention is a word for the pair (scale, order) that people
mean by "weight decay".
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from tf1_wd.conventions.table import AFTER, BEFORE, CONVENTIONS, ETA, LEARNING_RATE, NOTHING
from tf1_wd.errors import InvalidOptionError, NoMatchError
from tf1_wd.plan.rates import given_as
from tf1_wd.plan.reasons import Reason
from tf1_wd.plan.same_variable import is_same, parts
from tf1_wd.plan.scale_option import check_scale

# what multiplies a rate in each step -> the scale that does the same; None where the user must give it
_SCALES = {NOTHING: 1.0, LEARNING_RATE: LEARNING_RATE, ETA: None}
# word of the option convention= -> (scale, order)
PRESETS = {
    word: (_SCALES[CONVENTIONS[word].times], CONVENTIONS[word].order)
    for word in ("snippet", "adamw", "contrib", "paper")
}
ORDERS = (AFTER, BEFORE)
COUPLED = "coupled"  # the order of coupled_weight_decay: the decay goes into the gradient, and comes before all else
DECOUPLE = "decouple"
OTHERS = (COUPLED, DECOUPLE)  # what becomes of terms of the loss that are not L2
SOURCES = ("auto", "loss", "collection")
BACKENDS = ("auto", "native", "tensorflow")
# which rows of a variable decay whose gradient is sparse (tf.IndexedSlices)
ALL_ROWS, TOUCHED_ROWS, LAZY = SPARSE = ("all_rows", "touched_rows", "lazy")


@dataclass(frozen=True)
class Rules:
    """Validated options; see `make_rules`."""

    source: str
    include: tuple[Selector, ...]  # empty means every variable
    exclude: tuple[Selector, ...]
    rates: tuple[tuple[Selector | None, float], ...]  # None stands for every variable
    multipliers: tuple[tuple[Selector, float], ...]
    scale: Any  # float, "learning_rate", scalar tensor, variable, or callable of the global step
    order: str
    backend: str
    sparse: str
    summary: bool
    others: str


@dataclass(frozen=True)
class Selector:
    """One way to name variables: `matches(variable, name)`, and `text`, how the user wrote it."""

    text: str
    matches: Callable[[Any, str], bool]
    option: str


def make_rules(**options: Any) -> Rules:
    """Checks the options of decoupled_weight_decay and attach, and fills in what the convention says.

    Raises InvalidOptionError (which name, word or type is wrong, what there is), InvalidRateError; NothingToDecayError
    for scale=0.
    """
    return _make(**_known(options))


def make_rules_of_l2(**options: Any) -> Rules:
    """As make_rules, for L2 in the gradient, which the optimizer multiplies by its learning rate in any case."""
    return _make(**_known(options), is_l2=True)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(_make).parameters.values()
    known = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = "did you mean %s? " % near[0] if near else ""
            raise InvalidOptionError("there is no option %s: %soptions are %s" % (name, hint, ", ".join(known)))
    return options


def _make(
    source: str = "auto",
    rates: Any = None,
    include: Any = None,
    exclude: Any = None,
    scale: Any = None,
    order: str | None = None,
    convention: str = "snippet",
    backend: str = "auto",
    sparse: str = ALL_ROWS,
    multipliers: Any = None,
    summary: bool = False,
    others: str = COUPLED,
    *,
    is_l2: bool = False,
) -> Rules:
    _one_of("source", source, SOURCES)
    _one_of("convention", convention, tuple(PRESETS))
    _one_of("backend", backend, BACKENDS)
    _one_of("sparse", sparse, SPARSE)
    check_flag("summary", summary)
    _one_of("others", others, OTHERS)
    default_scale, default_order = PRESETS[convention]
    order = default_order if order is None else order
    _one_of("order", order, ORDERS)
    scale = default_scale if scale is None else scale
    if scale is None:
        raise InvalidOptionError(
            "convention='paper' needs scale=, the schedule multiplier eta of each step: a float, a scalar Tensor or a "
            "callable of the global step"
        )
    scale = check_scale(scale)
    return Rules(
        source=source,
        include=_selectors("include", include),
        exclude=_selectors("exclude", exclude),
        rates=_rates(rates, scale if scale == 1.0 and multipliers is None else None, not is_l2),
        multipliers=_multipliers(multipliers),
        scale=scale,
        order=order,
        backend=backend,
        sparse=sparse,
        summary=summary,
        others=others,
    )


def selected(rules: Rules, variable: Any, name: str) -> bool:
    """True if include and exclude let the variable decay."""
    return left_out(rules, variable, name) is None


def left_out(rules: Rules, variable: Any, name: str) -> tuple[Reason, str] | None:
    """(Reason, the same in words) why include and exclude keep the variable from decaying; None if they do not."""
    for selector in rules.exclude:
        if selector.matches(variable, name):
            return Reason.EXCLUDED, "excluded by %s" % selector.text
    if rules.include and not any(s.matches(variable, name) for s in rules.include):
        return Reason.NOT_INCLUDED, "not in include"
    return None


def given_rate(rules: Rules, variable: Any, name: str) -> tuple[float | None, str]:
    """(rate, how the user wrote it) from the option `rates`, the first that matches; (None, "") if none does."""
    for selector, rate in rules.rates:
        if selector is None:
            return rate, "rates=%g" % rate
        if selector.matches(variable, name):
            return rate, "rates[%s]" % selector.text
    return None, ""


def multiplier(rules: Rules, variable: Any, name: str) -> tuple[float, str]:
    """(factor, how the user wrote it) from the option `multipliers`, the first that matches; (1.0, "") if none does."""
    for selector, factor in rules.multipliers:
        if selector.matches(variable, name):
            return factor, "times %g by multipliers[%s]" % (factor, selector.text)
    return 1.0, ""


def check_matches(rules: Rules, variables: Sequence[tuple[Any, str]]) -> None:
    """Raises NoMatchError if a selector of the rules matches none of the (variable, name)."""
    mapped = tuple(s for s, _ in rules.rates + rules.multipliers if s is not None)
    for selector in rules.include + rules.exclude + mapped:
        if not any(selector.matches(v, name) for v, name in variables):
            raise NoMatchError(
                "%s=%s matches no variable.%s" % (selector.option, selector.text, _near(selector, variables)),
                pattern=selector.text,
                option=selector.option,
            )


def _near(selector: Selector, variables: Sequence[tuple[Any, str]]) -> str:
    names = list(dict.fromkeys(name for _, name in variables))
    if not names:
        return " The graph has no trainable variables yet: build the model before the train_op."
    words = "".join(c if c.isalnum() or c in "/_" else " " for c in selector.text.strip("'")).split()
    near = []
    for word in words:
        last = {name.rsplit("/", 1)[-1]: name for name in reversed(names)}
        near += difflib.get_close_matches(word, names, n=3, cutoff=0.4)
        near += [last[m] for m in difflib.get_close_matches(word, last, n=3, cutoff=0.5)]
        near += [name for name in names if word.lower() in name.lower()][:3]
    near = list(dict.fromkeys(near)) or names
    return " Near names: %s%s" % (", ".join(near[:5]), ", ..." if len(near) > 5 else "")


def check_flag(option: str, value: object) -> None:
    """Raises InvalidOptionError for an option that is neither True nor False."""
    if not isinstance(value, bool):
        raise InvalidOptionError("%s=%r must be True or False" % (option, value))


def _one_of(option: str, value: object, words: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in words:
        raise InvalidOptionError(
            "%s=%r is unknown; choose one of: %s" % (option, value, ", ".join(map(repr, words))), option=option
        )


def _selectors(option: str, value: object) -> tuple[Selector, ...]:
    if value is None:
        return ()
    if isinstance(value, (list, tuple, set, frozenset)):
        if not value:
            raise InvalidOptionError("%s is empty; leave it out, or name variables" % option)
        return tuple(_selector(option, v) for v in value)
    return (_selector(option, value),)


def _selector(option: str, value: Any) -> Selector:
    if isinstance(value, str):
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise InvalidOptionError("%s=%r is not a regular expression: %s" % (option, value, error)) from error
        return Selector(repr(value), lambda _, name: pattern.search(name) is not None, option)
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, bytes):
            raise InvalidOptionError("%s=%r is a pattern of bytes, and names are text: drop the b" % (option, value))
        return Selector(repr(value.pattern), lambda _, name: value.search(name) is not None, option)
    if hasattr(value, "dtype") and hasattr(value, "name"):
        named = parts(value)
        return Selector(value.name, lambda variable, _: any(is_same(variable, part) for part in named), option)
    if callable(value):
        text = getattr(value, "__name__", repr(value))
        return Selector(text, lambda v, name: _answer(value, v, "%s=%s for %s" % (option, text, name)), option)
    raise InvalidOptionError(
        "%s takes regular expressions, callables of a variable, variables, or a list of them; got %r" % (option, value)
    )


def _answer(predicate: Callable[[Any], Any], variable: Any, what: str) -> bool:
    try:
        return bool(predicate(variable))
    except InvalidOptionError:
        raise
    except Exception as error:  # of any kind: the function is the user's
        text = "%s: it is called with one variable and says True or False; it raised %s: %s"
        raise InvalidOptionError(text % (what, type(error).__name__, error)) from error


def _rates(value: Any, scale: Any, has_convention: bool) -> tuple[tuple[Selector | None, float], ...]:
    if value is None:
        return ()
    if hasattr(value, "items"):
        if not value:
            raise InvalidOptionError("rates is empty; leave it out, or map patterns to rates")
        pairs = [(_selector("rates", key), rate) for key, rate in value.items()]
        named = [(selector, rate, "rates[%s]" % selector.text) for selector, rate in pairs]
        return tuple((selector, given_as(rate, text, scale, has_convention)) for selector, rate, text in named)
    return ((None, given_as(value, "rates", scale, has_convention)),)


def _multipliers(value: Any) -> tuple[tuple[Selector, float], ...]:
    if value is None:
        return ()
    if not hasattr(value, "items") or not value:
        raise InvalidOptionError("multipliers=%r must map patterns to factors, such as {'fc': 2.0}" % (value,))
    return tuple((_selector("multipliers", key), _factor(factor, key)) for key, factor in value.items())


def _factor(value: Any, key: Any) -> float:
    try:
        factor = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidOptionError("multipliers: %r for %s is not a number" % (value, key)) from error
    if not math.isfinite(factor) or factor < 0:
        raise InvalidOptionError("multipliers: %r for %s must be finite and not negative" % (value, key))
    return factor
