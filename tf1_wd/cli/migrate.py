"""`tf1-wd migrate`: what trains a TF1 program, a .meta graph or a plan, as a module for TensorFlow 2."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys

from tf1_wd.cli import output
from tf1_wd.cli.output import names_a_graph
from tf1_wd.cli.programs import report_on
from tf1_wd.cli.shared_options import add_rules, given_rules, program_of, rates_of, rules_of
from tf1_wd.commands.migrate.from_plan import from_plan
from tf1_wd.commands.migrate.writing import module
from tf1_wd.commands.migrate.writing.forms import AUTO, FORMS
from tf1_wd.errors import InvalidOptionError
from tf1_wd.plan.optimizer_table import MIGRATED
from tf1_wd.plan.options import make_rules
from tf1_wd.plan.scale_option import LEARNING_RATE

_EPILOG = """A program is stopped before its first training step. Without --decoupled the code trains as the program
does, L2 and all; a program that uses tf1_wd keeps its decay. The code goes to stdout, what is not equivalent to stderr
as well. Exit code: 0; 1 if it cannot be written, or, with --strict, if it is not equivalent; 2 wrong usage."""


def add_arguments(parser):
    parser.usage = "tf1-wd migrate [options] [-m] program [its arguments] | graph.meta | plan.json"
    parser.epilog = _EPILOG
    parser.add_argument("-m", dest="is_module", action="store_true", help="program is a module, as in python -m")
    parser.add_argument("-o", "--output", metavar="FILE", help="where the code goes (default: stdout)")
    parser.add_argument(
        "--form",
        choices=FORMS,
        default=AUTO,
        help="auto: weight_decay= of Keras where that is equal, else a GradientTape loop; keras: also where it is "
        "nearly equal, and the code says how nearly; tape: never (default: %(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 if the code is not equivalent")
    plan = parser.add_argument_group("of a plan (tf1-wd run --report FILE writes one)")
    plan.add_argument("--optimizer", choices=sorted(MIGRATED), help="the optimizer, of tf.train")
    plan.add_argument("--learning-rate", metavar="X", help="a number; left out, the code asks for a schedule")
    plan.add_argument(
        "--setting", action="append", default=[], metavar="NAME=X", help="of the optimizer, such as epsilon=1e-3"
    )
    parser.add_argument(
        "--decoupled",
        action="store_true",
        help="as `tf1-wd run` trains it, with true decay instead of L2; takes the options that follow",
    )
    add_rules(parser)
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(args):
    """Writes the code; the exit code."""
    try:
        target, rules, rates = _checked(args)
    except InvalidOptionError as error:
        print("tf1-wd migrate: %s" % error, file=sys.stderr)
        return 2
    path = target.target
    if not target.is_module and path.endswith(".json"):
        return _write(_of_plan(path, args), args)
    if not target.is_module and names_a_graph(path):
        with output.tensorflow_import():
            from tf1_wd.commands.migrate import program
        return _write(program.migrate_file(path, rules, rates), args)

    def read(on_refusal):
        from tf1_wd.commands.migrate import program

        return program.migrate_program(target, rules, rates, on_refusal)

    return report_on(read, lambda found: _write(found, args))


def _checked(args):
    """(Program, the Rules to decay by or None, Rules with --rate or None). Raises InvalidOptionError."""
    target = program_of(args)
    is_plan = not target.is_module and target.target.endswith(".json")
    is_file = is_plan or (not target.is_module and names_a_graph(target.target))
    if is_file and target.arguments:
        raise InvalidOptionError("a graph or a plan takes no arguments: %s" % " ".join(target.arguments))
    if args.output and not os.access(os.path.dirname(os.path.abspath(args.output)), os.W_OK):
        raise InvalidOptionError("--output %s: no such directory, or not writable" % args.output)
    if args.output and os.path.isdir(args.output):
        raise InvalidOptionError("--output %s is a directory: name a file" % args.output)
    both = args.output and os.path.exists(args.output) and os.path.exists(target.target)
    if both and os.path.samefile(args.output, target.target):
        raise InvalidOptionError("--output %s is the program itself: name another file" % args.output)
    args.output = args.output and os.path.abspath(args.output)  # the program may change the working directory
    given = given_rules(args)
    of_plan = [name for name in ("optimizer", "learning_rate", "setting") if getattr(args, name)]
    if of_plan and not is_plan:
        raise InvalidOptionError("--%s is for a plan; a program tells it" % of_plan[0].replace("_", "-"))
    if is_plan:
        if args.decoupled or [name for name in given if name != "scale"]:
            raise InvalidOptionError("a plan says what decays: leave --decoupled and its options out")
        if args.optimizer is None:
            raise InvalidOptionError("a plan does not tell the optimizer: --optimizer adam --learning-rate 0.001, say")
        if args.scale not in (None, LEARNING_RATE):
            raise InvalidOptionError("--scale %s: of a plan it is %s, or left out" % (args.scale, LEARNING_RATE))
        return target, None, None
    if args.decoupled:
        return target, rules_of(args), None
    others = [name for name in given if name != "rate"]
    if others:
        raise InvalidOptionError("--%s goes with --decoupled" % others[0])
    return target, None, make_rules(rates=rates_of(args)) if args.rate else None


def _of_plan(path, args):
    try:
        with open(path, encoding="utf-8") as file:
            plan = json.load(file)
    except (OSError, ValueError) as error:
        raise InvalidOptionError("%s is no plan: %s" % (path, error)) from error
    plans = plan.get("graphs", [plan]) if isinstance(plan, dict) else []
    plans = [p for i, p in enumerate(plans) if p not in plans[:i]]  # an Estimator makes the same graph anew
    if len(plans) != 1:
        raise InvalidOptionError("%s holds %d plans, and one can be migrated" % (path, len(plans)))
    settings = dict(_setting(text) for text in args.setting)
    name = os.path.basename(path)
    return from_plan(plans[0], args.optimizer, args.learning_rate, args.scale, program=name, **settings)


def _setting(text):
    name, _, value = text.partition("=")
    if value in ("True", "False"):
        return name, value == "True"
    try:
        return name, float(value)
    except ValueError:
        raise InvalidOptionError("--setting %s: it takes NAME=NUMBER" % text) from None


def _write(found, args):
    written = module.write(found, args.form)
    with contextlib.ExitStack() as stack:
        if args.output:  # which the program may have removed
            os.makedirs(os.path.dirname(args.output), exist_ok=True)
        file = stack.enter_context(open(args.output, "w", encoding="utf-8")) if args.output else sys.stdout
        file.write(written.code)
    for difference in written.differences:
        print("tf1-wd migrate: not equivalent: %s" % difference, file=sys.stderr)
    if args.output:
        words = "" if written.differences else "; no difference is known"
        print("tf1-wd migrate: written to %s%s" % (args.output, words), file=sys.stderr)
    return 1 if args.strict and written.differences else 0
