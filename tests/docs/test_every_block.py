"""Every fenced block of the documentation is run by a test, or compared by one with what is printed."""

from __future__ import annotations

import fnmatch

import pytest

from support.pages import PAGES, ROOT, Block, assert_alike, blocks, claims

CLAIMS = list(claims())
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", NAMES)
def test_every_block_of_a_page_is_run_by_a_test(page):
    unclaimed = [block for block in blocks(page) if not any(claim.covers(block) for claim in CLAIMS)]
    assert unclaimed == [], "no test runs (tests/support/pages.py: runs, runs_all) " + ", ".join(map(str, unclaimed))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.where)
def test_every_block_that_a_test_runs_is_there(claim):
    pages = fnmatch.filter(NAMES, claim.page)
    assert pages
    here = [block for page in pages for block in blocks(page)]
    for start in claim.starts.values():
        only = claim._replace(starts={"": start})
        assert len([b for b in here if only.covers(b)]) == 1, "%s: %s: %r" % (claim.where, claim.page, start)
    for language in claim.languages:
        assert language in [b.language for b in here], "%s: %s: %r" % (claim.where, claim.page, language)


def test_a_block_is_what_stands_between_its_fences(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text\n```sh\na\n\n# b\n```\n````\n```python\n````\n")
    sh, plain = blocks(str(page))
    assert sh == Block(str(page), 2, "sh", "a\n\n# b\n")
    assert plain == Block(str(page), 7, "", "```python\n")
    page.write_text("```sh\na\n")
    with pytest.raises(ValueError, match=r"page\.md:1: a block that does not end"):
        blocks(str(page))


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("a\n  b", "a b\n", True),
        ("a b", "a b c", False),
        ("a (1)", "a (2)", False),
        ("a ... c", "a b\nb c", True),
        ("a ...", "b c", False),
        ("1.25 ms", "3.50 ms", True),
        ("1.25 ms", "3.5 ms", False),
    ],
)
def test_what_is_shown_is_compared_but_for_dots_and_what_was_measured(shown, printed, alike):
    if alike:
        assert_alike(shown, printed, r"\d\.\d\d")
    else:
        with pytest.raises(AssertionError, match="the page shows"):
            assert_alike(shown, printed, r"\d\.\d\d")
