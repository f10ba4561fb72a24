"""Executes a script in a scope, as a decorator around its main function would: execute.py OPTIONS SCRIPT.

OPTIONS: those of the scope besides the convention, as JSON.
"""

from __future__ import annotations

import json
import runpy
import sys

import tf1_wd
import tf1_wd.legacy

if __name__ == "__main__":
    tf1_wd.legacy.install()
    try:
        with tf1_wd.decoupled_weight_decay(convention="adamw", **json.loads(sys.argv[1])):
            runpy.run_path(sys.argv[2], run_name="__main__")
    except tf1_wd.Tf1WdError as error:
        sys.exit("%s: %s" % (type(error).__name__, error))
