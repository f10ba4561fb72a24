"""The layer parameter files of cuda-convnet, and which variable learns by which of their numbers; no TensorFlow."""

from __future__ import annotations

import difflib
import math
import os
import re
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from tf1_wd.errors import InvalidOptionError, NoMatchError

KEYS = ("epsW", "epsB", "momW", "momB", "wc")
WEIGHTS = r"{layer}/(?:weights|kernel|W)(?:_?\d+)?"
BIASES = r"{layer}/(?:biases|bias|b)(?:_?\d+)?"

_OF_WEIGHTS = ("epsW", "momW", "wc")  # one number for each input of the layer
_LOWER = {key.lower(): key for key in KEYS}


@dataclass(frozen=True)
class Layer:
    """How a layer learns. epsW, momW, wc: learning rate, momentum and decay of its weights, a number for each input.

    epsB, momB: learning rate and momentum of its biases, which do not decay.
    """

    name: str
    epsW: tuple[float, ...]
    epsB: float
    momW: tuple[float, ...]
    momB: float
    wc: tuple[float, ...]


@dataclass(frozen=True)
class LayerParams:
    """A file that was read. layers: tuple of Layer. ignored: what is not about learning, such as "[logprob] coeff"."""

    path: str
    layers: tuple[Layer, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Learning:
    """The numbers of one variable. eps: learning rate; momentum: in [0, 1); wc: decay, a multiple of eps."""

    layer: str
    eps: float
    momentum: float
    wc: float


def read_layer_params(path: str | os.PathLike[str]) -> LayerParams:
    """Reads a layer parameter file of cuda-convnet: LayerParams.

        [conv1]
        epsW=0.001
        epsB=0.002
        momW=0.9
        momB=0.9
        wc=0.004

    Options may also share a line with each other and with the name of the layer. epsW, momW and wc are lists with
    commas in layers with several inputs. Keys may be in any case, as there. A section with none of the five is no layer
    that learns (`[logprob] coeff=1`): it is listed in `ignored`, and so are further keys of a layer.

    Raises InvalidOptionError (file, line or section, key), OSError.

    Example:
      >>> tf1_wd.read_layer_params("layer-params.cfg").layers[0].wc
      (0.004,)

    Source: cuda-convnet, layer.py and https://code.google.com/p/cuda-convnet/wiki/LayerParams.
    """
    try:
        path = os.fsdecode(path)
    except TypeError:
        raise InvalidOptionError("a layer parameter file is named by its path, and not by %r" % (path,)) from None
    try:
        with open(path, encoding="utf-8-sig") as file:  # a byte order mark is none of the file
            lines = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidOptionError("%s is no text in UTF-8 (%s): save it as such" % (path, error)) from error
    sections = _sections(lines, path)
    layers, ignored = [], []
    for name, options in sections.items():
        others = [key for key in options if key.lower() not in _LOWER]
        found = {_LOWER[key.lower()]: text for key, text in options.items() if key.lower() in _LOWER}
        _check_keys(path, name, found, others)
        if found:
            layers.append(_layer(path, name, found))
        ignored += ["[%s] %s" % (name, key) for key in others] or ([] if found else ["[%s]" % name])
    if not layers:
        raise InvalidOptionError("%s: no section has the keys %s" % (path, ", ".join(KEYS)))
    return LayerParams(path, tuple(layers), tuple(ignored))


def assign(
    params: LayerParams,
    names: Sequence[str],
    updated: Sequence[str],
    weights: str = WEIGHTS,
    biases: str = BIASES,
    scopes: Mapping[str, str] | None = None,
) -> dict[str, Learning]:
    """Which variable learns how: {name of a variable: Learning}.

    params: LayerParams. names: of all variables there are, in the order in which they were made; updated: of those that
    have a gradient. weights, biases: regular expressions in which {layer} stands for the layer's name; outer scopes may
    come before. scopes: {layer: the name that stands for it in the graph}, for layers of another name there.

    Raises InvalidOptionError; NoMatchError for a layer without weights and for updated variables without a layer.
    """
    scopes, known = dict(scopes or {}), [layer.name for layer in params.layers]
    for name in scopes:
        if name not in known:
            raise NoMatchError("scopes: %s has no layer %r.%s" % (params.path, name, _near(name, known)))
    found: dict[str, Learning] = {}
    for layer in params.layers:
        scope = scopes.get(layer.name, layer.name)
        matrices, vectors = _matching(weights, scope, names), _matching(biases, scope, names)
        where = "%s: [%s]" % (params.path, layer.name)
        if not matrices:
            raise NoMatchError(
                "%s: no variable matches %r with the layer %r: take the section out, or say with scopes=, weights= and "
                "biases= how its variables are called.%s" % (where, weights, scope, _near(scope, names))
            )
        if len(layer.epsW) not in (1, len(matrices)):
            raise InvalidOptionError(
                "%s has %d numbers for epsW, momW and wc, and its weights are %s: give one for each, in this order"
                % (where, len(layer.epsW), ", ".join(matrices))
            )
        each = list(zip(layer.epsW, layer.momW, layer.wc)) * (len(matrices) if len(layer.epsW) == 1 else 1)
        learning = [(name, Learning(layer.name, *numbers)) for name, numbers in zip(matrices, each)]
        learning += [(name, Learning(layer.name, layer.epsB, layer.momB, 0.0)) for name in vectors]
        for name, one in learning:
            if name in found:
                raise InvalidOptionError(
                    "%s: variable %s belongs to [%s] too: make weights=, biases= or scopes= tell them apart"
                    % (where, name, found[name].layer)
                )
            found[name] = one
    strangers = [name for name in updated if name not in found]
    if strangers:
        raise NoMatchError(
            "%s has no layer for %s: add sections, say with scopes=, weights= and biases= how the variables of a layer "
            "are called, or leave them out of var_list=. Its layers are %s"
            % (params.path, ", ".join(strangers), ", ".join(known))
        )
    return found


def _sections(lines: Sequence[str], path: str) -> dict[str, dict[str, str]]:
    """{section: {key as written: text}}"""
    sections: dict[str, dict[str, str]] = {}
    options: dict[str, str] | None = None
    for number, line in enumerate(lines, 1):
        where, rest = "%s, line %d: " % (path, number), re.sub(r"(^|\s)[#;].*", "", line).strip()
        header = re.match(r"\[([^]]*)\](.*)", rest)
        if header:
            name, rest = header.group(1).strip(), header.group(2).strip()
            if not name:
                raise InvalidOptionError("%s[] has no name: write that of the layer into it" % where)
            if name in sections:
                raise InvalidOptionError("%s[%s] is there twice: put all of it into one section" % (where, name))
            options = sections[name] = {}
        for piece in re.split(r"\s+(?=[\w.-]+\s*[=:])", rest) if rest else []:
            key, equals, text = (part.strip() for part in re.findall(r"^([^=:]*)([=:]?)(.*)", piece)[0])
            if options is None or not equals or not key:
                raise InvalidOptionError("%s%r is neither [layer] nor, in a layer, key=value" % (where, piece))
            if key.lower() in map(str.lower, options):
                raise InvalidOptionError("%s[%s] has %s twice" % (where, name, key))
            options[key] = text
    return sections


def _check_keys(path: str, name: str, found: Mapping[str, str], others: Sequence[str]) -> None:
    missing = [key for key in KEYS if key not in found]
    near = {other: difflib.get_close_matches(other.lower(), _LOWER, n=1, cutoff=0.75) for other in others}
    typos = [(other, _LOWER[keys[0]]) for other, keys in near.items() if keys and _LOWER[keys[0]] in missing]
    if typos:
        raise InvalidOptionError("%s: [%s] has a key %r: did you mean %s?" % (path, name, *typos[0]))
    if found and missing:
        raise InvalidOptionError(
            "%s: [%s] has no %s: a layer that learns has %s" % (path, name, ", ".join(missing), ", ".join(KEYS))
        )


def _layer(path: str, name: str, found: Mapping[str, str]) -> Layer:
    numbers = {key: _numbers("%s: [%s] %s=%s" % (path, name, key, text), key, text) for key, text in found.items()}
    counts = {key: len(numbers[key]) for key in _OF_WEIGHTS}
    if len(set(counts.values())) > 1:
        raise InvalidOptionError(
            "%s: [%s] has lists of different lengths, %s: give one number for each input of the layer"
            % (path, name, ", ".join("%s %d" % pair for pair in counts.items()))
        )
    (epsB,), (momB,) = numbers["epsB"], numbers["momB"]
    return Layer(name, epsW=numbers["epsW"], epsB=epsB, momW=numbers["momW"], momB=momB, wc=numbers["wc"])


def _numbers(where: str, key: str, text: str) -> tuple[float, ...]:
    pieces = text.split(",")
    if len(pieces) > 1 and key not in _OF_WEIGHTS:
        raise InvalidOptionError("%s: the biases of a layer have one number" % where)
    try:
        if "_" in text:  # digits of Python's, and in a file more likely a slip of the keyboard
            raise ValueError
        numbers = tuple(float(piece) for piece in pieces)
    except ValueError:
        raise InvalidOptionError(
            "%s is neither a number nor numbers with commas between; of a schedule (cuda-convnet2), write the first "
            "number here and give the rest as scale=" % where
        ) from None
    for number in numbers:
        if not math.isfinite(number) or number < 0:
            raise InvalidOptionError("%s: %g must be finite and not negative" % (where, number))
        if key.startswith("mom") and number >= 1:
            raise InvalidOptionError("%s: a momentum must be less than 1, or no step is ever forgotten" % where)
    return numbers


def _matching(pattern: str, scope: str, names: Iterable[str]) -> list[str]:
    compiled = re.compile("(?:.*/)?(?:%s)" % pattern.replace("{layer}", re.escape(scope)))
    return [name for name in names if compiled.fullmatch(name)]


def _near(word: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, [part for name in names for part in name.split("/")], n=3, cutoff=0.5)
    near = [name for name in names if set(near) & set(name.split("/"))] or list(names)
    return " Near names: %s%s" % (", ".join(near[:5]), ", ..." if len(near) > 5 else "") if names else ""
