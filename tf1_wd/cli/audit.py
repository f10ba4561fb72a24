"""`tf1-wd audit`: what the weight decay of a program, a .meta graph or a SavedModel really is."""

from __future__ import annotations

import argparse
import json
import os
import sys

from tf1_wd.cli import output
from tf1_wd.cli.output import names_a_graph
from tf1_wd.cli.programs import report_on
from tf1_wd.commands.audit import html_page, text
from tf1_wd.commands.run import execute
from tf1_wd.errors import InvalidOptionError

_EPILOG = """exit code: 0; 1 if the program failed, or on findings with --strict; 2 wrong usage.
What the program prints goes to stderr; the report goes to stdout. A program is stopped before its first training step,
and what it would save on being stopped is not written."""


def add_arguments(parser):
    parser.usage = "tf1-wd audit [options] [-m] program [its arguments] | graph.meta | saved_model_folder"
    parser.epilog = _EPILOG
    parser.add_argument("-m", dest="is_module", action="store_true", help="program is a module, as in python -m")
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="let N training steps run (default: 0)")
    parser.add_argument("--checkpoint", metavar="PREFIX", help="of the weights, for a graph from a file")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print the report as JSON")
    shape.add_argument("--markdown", action="store_true", help="print the report as Markdown")
    parser.add_argument("--html", metavar="FILE", help="also write the report as one page for a browser")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if there are findings")
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(args):
    """Audits, prints the report; the exit code."""
    try:
        words = _checked(args)
    except InvalidOptionError as error:
        print("tf1-wd audit: %s" % error, file=sys.stderr)
        return 2
    if _is_graph(args, words):
        with output.tensorflow_import():
            from tf1_wd.commands.audit import assemble
        return _print(assemble.audit_file(words[0], args.checkpoint), args)
    target = execute.Program(words[0], tuple(words[1:]), args.is_module)

    def read(on_refusal):
        from tf1_wd.commands.audit import program

        return program.audit_program(target, args.steps, on_refusal)

    return report_on(read, lambda report: _print(report, args))


def _checked(args):
    """The words after the options. Raises InvalidOptionError."""
    words = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not words:
        raise InvalidOptionError("which program? tf1-wd audit [options] train.py [its arguments], or a graph.meta")
    if args.steps < 0:
        raise InvalidOptionError("--steps %d: it takes 0 or more" % args.steps)
    args.html = args.html and os.path.abspath(args.html)  # the program may change the working directory
    if args.html and not os.access(os.path.dirname(args.html), os.W_OK):
        raise InvalidOptionError("--html %s: no such directory, or not writable" % args.html)
    is_graph = _is_graph(args, words)
    if is_graph and len(words) > 1:
        raise InvalidOptionError("a graph takes no arguments: %s" % " ".join(words[1:]))
    if args.checkpoint and not is_graph:
        raise InvalidOptionError("--checkpoint is for a graph from a file; a program has its own weights")
    return words


def _print(report, args):
    """Writes the report; the exit code."""
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print(text.markdown(report) if args.markdown else text.text(report))
    if args.html:
        with open(args.html, "w", encoding="utf-8") as file:
            file.write(html_page.page(report))
        print("tf1-wd audit: page written to %s" % args.html, file=sys.stderr)
    return 1 if args.strict and report.findings else 0


def _is_graph(args, words):
    return not args.is_module and names_a_graph(words[0])
