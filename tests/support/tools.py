"""The programs of tools/ as modules."""

from __future__ import annotations

import importlib.util
import sys

from support.paths import ROOT

TOOLS = str(ROOT / "tools")


def load_tool(name):
    """The module tools/NAME.py, which finds its neighbours; support.py is no `support` of the tests."""
    if TOOLS not in sys.path:
        sys.path.append(TOOLS)
    spec = importlib.util.spec_from_file_location("tool_" + name, "%s/%s.py" % (TOOLS, name))
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool
