"""`tf1-wd doctor`: what this machine has, and why the decay op is native or not."""

from __future__ import annotations

import json

from tf1_wd.commands import doctor


def add_arguments(parser):
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args):
    """Prints the report; 0 if the native op is in use, else 1."""
    report = doctor.diagnose()
    print(json.dumps(report, indent=2, sort_keys=True) if args.json else _text(report))
    return 0 if doctor.is_healthy(report) else 1


def _text(report):
    lines = []
    for title in ("python", "platform", "tensorflow", "compiler", "op", "cache", "gpu"):
        entry = report[title]
        fields = entry if isinstance(entry, dict) else {"": entry}
        for name, value in fields.items():
            if value is not None:
                lines.append("%-22s %s" % ((title + " " + name).strip(), value))
    return "\n".join(lines)
