"""Options that several verbs take, and what several verbs check."""

from __future__ import annotations

import argparse
import os

from tf1_wd.commands.run import execute
from tf1_wd.errors import InvalidOptionError
from tf1_wd.plan.options import BACKENDS, COUPLED, ORDERS, OTHERS, PRESETS, SOURCES, SPARSE, make_rules
from tf1_wd.plan.scale_option import LEARNING_RATE

# of the options of add_rules, and of --report
_DEFAULTS = {
    **dict.fromkeys(("order", "scale", "rate", "include", "exclude", "report")),
    **{"convention": "adamw", "source": "loss", "sparse": SPARSE[0], "backend": "auto", "others": COUPLED},
}
RULES = tuple(_DEFAULTS)


def add_program(parser):
    """The program, and its arguments."""
    parser.add_argument("-m", dest="is_module", action="store_true", help="program is a module, as in python -m")
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def add_rules(parser):
    """The options of decoupled_weight_decay, as options of the command."""
    parser.add_argument("--convention", choices=sorted(PRESETS), help="scale and order (default: %(default)s)")
    parser.add_argument("--order", choices=ORDERS, help="decay the updated weights, or take r * old weights off")
    parser.add_argument("--scale", metavar="S", help="what multiplies every rate: a number, or %r" % LEARNING_RATE)
    parser.add_argument(
        "--source",
        choices=SOURCES,
        help="where rates come from; collection: also of penalties that were never added (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        metavar="[PATTERN=]RATE",
        action="append",
        help="a rate instead of those of the penalties; may be repeated, the first that matches counts",
    )
    for name in ("include", "exclude"):
        parser.add_argument(
            "--" + name, metavar="PATTERN", action="append", help="regular expression, searched in a variable's name"
        )
    parser.add_argument("--sparse", choices=SPARSE, help="which rows of embeddings decay")
    parser.add_argument(
        "--others", choices=OTHERS, help="terms of the loss that are not L2, such as L1 (default: %(default)s)"
    )
    parser.add_argument("--backend", choices=BACKENDS, help="of the decay op (default: %(default)s)")
    parser.set_defaults(**_DEFAULTS)


def given_rules(args):
    """The names of the options of `add_rules`, and of --report, that were given."""
    return [name for name, default in _DEFAULTS.items() if getattr(args, name) != default]


def rules_of(args):
    """The Rules that the options say. Raises InvalidOptionError, InvalidRateError."""
    scale, given = args.scale, given_rules(args)
    if getattr(args, "decay", "on") == "off" and given:
        raise InvalidOptionError("--decay off decays nothing: leave out --%s" % ", --".join(given))
    if scale is not None and scale != LEARNING_RATE:
        try:
            scale = float(scale)
        except ValueError:
            raise InvalidOptionError("--scale %s: it takes a number, or %s" % (scale, LEARNING_RATE)) from None
        if scale == 0.0:
            raise InvalidOptionError("--scale 0: the L2 would leave the gradient, and nothing would decay")
    as_given = ("source", "include", "exclude", "order", "convention", "backend", "sparse", "others")
    return make_rules(rates=rates_of(args), scale=scale, **{name: getattr(args, name) for name in as_given})


def rates_of(args):
    """The option rates= that --rate says, or None. Raises InvalidOptionError."""
    texts = args.rate
    if not texts:
        return None
    pairs = [text.rpartition("=") for text in texts]
    if len(pairs) > 1 and not all(equals for _, equals, _ in pairs):
        raise InvalidOptionError("--rate %s: several rates need a PATTERN=RATE each" % " --rate ".join(texts))
    return {pattern: rate for pattern, _, rate in pairs} if pairs[0][1] else pairs[0][2]


def program_of(args, or_else=""):
    """The Program that the words after the options name. Raises InvalidOptionError, which also says `or_else`."""
    words = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not words:
        raise InvalidOptionError("which program? tf1-wd %s [options] train.py [its arguments]%s" % (args.verb, or_else))
    return execute.Program(words[0], tuple(words[1:]), args.is_module)


def is_graph(program):
    """True for a .meta file, a saved_model.pb, and the folder of a SavedModel."""
    path = program.target
    named = path.endswith((".meta", ".pb")) or os.path.isfile(os.path.join(path, "saved_model.pb"))
    return named and not program.is_module


def writable(option, path):
    """The absolute path, since a program may change the working directory; None for None. Raises InvalidOptionError."""
    if path and not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
        raise InvalidOptionError("%s %s: no such directory, or not writable" % (option, path))
    return path and os.path.abspath(path)
