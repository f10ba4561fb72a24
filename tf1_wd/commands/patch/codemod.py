"""One file through the codemod: bytes in, an Outcome out. Reads and writes no files, prints nothing."""

from __future__ import annotations

import io
import sys
import tokenize
import warnings
from dataclasses import dataclass, field

import libcst as cst

from tf1_wd.commands.patch import to_compat_v1 as compat
from tf1_wd.commands.patch.gradient_chains import Refusal, Refused, find_chains
from tf1_wd.commands.patch.keras_models import Decouple, find_compiled, line_for
from tf1_wd.commands.patch.known_patterns import (
    find_snippets,
    own_decay,
    refuse_other_training,
    second_steps,
    uses_tensorflow,
)
from tf1_wd.commands.patch.placement import Decorate, decide
from tf1_wd.commands.patch.rewrite import apply_scopes, insert_after_tensorflow
from tf1_wd.commands.patch.syntax import imported_roots, last_name
from tf1_wd.commands.patch.training_calls import defines_optimizer, find_units

PATCHED, DONE, LEFT_ALONE, NOTHING, REFUSED = "patched", "done already", "left alone", "nothing", "not understood"


@dataclass
class Outcome:
    """What became of a file: `status`, the new bytes (the old ones where nothing changed), and what to tell."""

    status: str
    source: bytes
    notes: list = field(default_factory=list)  # (line, text)
    refusals: list = field(default_factory=list)  # Refusal

    @property
    def is_understood(self):
        return not self.refusals


def patch_source(source, options=None, to_compat_v1=False):
    """Wraps what builds the train_op of one file.

    Args:
      source: the file's bytes.
      options: of decoupled_weight_decay, plain values by name, for the generated call. Without "convention", it is
        "adamw", or "snippet" where the pasted snippet is removed; without "source", "loss", or "collection".
      to_compat_v1: also rewrite the imports to tensorflow.compat.v1 and tf_slim.

    Returns: an Outcome. Where it has refusals, `source` is unchanged.
    """
    try:
        return _patched(source, options or {}, to_compat_v1)
    except Refused as refused:
        refusals = list(refused.args)
    except RecursionError as error:
        refusals = [Refusal(1, "the file is nested too deeply (%s)" % error, "put the scope in by hand")]
    return Outcome(REFUSED, source, refusals=refusals)


def _patched(source, options, to_compat_v1):
    module = _parsed(source)
    status, notes, changed = _with_scopes(module, options)
    if to_compat_v1:
        changed, more = compat.to_compat_v1(changed, module)
        notes += more
    if changed.bytes != source:
        status = PATCHED
        _compile(changed.bytes)  # an error here would be a defect of this module, and nothing is written
    return Outcome(status, changed.bytes, notes)


def _with_scopes(module, options):
    """(status, notes, the module with its scopes). Raises Refused."""
    units, positions, module = find_units(module)
    if "tf1_wd" in imported_roots(module):
        return DONE, [(1, "uses tf1_wd already")], module
    if not uses_tensorflow(module):
        return NOTHING, [(1, "does not use TensorFlow")], module
    compiled = find_compiled(module, positions, _literals(options))
    refuse_other_training(module, positions, bool(compiled))
    if compiled:
        return _with_keras(module, units, compiled, options)
    snippets, refusals = find_snippets(units)
    updates = any(unit.events != unit.gradients for unit in units)
    own = own_decay(module, positions)
    if own is not None and (updates or snippets):
        return LEFT_ALONE, [(own[0], "decays by itself already (%s): left as it is" % own[1])], module
    chains, more = find_chains(units)
    refusals += [*more, *second_steps(chains)]
    if not chains and not refusals:
        refusals += _gradients_alone(units)
        if not refusals:
            return NOTHING, [(1, "builds no train_op")], module
    scopes, more = decide(chains, units, "rates" in options)
    refusals += more
    if refusals:
        raise Refused(*sorted(refusals, key=lambda r: r.line))
    notes = [(s.line, "removed: the second SGD step over REGULARIZATION_LOSSES") for s in snippets]
    notes += [(scope.line, _told(scope)) for scope in scopes]
    return PATCHED, sorted(notes), apply_scopes(module, scopes, snippets, call_text(options, bool(snippets)))


def _with_keras(module, units, compiled, options):
    """As _with_scopes, of a file that compiles Keras models."""
    other = next((e for unit in units if not defines_optimizer(unit) for e in unit.events), None)
    if other is not None:
        why = "the file compiles a Keras model (line %d), and builds a train_op too" % compiled[0].line
        by_hand = (
            "put `with tf1_wd.decoupled_weight_decay(...):` around what builds the train_op, and behind compile: %s"
        )
        raise Refused(Refusal(other.line, why, by_hand % line_for(compiled[0].model, _literals(options))))
    changed = module.visit(Decouple(compiled, _literals(options)))
    told = "decouples %s behind its compile, which needs it built, at the rates of %s"
    rates = "--rate" if "rates" in options else "its L2 regularizers"
    return PATCHED, [(c.line, told % (c.model, rates)) for c in compiled], insert_after_tensorflow(changed, _IMPORT)


_IMPORT = "import tf1_wd.keras"


def _literals(options):
    return {name: _literal(value) for name, value in options.items()}


def call_text(options, was_snippet=False):
    """The call that is written into the file."""
    words = (
        {"convention": "snippet", "source": "collection"} if was_snippet else {"convention": "adamw", "source": "loss"}
    )
    words.update(options)
    return "tf1_wd.decoupled_weight_decay(%s)" % ", ".join("%s=%s" % (k, _literal(v)) for k, v in words.items())


def _literal(value):
    if isinstance(value, str):
        quoted = repr(value)
        if "\\\\" in quoted and "'" not in value and not value.endswith("\\"):
            return 'r"%s"' % value if '"' not in value else "r'%s'" % value
        return '"%s"' % value if not set(value) & set("\"'\\\n") else quoted
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(map(_literal, value))
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (_literal(k), _literal(v)) for k, v in value.items())
    return repr(value)


def _told(scope):
    updates = sorted({chain.update.line for chain in scope.chains})
    lines = "line %d" % updates[0] if len(updates) == 1 else "lines %s" % ", ".join(map(str, updates))
    if isinstance(scope, Decorate):
        told = "decorated %s (update in %s)" % (scope.unit.title, lines)
        return told if scope.calls < 2 else told + "; each of its %d calls needs L2: one without stops" % scope.calls
    return "wrapped in `with` (update in %s)" % lines


def _gradients_alone(units):
    """Refusals for functions that compute an optimizer's gradients for another file."""
    by_hand = "wrap the code that calls it and applies them; `tf1-wd run` trains the program without an edit"
    for unit in units:
        events = [e for e in unit.gradients if last_name(e.call.func) != "gradients"]
        if events and not defines_optimizer(unit):
            why = "%s computes gradients that this file does not apply" % unit.title
            yield Refusal(events[0].line, why, by_hand)


def _parsed(source):
    """The module; raises Refused for what Python or libcst cannot parse."""
    try:
        source.decode(tokenize.detect_encoding(io.BytesIO(source).readline)[0])
    except (UnicodeDecodeError, SyntaxError) as error:
        by_hand = "name its encoding in its first line (PEP 263)"
        raise Refused(Refusal(1, "the file cannot be decoded (%s)" % error, by_hand)) from error
    try:
        _compile(source)
        return cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise Refused(Refusal(error.raw_line, "libcst cannot parse it", "put the scope in by hand")) from error
    except (SyntaxError, ValueError) as error:
        why = "this is no syntax of Python %d.%d" % sys.version_info[:2]
        text = getattr(error, "msg", str(error)).rstrip(".")
        by_hand = "if it is Python 2, convert the file first (2to3 -w FILE)"
        refusal = Refusal(getattr(error, "lineno", None) or 1, "%s (%s)" % (why, text), by_hand)
        raise Refused(refusal) from error


def _compile(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in the user's strings
        compile(source, "file", "exec", dont_inherit=True)
