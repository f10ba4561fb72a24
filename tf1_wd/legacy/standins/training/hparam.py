"""HParams of tf.contrib.training, without its protocol buffer. Imports no TensorFlow."""

from __future__ import annotations

import json
import numbers
import re

_CLAUSE = re.compile(
    r"(?P<name>[a-zA-Z][\w.]*)(\[\s*(?P<index>\d+)\s*\])?\s*=\s*((?P<value>[^,\[]*)|\[(?P<values>[^\]]*)\])($|,\s*)"
)


def parse_values(values, type_map, ignore_unknown=False):
    """A dict from text such as "rate=0.1,sizes=[1,2],sizes[0]=3".

    type_map: {name: type}. An element of a list becomes {index: value}. Raises: ValueError.
    """
    found: dict = {}
    at = 0
    while at < len(values):
        clause = _CLAUSE.match(values, at)
        if not clause:
            raise ValueError("Malformed hyperparameter value: %s" % values[at:])
        at = clause.end()
        name, index, value = clause["name"], clause["index"], clause["value"]
        if name not in type_map:
            if ignore_unknown:
                continue
            raise ValueError("Unknown hyperparameter type for %s" % name)
        if value is None and index is not None:
            raise ValueError("Assignment of a list to a list index.")
        if value is None:
            value = [_parse(name, type_map[name], v, values) for v in re.split("[ ,]", clause["values"]) if v]
        else:
            value = _parse(name, type_map[name], value, values)
        place, key = (found, name) if index is None else (found.setdefault(name, {}), int(index))
        if not isinstance(place, dict) or key in place:
            raise ValueError("Multiple assignments to variable '%s' in %s" % (name, values))
        place[key] = value
    return found


def _parse(name, kind, text, values):
    try:
        if kind is bool:
            return text.lower() == "true" if text.lower() in ("true", "false") else bool(int(text))
        return kind(text)
    except ValueError:
        raise ValueError(
            "Could not parse hparam '%s' of type '%s' with value '%s' in %s" % (name, kind.__name__, text, values)
        ) from None


def _cast(name, kind, value):
    if type(value) is kind or kind is type(None):
        return value
    for family in ((str, bytes), bool, numbers.Integral, numbers.Number):
        if issubclass(kind, family) and not isinstance(value, family):
            break
    else:
        if issubclass(kind, bool) == isinstance(value, bool):
            return kind(value)
    raise ValueError("Could not cast hparam '%s' of type '%s' from value %r" % (name, kind, value))


class HParams:
    """Hyperparameters as attributes: HParams(learning_rate=0.1).parse("learning_rate=0.2").learning_rate."""

    def __init__(self, hparam_def=None, model_structure=None, **kwargs):
        if hparam_def is not None:
            raise ValueError("hparam_def, a protocol buffer, cannot be read: pass the values by name")
        self._hparam_types = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name, value):
        """Adds a hyperparameter; its type, or that of a list's elements, stays what it is here."""
        if getattr(self, name, None) is not None:
            raise ValueError("Hyperparameter name is reserved: %s" % name)
        many = isinstance(value, (list, tuple))
        if many and not value:
            raise ValueError("Multi-valued hyperparameters cannot be empty: %s" % name)
        self._hparam_types[name] = (type(value[0]) if many else type(value), many)
        setattr(self, name, value)

    def set_hparam(self, name, value):
        """Sets a hyperparameter that exists. Raises: KeyError, ValueError for a value of another type."""
        kind, many = self._hparam_types[name]
        if isinstance(value, list) != many:
            raise ValueError("Must %spass a list for %s" % ("" if many else "not ", name))
        setattr(self, name, [_cast(name, kind, v) for v in value] if many else _cast(name, kind, value))

    def del_hparam(self, name):
        """Removes a hyperparameter, if it is there."""
        if hasattr(self, name):
            delattr(self, name)
            del self._hparam_types[name]

    def parse(self, values):
        """Sets values from text such as "rate=0.1,sizes=[1,2]"; returns self."""
        return self.override_from_dict(parse_values(values, {n: kind for n, (kind, _) in self._hparam_types.items()}))

    def override_from_dict(self, values_dict):
        """Sets values from {name: value}; returns self."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    set_from_map = override_from_dict

    def set_model_structure(self, model_structure):
        self._model_structure = model_structure

    def get_model_structure(self):
        return self._model_structure

    def to_json(self, indent=None, separators=None, sort_keys=False):
        """The values as JSON."""
        return json.dumps(self.values(), indent=indent, separators=separators, sort_keys=sort_keys)

    def parse_json(self, values_json):
        """Sets values from JSON; returns self."""
        return self.override_from_dict(json.loads(values_json))

    def values(self):
        """{name: value} of all hyperparameters."""
        return {name: getattr(self, name) for name in self._hparam_types}

    def get(self, key, default=None):
        """The value of `key`, or `default`, which must be of its type."""
        if key not in self._hparam_types:
            return default
        kind, many = self._hparam_types[key]
        if default is not None:
            if isinstance(default, list) != many:
                raise ValueError("Hparam '%s' of type '%s' is incompatible with default=%s" % (key, kind, default))
            for value in default if many else [default]:
                _cast(key, kind, value)
        return getattr(self, key)

    def __contains__(self, key):
        return key in self._hparam_types

    def __str__(self):
        return ",".join("%s=%s" % item for item in self.values().items())

    def __repr__(self):
        return "%s(%s)" % (type(self).__name__, sorted(self.values().items()))
