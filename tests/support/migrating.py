"""docs/migrating-to-tf2.md in parts: two blocks to begin with, then groups of a block of TensorFlow 1 and others."""

from __future__ import annotations

import re
from collections import namedtuple

from support.paths import ROOT

PAGE = ROOT / "docs" / "migrating-to-tf2.md"
TF1, TF2 = "# TensorFlow 1\n", "# TensorFlow 2\n"
BLOCK, ROW, FIGURE = r"```python\n(.*?)```", r"^\| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+) \|$", r"\*\*([\d.]+) %\*\*"

# A table under a group: what stands in its blocks, what else might, and how far off the weights are then.
Mistake = namedtuple("Mistake", "group old new off")
Group = namedtuple("Group", "tf1 tf2")


def sections():
    """{heading: text} of the page."""
    chapters = re.split(r"^##+ (.*)\n", PAGE.read_text(), flags=re.M)[1:]
    return dict(zip(chapters[::2], chapters[1::2]))


def read():
    """(block of TensorFlow 1 to begin with, that of TensorFlow 2, {name: Group}, [Mistake]).

    A group is named by its heading, and the second one of a heading has a 2 behind it.
    """
    begin, groups, mistakes = [], {}, []
    for heading, text in sections().items():
        if heading == "Let tf1-wd migrate write it":  # of test_migrate_page.py
            continue
        count = 0
        for block, row in re.findall("%s|(%s)" % (BLOCK, ROW.replace("(", "(?:")), text, re.S | re.M):
            if len(begin) < 2:
                begin.append(block)
            elif block.startswith(TF1):
                count += 1
                name = heading if count == 1 else "%s %d" % (heading, count)
                groups[name] = Group(block, [])
            elif block:
                groups[name].tf2.append(block)
            else:
                old, new, off = re.match(ROW, row).groups()
                if "%" in off:
                    mistakes.append(Mistake(name, code(old), code(new), off))
    return (*begin, groups, mistakes)


def figures():
    """[(heading, figure)] of what the text itself says in percent."""
    return [(heading, "%s %%" % n) for heading, text in sections().items() for n in re.findall(FIGURE, text)]


def code(cell):
    """What stands between the backticks of a cell; "nothing" has none."""
    found = re.match("`(.*)`", cell)
    return found.group(1) if found else ""


def with_mistake(mistake):
    """The block that has the text, of TensorFlow 2 if possible, with the mistake in it; None: no block of its group."""
    group = GROUPS[mistake.group]
    blocks = [block for block in [*group.tf2, group.tf1] if mistake.old in block]
    return blocks[0].replace(mistake.old, mistake.new) if blocks else None


BEGIN_TF1, BEGIN_TF2, GROUPS, MISTAKES = read()
