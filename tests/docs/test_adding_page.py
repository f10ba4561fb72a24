"""docs/develop/adding.md: each diff fits the file it names, as that stands."""

from __future__ import annotations

import re

import pytest

from support.pages import of, runs_all
from support.paths import ROOT

PAGE = "docs/develop/adding.md"


def sides(diff):
    """(file, text before, text after) of a diff with one hunk."""
    old, new, *lines = diff.splitlines()
    assert old.startswith("--- ")
    assert new.startswith("+++ b/")
    before = "\n".join(line[1:] for line in lines if line[0] in " -")
    after = "\n".join(line[1:] for line in lines if line[0] in " +")
    return ROOT / new[len("+++ b/") :], before, after


@runs_all("docs/develop/adding.md", "diff")
@pytest.mark.parametrize("block", of(PAGE, "diff"), ids=str)
def test_a_diff_of_the_page_fits_its_file(block):
    path, before, after = sides(block.text)
    if block.text.startswith("--- /dev/null"):
        assert not path.exists()
        compile(after, str(path), "exec")
        return
    if not path.exists():
        pytest.skip("%s is not part of a source distribution" % path.name)
    text = path.read_text(encoding="utf-8")
    stands = before or after  # what is there already is shown as it was added
    assert text.count(stands) == 1, "%s: not in %s, once:\n%s" % (block, path, stands)


def test_every_test_that_the_page_tells_to_run_is_there():
    named = re.findall(r"`pytest (tests/[\w/.]+)`", (ROOT / PAGE).read_text(encoding="utf-8"))
    assert len(named) == 4
    assert [path for path in named if not (ROOT / path).exists()] == []
