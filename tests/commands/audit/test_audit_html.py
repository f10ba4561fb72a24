"""The page of an audit: complete in itself, everything escaped, and in a real browser it sorts, filters and draws."""

from __future__ import annotations

import html
import html.parser
import json
import re
import shutil
import subprocess

import pytest

from tf1_wd.commands.audit.html_page import page
from tf1_wd.commands.audit.report import AuditedVariable, AuditReport, Finding, Strength
from tf1_wd.commands.audit.text import HEADER

HOSTILE = """<script>alert("x")</script>&'`%s"""


def variable(name, rate, norm, **arguments):
    return AuditedVariable(name, (2, 3), "float32", "resource", rate=rate, norm=norm, **arguments)


REPORT = AuditReport(
    "train.py",
    "2.21.0",
    (
        variable("w9", 0.25, 2.0, place="loss", updated_by=("AdamOptimizer",), learning_rate=0.5),
        variable("w10", 0.5, 1.0, place="loss", source="train.py:3 " + HOSTILE),
        variable("w1", "run time", None, place="loss", why=HOSTILE),
        variable("b", None, 8.0, frozen=True, role="bias"),
        variable(HOSTILE, 0.125, 4.0),
    ),
    (
        Finding("coupled", ("w9", "w10"), "It is " + HOSTILE, "run `tf1-wd run`"),
        Finding("inert", (HOSTILE,), "Nothing decays", "Add it"),
    ),
    (Strength("AdamOptimizer", 0.25, 0.5, 1),),
    ("A note " + HOSTILE,),
)


class Reader(html.parser.HTMLParser):
    """Takes down the tags of a page, the text outside of scripts and styles, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open, self.mistakes = [], "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


def test_the_page_is_well_formed_and_shows_every_variable_in_every_column():
    read = Reader(page(REPORT))
    assert (read.open, read.mistakes) == ([], [])
    cells = [tag for tag, _ in read.tags if tag == "td"]
    assert len(cells) == len(HEADER) * len(REPORT.variables)
    for v in REPORT.variables:
        assert v.name in read.text


def test_the_page_loads_nothing_from_anywhere():
    text = page(REPORT)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<img|<iframe|src=", text)
    for _, attributes in Reader(text).tags:
        assert attributes.get("href", "#").startswith("#")


def test_whatever_names_hold_is_text_and_no_markup():
    text = page(REPORT)
    assert "alert(" not in text.replace(html.escape(HOSTILE, quote=True), "").replace(
        html.escape(HOSTILE.split("`")[0], quote=True), ""
    )
    read = Reader(text)
    assert [tag for tag, _ in read.tags].count("script") == 1
    assert HOSTILE in read.text


def test_links_to_findings_lead_to_them():
    tags = Reader(page(REPORT)).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    links = [a["href"][1:] for tag, a in tags if tag == "a"]
    assert len(set(ids)) == len(ids) == len(REPORT.findings)
    assert set(links) == set(ids)


def test_bars_are_as_long_as_their_share_of_the_longest():
    widths = [a["style"] for tag, a in Reader(page(REPORT)).tags if tag == "i"]
    rates, norms = widths[::2], widths[1::2]
    assert rates == ["width:%.1f%%" % w for w in (50, 100, 0, 0, 25)]
    assert norms == ["width:%.1f%%" % w for w in (25, 12.5, 0, 100, 50)]


def test_a_report_without_findings_says_so():
    text = Reader(page(AuditReport("p", "2", (), ()))).text
    assert "No findings." in text


# --- in a real browser

DRIVER = """
<script>
const results = {};
window.addEventListener("error", event => { results.error = event.message; });
try {
  const names = () => Array.from(document.querySelectorAll("tbody tr")).filter(row => row.getClientRects().length)
    .map(row => row.cells[0].dataset.key);
  const heads = Array.from(document.querySelectorAll("th"));
  const click = name => heads.find(head => head.textContent === name).querySelector("button").click();
  results.first = names();
  click("rate"); results.rate_down = names();
  results.aria = heads.map(head => head.getAttribute("aria-sort"));
  click("rate"); results.rate_up = names();
  click("norm"); results.norm = names();
  click("variable"); results.name = names();
  const filter = document.querySelector("input");
  filter.value = "COUPLED"; filter.dispatchEvent(new Event("input")); results.filtered = names();
  filter.value = ""; filter.dispatchEvent(new Event("input"));
  const bars = Array.from(document.querySelectorAll("td.bar i"));
  results.bars = bars.map(bar => Math.round(bar.getBoundingClientRect().width));
  results.resources = performance.getEntriesByType("resource").length;
  results.back = getComputedStyle(document.body).backgroundColor;
} catch (error) { results.error = String(error); }
const out = document.createElement("pre"); out.id = "results"; out.textContent = JSON.stringify(results);
document.body.append(out);
</script></body>"""
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1500,1000"),
)


def browser():
    """The path of a Chromium; without one, a skip that the summary of pytest shows (.ci/run installs it, if it can)."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if shutil.which(name):
            return shutil.which(name)
    return pytest.skip("THE PAGE WAS SEEN BY NO BROWSER: no chromium on PATH (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the page does in a headless browser, opened from a file."""
    chromium, folder = browser(), tmp_path_factory.mktemp("browser")
    (folder / "a.html").write_text(page(REPORT).replace("</body>", DRIVER), encoding="utf-8")
    command = [chromium, *FLAGS, "--user-data-dir=%s" % (folder / "profile"), "--dump-dom"]
    done = subprocess.run(
        [*command, (folder / "a.html").as_uri()],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=True,
    )
    found = re.search(r'<pre id="results">(.*?)</pre>', done.stdout.decode("utf-8"), re.DOTALL)
    assert found, done.stdout[-500:]
    return json.loads(html.unescape(found.group(1)))


def test_in_a_browser_the_table_sorts_by_numbers_and_by_names(seen):
    assert "error" not in seen
    assert seen["first"] == ["w9", "w10", "w1", "b", HOSTILE]
    assert seen["rate_down"] == ["w10", "w9", HOSTILE, "w1", "b"]
    assert seen["aria"][HEADER.index("rate")] == "descending"
    assert seen["aria"].count("none") == len(HEADER) - 1
    assert seen["rate_up"] == [HOSTILE, "w9", "w10", "w1", "b"]
    assert seen["norm"] == ["b", HOSTILE, "w9", "w10", "w1"]
    assert seen["name"] == [HOSTILE, "b", "w1", "w9", "w10"]


def test_in_a_browser_the_table_filters(seen):
    assert sorted(seen["filtered"]) == ["w10", "w9"]


def test_in_a_browser_bars_are_drawn_and_nothing_is_loaded(seen):
    assert sum(width > 10 for width in seen["bars"]) == 7
    assert seen["bars"].count(0) == 3
    assert seen["resources"] == 0
    assert seen["back"] == "rgb(252, 252, 251)"
