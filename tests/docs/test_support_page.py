"""docs/support.md has all that tox tries, and says in words what went wrong."""

from __future__ import annotations

import configparser
import json
import re
import sys

from support.page_tables import rows
from support.paths import ROOT
from support.tools import load_tool

PAGE = ROOT / "docs" / "support.md"
COLUMNS = ["TensorFlow", "package", "Python", "compiled", "loads", "reference", "resource", "run", "audit"]


def versions_of_tox():
    tox = configparser.ConfigParser()
    tox.read(str(ROOT / "tox.ini"))
    return set(re.findall(r"\d+\.\d+\.\d+", tox["tensorflow"]["environments"]))


def result(**wrong):
    tool = load_tool("support")
    names = ["compiled", "loads", *map(" ".join, tool.CHECKS), "run", "audit"]
    parts = {name: wrong.get(name.replace(" ", "_"), tool.RIGHT) for name in names}
    about = {"package": "tensorflow-cpu", "tensorflow": "2.20.0", "python": "3.11.7"}
    return dict(about, parts=parts, date="2026-01-01", machine="Linux x86_64, g++ 12")


def cells_of(one, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(load_tool("support").table([one]))
    return rows(page)[-1]


def test_every_tensorflow_that_tox_tries_has_a_row_and_all_is_right_there():
    seen = {row[0]: row[3:] for row in rows(PAGE) if len(row) == len(COLUMNS)}
    assert versions_of_tox() - set(seen) == set()
    assert {
        name: cells for name, cells in seen.items() if cells != ["yes", "yes", "4 of 4", "4 of 4", "yes", "yes"]
    } == {}


def test_all_that_went_well(tmp_path):
    about = ["2.20.0", "tensorflow-cpu", "3.11.7"]
    assert cells_of(result(), tmp_path) == [*about, "yes", "yes", "4 of 4", "4 of 4", "yes", "yes"]


def test_what_went_wrong_says_why(tmp_path):
    one = result(loads="NotFoundError: undefined symbol", reference_Adam_native="not run", run="exit 1: no | module")
    cells = cells_of(one, tmp_path)
    assert cells[4] == "no: NotFoundError: undefined symbol"
    assert cells[5:7] == ["3 of 4: not run", "4 of 4"]
    assert cells[7] == "no: exit 1: no / module"


def test_the_part_that_people_write_outlives_a_new_table(tmp_path, monkeypatch):
    tool, page, results = load_tool("support"), tmp_path / "page.md", tmp_path / "results"
    results.mkdir()
    (results / "one.json").write_text(json.dumps(result()))
    page.write_text("# an older table\n\n## Hardening\n\nby hand\n")
    monkeypatch.setattr(sys, "argv", ["support.py", "--results", str(results), "--table", str(page)])
    for _ in range(2):
        tool.main()
        assert page.read_text() == tool.table([result()]) + "\n## Hardening\n\nby hand\n"
