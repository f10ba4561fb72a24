"""Programs that verbs execute up to their training, and report on."""

from __future__ import annotations

import os
import sys
import threading

from tf1_wd import legacy
from tf1_wd.commands.run import execute


def report_on(read, write) -> int:
    """The exit code of a verb that executes a program and writes what it read of it.

    read(on_refusal): executes the program; what this writes to stdout, by Python or below it, goes to stderr. Returns
    a stop.Stopped. write(report): writes to stdout, returns the exit code.
    """
    before, stdout = set(threading.enumerate()), sys.stdout
    stdout.flush()
    kept = os.dup(1)

    def restore():
        sys.stderr.flush()
        sys.stdout = stdout
        os.dup2(kept, 1)

    def refused(report):
        restore()
        _end(write(report))

    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        legacy.install()
        result = read(refused)
    finally:
        restore()
        os.close(kept)
    if result.report is None:
        execute.end(result.raised)
    code = write(result.report)
    if any(not thread.daemon for thread in set(threading.enumerate()) - before):
        _end(code)
    return code


def _end(code):
    """Ends the process although a program that was stopped is still in it, with its loops and threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
