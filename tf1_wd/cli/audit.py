"""`tf1-wd audit`: what the weight decay of a program, a .meta graph or a SavedModel really is."""

from __future__ import annotations

import json
import os
import sys

from tf1_wd.cli import output
from tf1_wd.cli.programs import report_on
from tf1_wd.cli.shared_options import add_program, is_graph, program_of, writable
from tf1_wd.commands.audit import html_page, text
from tf1_wd.errors import InvalidOptionError

_EPILOG = """exit code: 0; 1 if the program failed, or on findings with --strict; 2 wrong usage.
What the program prints goes to stderr; the report goes to stdout. A program is stopped before its first training step,
and what it would save on being stopped is not written."""


def add_arguments(parser):
    parser.usage = "tf1-wd audit [options] [-m] program [its arguments] | graph.meta | saved_model_folder"
    parser.epilog = _EPILOG
    add_program(parser)
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="let N training steps run (default: 0)")
    parser.add_argument("--checkpoint", metavar="PREFIX", help="of the weights, for a graph from a file")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print the report as JSON")
    shape.add_argument("--markdown", action="store_true", help="print the report as Markdown")
    parser.add_argument("--html", metavar="FILE", help="also write the report as one page for a browser")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if there are findings")


def check(args):
    """The Program, which may be a graph. Raises InvalidOptionError."""
    program = program_of(args, ", or a graph.meta")
    if args.steps < 0:
        raise InvalidOptionError("--steps %d: it takes 0 or more" % args.steps)
    args.html = writable("--html", args.html and os.path.abspath(args.html))
    if is_graph(program) and program.arguments:
        raise InvalidOptionError("a graph takes no arguments: %s" % " ".join(program.arguments))
    if args.checkpoint and not is_graph(program):
        raise InvalidOptionError("--checkpoint is for a graph from a file; a program has its own weights")
    return program


def run(args):
    """Audits, prints the report; the exit code."""
    if is_graph(args.checked):
        with output.tensorflow_import():
            from tf1_wd.commands.audit import assemble
        return _print(assemble.audit_file(args.checked.target, args.checkpoint), args)

    def read(on_refusal):
        from tf1_wd.commands.audit import program

        return program.audit_program(args.checked, args.steps, on_refusal)

    return report_on(read, lambda report: _print(report, args))


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
