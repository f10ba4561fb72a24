"""Programs that verbs execute up to their training, and report on."""

from __future__ import annotations

import threading

from tf1_wd import legacy
from tf1_wd.cli.output import ended, stdout_to_stderr
from tf1_wd.commands.run import execute


def report_on(read, write) -> int:
    """The exit code of a verb that executes a program and writes what it read of it.

    read(on_refusal): executes the program, with what it prints on stderr; returns a stop.Stopped. write(report): writes
    to stdout, returns the exit code.
    """
    before = set(threading.enumerate())
    with stdout_to_stderr() as restore:
        legacy.install()

        def refused(report):
            restore()
            ended(write(report))

        result = read(refused)
    if result.report is None:
        execute.end(result.raised)
    code = write(result.report)
    if any(not thread.daemon for thread in set(threading.enumerate()) - before):
        ended(code)
    return code
