"""`tf1-wd patch`: writes the edit that puts the scope around what builds a train_op."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile

from tf1_wd.errors import InvalidOptionError, MissingPackageError
from tf1_wd.plan.options import BACKENDS, ORDERS, PRESETS, SOURCES, SPARSE, make_rules


def add_arguments(parser):
    parser.add_argument("files", nargs="+", metavar="FILE", help="the Python files that build the train_op")
    parser.add_argument("--write", action="store_true", help="change the files; without it the diff is shown")
    parser.add_argument(
        "--to-compat-v1", action="store_true", help="also rewrite the imports to tensorflow.compat.v1 and tf_slim"
    )
    call = parser.add_argument_group("options of the generated call")
    call.add_argument("--convention", choices=sorted(PRESETS), help="default: adamw")
    call.add_argument("--source", choices=SOURCES, help="where rates come from; default: loss")
    call.add_argument("--order", choices=ORDERS)
    call.add_argument("--scale", help="a number, or learning_rate")
    call.add_argument(
        "--rate", "--rates", dest="rates", action="append", metavar="[PATTERN=]RATE", help="can be given several times"
    )
    call.add_argument("--include", action="append", metavar="PATTERN", help="can be given several times")
    call.add_argument("--exclude", action="append", metavar="PATTERN", help="can be given several times")
    call.add_argument("--backend", choices=BACKENDS)
    call.add_argument("--sparse", choices=SPARSE)


def check(args):
    """(Options of the generated call, texts of the files). Raises InvalidOptionError, MissingPackageError."""
    try:
        from tf1_wd.commands.patch import codemod  # noqa: F401, to fail before anything is read
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("libcst", "yaml", "typing_extensions", "typing_inspect"):
            raise
        raise MissingPackageError.of("this command", "libcst") from error
    options = _options(args)
    make_rules(**options)
    try:
        return options, list(map(_read, args.files))
    except OSError as error:
        raise InvalidOptionError("cannot read %s: %s" % (error.filename, error.strerror)) from error


def run(args):
    """Diffs go to stdout, the rest to stderr; 0 patched or nothing left to do, 1 not understood, 2 wrong usage."""
    from tf1_wd.commands.patch import codemod, reporting

    options, sources = args.checked
    outcomes = []
    for path, source in zip(args.files, sources):
        outcome = codemod.patch_source(source, options, args.to_compat_v1)
        outcomes.append(outcome)
        if outcome.source != source:
            if args.write:
                _write(path, outcome.source)
            else:
                sys.stdout.write(reporting.diff(path, source, outcome.source))
        print("\n".join(reporting.lines(path, outcome)), file=sys.stderr)
        print("%s: %s" % (path, _status(outcome, source, args.write)), file=sys.stderr)
    if all(outcome.status == codemod.NOTHING for outcome in outcomes):
        print("tf1-wd patch: no file builds a train_op: name the one that does", file=sys.stderr)
        return 1
    return 0 if all(outcome.is_understood for outcome in outcomes) else 1


def _status(outcome, source, written):
    if outcome.refusals:
        return "not understood, unchanged"
    if outcome.source == source:
        return "%s, unchanged" % outcome.status
    return "patched" if written else "to be patched (--write changes the file)"


def _options(args):
    """The options of the generated call that were given, as plain values."""
    names = ("convention", "source", "order", "backend", "sparse")
    found = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.scale is not None:
        found["scale"] = args.scale if args.scale == "learning_rate" else _number("--scale", args.scale)
    for name in ("include", "exclude"):
        patterns = getattr(args, name)
        if patterns:
            found[name] = patterns[0] if len(patterns) == 1 else patterns
    if args.rates:
        found["rates"] = _rates(args.rates)
    return found


def _rates(words):
    pairs = [word.rpartition("=")[::2] for word in words]
    if all(pattern for pattern, _ in pairs):
        return {pattern: _number("--rate", rate) for pattern, rate in pairs}
    if len(pairs) > 1:
        raise InvalidOptionError("--rate takes one RATE for all variables, or PATTERN=RATE each time")
    return _number("--rate", pairs[0][1])


def _number(option, text):
    try:
        return float(text)
    except ValueError:
        raise InvalidOptionError("%s: %r is not a number" % (option, text)) from None


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _write(path, source):
    """Replaces a file at once, with its mode kept; a link's target is what changes."""
    path = os.path.realpath(path)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=os.path.basename(path), suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(source)
        shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
