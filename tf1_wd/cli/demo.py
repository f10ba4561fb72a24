"""`tf1-wd demo`: the slim_digits example trained three ways, as a progress bar, a table and a PNG."""

from __future__ import annotations

import collections
import json

from tf1_wd.cli import output
from tf1_wd.cli.shared_options import writable
from tf1_wd.errors import PACKAGES, MissingPackageError
from tf1_wd.plan import text_table
from tf1_wd.plan.options import BACKENDS

_HEADER = (
    "method",
    "test accuracy (%)",
    "weight norm",
    "ms a step",
    "rule, reference variables",
    "rule, resource variables",
)
_TEXT = """\
What true decay does to each variable:

%(plan)s

slim_digits, %(steps)d steps of Adam, seed %(seed)d, TensorFlow %(tensorflow)s, %(op)s decay op:

%(table)s

- r = %(weight_decay)g a step. The same number is the coefficient of the L2 in the loss, as its author wrote it.
- Rules are measured on the weights after one more step, where w - step is what Adam alone makes of w:
  (1 - r)(w - step): updated weights; w - step - r w: old weights; neither: no decay, Adam has rescaled the L2.
- The snippet's reads of resource variables wait for nothing: which weights they see is a race, mostly the old ones.
- Accuracy, norm and times (medians) are those of reference variables, the default of TF1. One of the %(test_images)d
  test images is %(image).2f %%: try another --seed before reading anything into a difference below 1 %%."""


def add_arguments(parser):
    parser.add_argument("--steps", type=int, default=600, help="steps of each training (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, dropout and batches (default: %(default)s)")
    parser.add_argument(
        "--weight-decay", type=float, default=1e-3, metavar="R", help="rate per step (default: %(default)s)"
    )
    parser.add_argument(
        "--png", default="tf1_wd_demo.png", metavar="FILE", help="where the curves go (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the whole report there as well")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="of the decay op (default: %(default)s)")


def check(args):
    """Raises InvalidOptionError if a file cannot be written."""
    for path in (args.png, args.json):
        writable("cannot write", path)


def run(args):
    """Trains, prints the table, writes the PNG; 0, or 2 if something is not installed."""
    try:
        report = _train(args)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in PACKAGES:
            raise
        raise MissingPackageError.of("tf1_wd" if package == "tensorflow" else "the demo", package) from error
    print(text(report))
    from tf1_wd.commands.demo import curves

    curves.draw(report, args.png)
    print("\nCurves: %s" % args.png)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(report, file, indent=2)
        print("Report: %s" % args.json)
    return 0


def _train(args):
    import matplotlib  # noqa: F401, to fail before the training if it is missing
    import tqdm

    with output.tensorflow_import():
        from tf1_wd.commands.demo import train
    with tqdm.tqdm(total=args.steps, desc="training three ways", unit="step") as bar:
        return train.run(args.steps, args.seed, args.weight_decay, args.backend, on_step=bar.update)


def text(report):
    """The report of train.run as it is printed."""
    return _TEXT % dict(
        report,
        table=text_table.table([_row(method) for method in report["methods"]], _HEADER),
        image=100 / report["test_images"],
    )


def _row(method):
    numbers = (100 * method["test_accuracy"], method["weight_norm"], method["milliseconds_per_step"])
    fixed = [("%.2f" % number).rjust(len(title)) for number, title in zip(numbers, _HEADER[1:])]
    return (method["name"], *fixed, _counted(method["rules"]), _counted(method["resource_rules"]))


def _counted(rules):
    counts = collections.Counter(rules.values()).most_common()
    return ", ".join("%s %d/%d" % (rule, count, len(rules)) for rule, count in counts)
