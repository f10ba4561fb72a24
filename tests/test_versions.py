"""The tested versions of TensorFlow stand in one place, and what names them elsewhere agrees."""

from __future__ import annotations

import pathlib
import re

import pytest

from tf1_wd._tf import TESTED

ROOT = pathlib.Path(__file__).resolve().parent.parent
CI = ROOT / ".ci" / "run"  # which a source distribution need not hold


def text(*path):
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


@pytest.mark.skipif(not CI.exists(), reason="no .ci/run beside the package")
def test_ci_runs_each_tested_version():
    lines = [line for line in CI.read_text().splitlines() if "environment tf" in line]
    assert {v for line in lines for v in re.findall(r" tensorflow==([\d.]+)", line)} == set(TESTED)
    assert re.findall(r"^for version in ([\d. ]+); do", CI.read_text(), re.MULTILINE) == [" ".join(TESTED[:-1])]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/guide/when-it-decays.md"])
def test_pages_name_each_tested_version(page):
    words = " ".join(text(page).split())
    after_the_first = [words[m.start() : m.start() + 80] for m in re.finditer(re.escape(TESTED[0]), words)]
    assert any(all(version in sentence for version in TESTED) for sentence in after_the_first)


def test_no_page_and_no_module_names_an_untested_version():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tf1_wd/**/*.py")]
    named = {
        (page.relative_to(ROOT).as_posix(), version)
        for page in pages
        if page.name != "CHANGELOG.md"  # which tells of the past
        for version in re.findall(r"TensorFlow (\d+\.\d+\.\d+)", page.read_text(encoding="utf-8"))
    }
    assert [(page, version) for page, version in named if version not in TESTED] == []


def test_the_oldest_is_what_the_package_asks_for():
    assert '"tensorflow>=%s,<2; ' % TESTED[0] in text("setup.py")
