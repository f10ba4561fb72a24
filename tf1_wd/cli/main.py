"""`tf1-wd VERB`: a table of verbs, each a module with add_arguments(parser) and run(args) -> exit code.

A verb may also have check(args): an option that this finds wrong is wrong usage. What it returns is args.checked.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from tf1_wd import __version__
from tf1_wd.errors import InvalidOptionError, MissingPackageError, Tf1WdError

# verb -> (module, what it does); a module is imported only when its verb is asked for
VERBS = {
    "audit": ("tf1_wd.cli.audit", "tell what the weight decay of a program or a graph really is"),
    "run": ("tf1_wd.cli.run", "run an untouched TF1 program, with its L2 turned into true weight decay"),
    "patch": ("tf1_wd.cli.patch", "write the edit that puts true weight decay around what builds a train_op"),
    "migrate": ("tf1_wd.cli.migrate", "write the TensorFlow 2 equivalent of what trains a program, a graph or a plan"),
    "demo": ("tf1_wd.cli.demo", "train a slim network with L2, with the snippet and with true decay, and compare"),
    "doctor": ("tf1_wd.cli.doctor", "show what this machine has, and why the decay op is native or not"),
    "build": ("tf1_wd.cli.build", "compile the decay op for the TensorFlow that is installed"),
}


def main(argv=None):
    """Runs one verb; returns the exit code: 0 success, 1 failure, 2 wrong usage or something not installed.

    argv: the arguments without the program's name; by default the command line's.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    args = _parser(argv).parse_args(argv)
    is_running = False
    try:
        args.checked = args.check(args)
        is_running = True
        return args.run(args)
    except Tf1WdError as error:
        print("tf1-wd %s: %s" % (args.verb, error), file=sys.stderr)
        is_usage = isinstance(error, InvalidOptionError) and not is_running
        return 2 if is_usage or isinstance(error, MissingPackageError) else 1


def _parser(argv):
    parser = argparse.ArgumentParser(
        prog="tf1-wd", description="True weight decay for TensorFlow-1 graph-mode code, on TF 1.15 and 2.x."
    )
    parser.add_argument("--version", action="version", version="tf1-wd %s" % __version__)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    asked = next((word for word in argv if not word.startswith("-")), None)
    for verb, (module_name, summary) in VERBS.items():
        subparser = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if verb == asked:
            module = importlib.import_module(module_name)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run, check=getattr(module, "check", lambda args: None))
    return parser
