"""`tf1-wd migrate`: what trains a TF1 program, a .meta graph or a plan, as a module for TensorFlow 2."""

from __future__ import annotations

import json
import os
import sys

from tf1_wd.cli import output, shared_options
from tf1_wd.cli.programs import report_on
from tf1_wd.cli.shared_options import is_graph
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
    shared_options.add_program(parser)
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
    shared_options.add_rules(parser)


def check(args):
    """(Program, the Rules to decay by or None, Rules with --rate or None). Raises InvalidOptionError."""
    program = shared_options.program_of(args)
    is_plan = _is_plan(program)
    if (is_plan or is_graph(program)) and program.arguments:
        raise InvalidOptionError("a graph or a plan takes no arguments: %s" % " ".join(program.arguments))
    path = shared_options.writable("--output", args.output)
    if path and os.path.isdir(path):
        raise InvalidOptionError("--output %s is a directory: name a file" % args.output)
    if path and all(map(os.path.exists, (path, program.target))) and os.path.samefile(path, program.target):
        raise InvalidOptionError("--output %s is the program itself: name another file" % args.output)
    args.output = path
    given = shared_options.given_rules(args)
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
        return program, None, None
    if args.decoupled:
        return program, shared_options.rules_of(args), None
    others = [name for name in given if name != "rate"]
    if others:
        raise InvalidOptionError("--%s goes with --decoupled" % others[0])
    return program, None, make_rules(rates=shared_options.rates_of(args)) if args.rate else None


def run(args):
    """Writes the code; the exit code."""
    target, rules, rates = args.checked
    if _is_plan(target):
        return _write(_of_plan(target.target, args), args)
    if is_graph(target):
        with output.tensorflow_import():
            from tf1_wd.commands.migrate import program
        return _write(program.migrate_file(target.target, rules, rates), args)

    def read(on_refusal):
        from tf1_wd.commands.migrate import program

        return program.migrate_program(target, rules, rates, on_refusal)

    return report_on(read, lambda found: _write(found, args))


def _is_plan(program):
    return program.target.endswith(".json") and not program.is_module


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
    if args.output:
        os.makedirs(os.path.dirname(args.output), exist_ok=True)  # which the program may have removed
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(written.code)
    else:
        sys.stdout.write(written.code)
    for difference in written.differences:
        print("tf1-wd migrate: not equivalent: %s" % difference, file=sys.stderr)
    if args.output:
        words = "" if written.differences else "; no difference is known"
        print("tf1-wd migrate: written to %s%s" % (args.output, words), file=sys.stderr)
    return 1 if args.strict and written.differences else 0
