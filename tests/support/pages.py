"""The fenced blocks of the documentation, and what says which test runs which of them."""

from __future__ import annotations

import ast
import fnmatch
import re
from typing import NamedTuple

import pytest

from support.paths import ROOT

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("legacy_examples/**/*.md"),
    ]
)


class Block(NamedTuple):
    """line: that of the opening fence. language: what stands behind it, or ""."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return "%s:%d" % (self.page, self.line)


def blocks(page):
    """The fenced blocks of a page, in their order. page: relative to the repository."""
    found, fence, start, lines = [], None, None, []
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        mark = re.match(r" *(`{3,}|~{3,})(.*)", line)
        if fence is None:
            if mark:
                (fence, language), start, lines = mark.groups(), number, []
        elif mark and mark.group(1).startswith(fence) and not mark.group(2).strip():
            found.append(Block(page, start, language.strip(), "".join(lines)))
            fence = None
        else:
            lines.append(line + "\n")
    if fence is not None:
        raise ValueError("%s:%d: a block that does not end" % (page, start))
    return found


def of(page, *languages):
    """The blocks of a page in these languages."""
    return [block for block in blocks(page) if block.language in languages]


def the(page, start):
    """The one block of a page that begins so, white space aside."""
    found = [block for block in blocks(page) if folded(block.text).startswith(start)]
    if len(found) != 1:
        raise LookupError("%s has %d blocks that begin with %r" % (page, len(found), start))
    return found[0]


def runs(page, **starts):
    """Decorates a test that runs blocks of a page: gives it, by its arguments' names, the blocks that begin so."""
    found = [the(page, start) for start in starts.values()]
    return pytest.mark.parametrize(",".join(starts), [pytest.param(*found, id=" and ".join(map(str, found)))])


def runs_all(page, *languages):
    """Decorates a test that runs all blocks of a page in these languages, and fails if it has left out one.

    page: "docs/migrating-to-tf2/*.md" stands for all pages of the folder.
    """
    return lambda test: test


class Claim(NamedTuple):
    """A decorator as it stands: where, page, and what it is for, {argument: start} or languages."""

    where: str
    page: str
    starts: dict
    languages: tuple

    def covers(self, block):
        begins = any(folded(block.text).startswith(start) for start in self.starts.values())
        return fnmatch.fnmatch(block.page, self.page) and (begins or block.language in self.languages)


def claims():
    """All decorators `runs` and `runs_all` of the tests, read without importing them."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("runs", "runs_all"):
                    page, *languages = map(ast.literal_eval, call.args)
                    starts = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
                    yield Claim("%s:%d" % (path.relative_to(ROOT), call.lineno), page, starts, tuple(languages))


def folded(text):
    """Text with each run of white space as one blank."""
    return " ".join(text.split())


def assert_alike(shown, printed, measured=r"(?!)"):
    """What a page shows is what was printed: "..." stands for anything, `measured` (a pattern) for all of its shape."""
    shown, printed = (folded(re.sub(measured, "<measured>", str(text))) for text in (shown, printed))
    pattern = ".*".join(map(re.escape, shown.split("...")))
    assert re.fullmatch(pattern, printed), "the page shows\n%s\nand this was printed:\n%s" % (shown, printed)
