"""docs/migrating-to-tf2 in parts: two blocks to begin with, then groups of a block of TensorFlow 1 and others."""

from __future__ import annotations

import re
from collections import namedtuple

from support.paths import ROOT

FOLDER = ROOT / "docs" / "migrating-to-tf2"
AROUND = "program-around-the-blocks.md"
TF1, TF2 = "# TensorFlow 1\n", "# TensorFlow 2\n"
BLOCK, ROW, FIGURE = r"```python\n(.*?)```", r"^\| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+) \|$", r"\*\*([\d.]+) %\*\*"

# A table under a group: what stands in its blocks, what else might, and how far off the weights are then.
Mistake = namedtuple("Mistake", "group old new off")
Group = namedtuple("Group", "tf1 tf2")


def indexed():
    """The names of the pages, in the order in which the index links to them."""
    return list(dict.fromkeys(re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text())))


def sections():
    """{heading: text} of the pages, without the index and the page with the blocks to begin with."""
    chapters = [
        re.match(r"# ([^\n]*)\n(.*)", (FOLDER / name).read_text(), re.S) for name in indexed() if name != AROUND
    ]
    return dict(chapter.groups() for chapter in chapters)


def text():
    """The text of all pages, those that the index does not name too."""
    return "\n".join(page.read_text() for page in sorted(FOLDER.glob("*.md")))


def read():
    """(block of TensorFlow 1 to begin with, that of TensorFlow 2, {name: Group}, [Mistake]).

    A group is named by the heading of its page, and the second one of a page has a 2 behind it.
    """
    begin = re.findall(BLOCK, (FOLDER / AROUND).read_text(), re.S)
    groups, mistakes = {}, []
    for heading, text in sections().items():
        count = 0
        for block, row in re.findall("%s|(%s)" % (BLOCK, ROW.replace("(", "(?:")), text, re.S | re.M):
            if block.startswith(TF1):
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
