"""`tf1-wd run`: an untouched TF1 program, with its L2 turned into true weight decay."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import sys
import traceback

from tf1_wd import legacy
from tf1_wd.cli.shared_options import RULES, add_program, add_rules, program_of, rules_of, writable
from tf1_wd.commands.run import execute
from tf1_wd.errors import AmbiguousRateError, NothingToDecayError
from tf1_wd.plan import text_table

_NOT_TRAINED = {
    False: "no train_op ran in this process, so nothing decayed in it",
    True: "the program uses tf1_wd itself, or imported a graph that decays by it: left as it is",
}
# in the words of the command what an error's advice says in those of Python
_HINTS = {
    NothingToDecayError: "\n  --source collection uses penalties that are in no loss, and --rate gives a rate to all",
    AmbiguousRateError: "\n  --rate [PATTERN=]RATE passes it",
}
STOP, UNCHANGED = "stop", "run-unchanged"


def add_arguments(parser):
    parser.usage = "tf1-wd run [options] [-m] program [its arguments]"
    add_program(parser)
    parser.add_argument(
        "--decay", choices=("on", "off"), default="on", help="off: only let old code run on this TensorFlow"
    )
    add_rules(parser)
    parser.add_argument(
        "--if-impossible",
        choices=(STOP, UNCHANGED),
        default=STOP,
        help="what to do with a program that cannot be decoupled: stop (exit code 1), or start it anew as it is",
    )
    parser.add_argument(
        "--report", metavar="FILE", help="write what is done there as JSON, when training begins and at the end"
    )


def check(args):
    """(Program, Rules, the absolute path of --report or None). Raises InvalidOptionError."""
    return program_of(args), rules_of(args), writable("--report", args.report and os.path.abspath(args.report))


def run(args):
    """Executes the program; its exit code, or 1 if it cannot be decoupled."""
    surroundings = os.getcwd(), dict(os.environ)
    target, rules, report = args.checked
    legacy.install()
    if args.decay == "off":
        return execute.end(execute.attempt(target))
    from tf1_wd.commands.run import run as runner

    ours = ours_behind(target)
    if ours:
        _say("%s, behind %s, is its own: an option of tf1-wd run stands before it" % (", ".join(ours), target))
    say_once = functools.lru_cache(maxsize=None)(_say)  # an Estimator makes the same graph anew for each call
    result = runner.Run()

    def on_plan(plan):
        say_once(_summary(plan))
        _write(report, target, result, is_finished=False)  # a job that is killed leaves it

    runner.run(target, rules, on_plan, lambda text: say_once("warning: " + text), result)
    _write(report, target, result, is_finished=True)
    if result.error is None:
        if not result.plans and (result.raised is None or isinstance(result.raised, SystemExit)):
            _say(_NOT_TRAINED[result.has_own_scope])
        return execute.end(result.raised)
    hint = "" if result.fails_alike else _HINTS.get(type(result.error), "")
    _say("%s%s%s" % (_short(str(result.error)), _where(result.error), hint))
    if args.if_impossible == UNCHANGED and not result.fails_alike:
        if not result.plans:
            _say("the program starts anew, unchanged")
            _start_anew(target, *surroundings)
        _say("it has trained already, so it does not start anew")
    elif not result.plans and not result.fails_alike:
        _say("to run it as it is: tf1-wd run %s" % " ".join(map(shlex.quote, _without_decay(target))))
    code = result.raised.code if isinstance(result.raised, SystemExit) else None
    return code if isinstance(code, int) and code else 1


def ours_behind(target):
    """Options of the command among the program's arguments, of which the program's own file says no word."""
    text = execute.source_of(target)
    ours = [name for name in (*RULES, "decay", "if-impossible") if not {name, name.replace("-", "_")} & _words(text)]
    return [word for word in (w.partition("=")[0] for w in target.arguments) if word in ["--" + name for name in ours]]


def _words(text):
    return set(re.findall(r"[\w-]+", text.replace("--", " ")))


def _write(report, target, result, is_finished):
    if report:
        with open(report, "w") as file:
            json.dump(dict(_facts(target, result), finished=is_finished), file, indent=2)


def _start_anew(target, directory, environment):
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(directory)
    os.execve(sys.executable, [sys.executable, "-m", "tf1_wd", "run", *_without_decay(target)], environment)


def _without_decay(target):
    """The words behind `tf1-wd run` that execute a program as it is."""
    return ["--decay", "off", *(["-m"] if target.is_module else []), target.target, *target.arguments]


def _say(text):
    print("tf1-wd run: %s" % text, file=sys.stderr, flush=True)


def _short(message):
    """A message without most of its table of variables, which the report has."""
    lines = message.splitlines()
    return message if len(lines) <= 15 else "\n".join([*lines[:12], "... (all %d lines: --report FILE)" % len(lines)])


def _where(error):
    """The line of the program that led to an error, if it is in one."""
    frames = traceback.extract_tb(execute.frames_of_program(error))
    for frame in reversed(frames):
        if "site-packages" not in frame.filename and not frame.filename.startswith(execute.PACKAGE):
            return "\n  at %s:%s: %s" % (frame.filename, frame.lineno, frame.line)
    return ""


def _summary(plan):
    said = {
        "rate {0}: {1}": [(_rate(d, plan.half_life(d)), d.name) for d in plan.decaying],
        "left alone ({0}): {1}": [(d.why, d.name) for d in plan.left_alone],
        "term {1}: {0}": [(text, name) for name, text in plan.terms],
        "note {1}: {0}": [(text, name) for name, text in plan.notes],
    }
    lines = [plan.summary()]
    for form, pairs in said.items():
        groups: dict = {}
        for text, name in pairs:
            groups.setdefault(str(text), []).append(name)
        lines += ["  " + form.format(text, text_table.some(names)) for text, names in groups.items()]
    return "\n".join(lines)


def _rate(decay, half_life):
    rate = "%g" % decay.rate if isinstance(decay.rate, float) else "known at run time"
    if isinstance(half_life, float):
        steps = f"{half_life:,.0f}" if half_life >= 100.0 else f"{half_life:.3g}"
        rate += " (half-life %s steps)" % steps
    elif half_life is not None and isinstance(decay.rate, float):
        rate += " (half-life known at run time)"
    return "%s, %s" % (rate, decay.why)


def _facts(target, result):
    from tf1_wd import __version__
    from tf1_wd._tf import tf

    decoupled = any(plan.decaying for plan in result.plans) or result.has_own_scope
    outcome = "refused" if result.error else "decoupled" if decoupled else "no decay" if result.plans else "no training"
    return {
        "program": str(target),
        "arguments": list(target.arguments),
        "tensorflow": tf.version.VERSION,
        "tf1_wd": __version__,
        "outcome": outcome,
        "error": result.error and "%s: %s" % (type(result.error).__name__, result.error),
        "warnings": result.warnings,
        "graphs": [plan.as_dict() for plan in result.plans],
    }
