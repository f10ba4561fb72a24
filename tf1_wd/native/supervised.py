"""Runs a program with a time limit, and never longer than this process lives. Imports nothing of tf1_wd.

As a script it is the supervisor in between: it starts the program, and kills it with all that it started as soon as
the pipe that it is given closes. The kernel closes the pipe of a process that is gone, however it went.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any, Callable, Mapping, NamedTuple, Sequence

CANNOT_START = 127  # what the supervisor returns for a program that cannot be started, as a shell does


class Finished(NamedTuple):
    """How a program ended: its exit status (128 and its number for a signal), and all that it printed."""

    status: int
    output: str


def run(
    command: Sequence[str],
    seconds: float,
    stdin: IO[Any] | int = subprocess.DEVNULL,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Finished:
    """Runs a program to its end.

    progress: called about five times a second with the seconds since the start.
    Raises TimeoutError after `seconds`, and OSError where no process can be started; the program is gone then.
    """
    read_end, write_end = os.pipe()
    process = None
    try:
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", os.path.abspath(__file__), str(read_end), *command],
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                pass_fds=[read_end],
                start_new_session=True,  # a process group of its own, to be killed as one
            )
            start = time.monotonic()
            while process.poll() is None:
                passed = time.monotonic() - start
                if passed > seconds:
                    raise TimeoutError("%s took more than %g s" % (command[0], seconds))
                if progress:
                    progress(passed)
                time.sleep(0.2 if progress else 0.02)
            log.seek(0)
            return Finished(process.returncode, log.read().decode(errors="replace"))
    finally:
        os.close(write_end)
        if process is not None:
            process.wait()
        os.close(read_end)


def supervise(pipe: int, command: Sequence[str]) -> int:
    """Runs `command`; kills this process group when the other end of the pipe is closed."""

    def watch() -> None:
        os.read(pipe, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    try:
        status = subprocess.call(command)
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        return CANNOT_START
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(supervise(int(sys.argv[1]), sys.argv[2:]))
