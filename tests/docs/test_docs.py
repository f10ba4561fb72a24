"""What the documentation names is there."""

from __future__ import annotations

import ast
import re

import pytest

import tf1_wd
from support.page_tables import rows
from support.pages import PAGES, ROOT


def names_of_tests():
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def anchors(page):
    """What a link can name behind "#": the headings of a page, as GitHub writes them."""
    text = re.sub(r"^( *```).*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_that_a_page_names_is_there(page):
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    assert named - names_of_tests() == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_heading_that_a_page_links_to_is_there(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text()):
        assert "://" in target or anchor in anchors(page.parent / target if target else page), target + "#" + anchor


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_is_there(page):
    named = re.findall(r"`((?:tf1_wd|tests|docs|benchmarks|legacy_examples|tools)/[\w/.-]+)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("folder", ["tf1_wd", "tests", "benchmarks", "legacy_examples", "tools"])
def test_every_page_that_the_code_names_is_there(folder):
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.py")))
    named = set(re.findall(r"\bdocs/[\w/-]+(?:\.md)?", text))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_form_of_training_names_a_test_of_ours():
    forms = rows(ROOT / "docs" / "guide" / "when-it-decays.md")
    assert len(forms) > 20
    for row in forms:
        assert re.search(r"`test_\w+`", row[2]), row[0]


def test_every_message_of_the_troubleshooting_table_is_one_of_ours():
    sources = (ROOT / "tf1_wd" / "native").rglob("*.*")
    text = "".join(path.read_text() for path in sources if path.suffix in (".py", ".cc", ".h"))
    text = re.sub(r'"\s*\n\s*"', "", text)  # literals that go on in the next line
    messages = [row[0].strip("`") for row in rows(ROOT / "docs" / "develop" / "native-op.md") if row[0].count("`") == 2]
    messages = [message for message in messages if not message.startswith('"')]
    assert len(messages) > 10
    assert [message for message in messages if message not in text] == []


def test_the_changelog_has_the_version():
    assert re.search(r"^## %s( |$)" % re.escape(tf1_wd.__version__), (ROOT / "CHANGELOG.md").read_text(), re.M)
