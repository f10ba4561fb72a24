"""Runs Python in a process of its own, with what this one can import."""

from __future__ import annotations

import os
import subprocess
import sys


def python(*words, given=None):
    """What `python words...` did, a CompletedProcess. given: its standard input, as text."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    options = dict(capture_output=True, text=True, timeout=300, check=False)
    return subprocess.run([sys.executable, *words], input=given, env=environment, **options)
