"""An audit as one self-contained page: findings with anchors, a table that sorts, rates and norms as bars."""

from __future__ import annotations

import html
import math

from tf1_wd.commands.audit.text import HEADER, headline, shape

_NUMERIC = ("shape", "rate", "lr", "norm")


def page(report):
    """The HTML text of a report; it loads nothing from anywhere.

    report: report.AuditReport. Example:
      >>> open("audit.html", "w").write(page(report))
    """
    return _PAGE % {
        "title": _text("Weight decay of %s" % report.program),
        "style": _STYLE,
        "script": _SCRIPT,
        "headline": _text(headline(report)),
        "findings": "".join(map(_finding, report.findings)) or '<p class="none">No findings.</p>',
        "contents": " ".join(
            '<a class="%s" href="#%s">%s</a>' % (f.severity, _anchor(f), _text(f.code)) for f in report.findings
        ),
        "head": "".join(_header(i, name) for i, name in enumerate(HEADER)),
        "rows": "\n".join(_rows(report)),
        "strengths": "".join("<li>%s</li>" % _text(str(s)) for s in report.strengths),
        "hidden": "" if report.strengths else " hidden",
        "notes": "".join("<p>%s</p>" % _text(note) for note in report.notes),
    }


def _text(value):
    return html.escape(str(value), quote=True)


def _anchor(finding):
    """One for each finding: its code, and its first variable where that is needed to tell them apart."""
    return _text("-".join([finding.code, *finding.variables[:1]]).replace(" ", "_"))


def _finding(f):
    names = "".join("<li>%s</li>" % _text(name) for name in f.variables)
    return (
        '<section class="finding %s" id="%s"><h3><span>%s</span> %s</h3><p>%s</p><p class="remedy">%s.</p>'
        "<details><summary>%d variable%s</summary><ul>%s</ul></details></section>"
        % (
            *(f.severity, _anchor(f), f.severity, _text(f.code), _text(f.sentence), _code(_text(f.remedy))),
            *(len(f.variables), "" if len(f.variables) == 1 else "s", names),
        )
    )


def _code(text):
    """Backquotes as code."""
    parts = text.split("`")
    return "".join("<code>%s</code>" % part if i % 2 else part for i, part in enumerate(parts))


def _header(i, name):
    kind = "number" if name in _NUMERIC else "text"
    return '<th scope="col" aria-sort="none" class="%s"><button type="button" data-column="%d">%s</button></th>' % (
        *(kind, i, _text(name)),
    )


def _rows(report):
    codes = {}
    for f in report.findings:
        for name in f.variables:
            codes.setdefault(name, []).append((f.code, _anchor(f)))
    top_rate, top_norm = (_top(getattr(v, key) for v in report.variables) for key in ("rate", "norm"))
    for v in report.variables:
        links = "".join(
            ' <a class="tag" href="#%s">%s</a>' % (anchor, _text(code)) for code, anchor in codes.get(v.name, ())
        )
        what = ", ".join(filter(None, (v.role, "frozen" if v.frozen else ""))) or "-"
        cells = [
            _cell(v.name, "%s<div>%s</div>" % (_text(v.name), links), "name"),
            _cell(v.size, _text(shape(v.shape)), "number"),
            _bar(v.rate, top_rate, v.why),
            _cell(v.place),
            _cell(", ".join(v.updated_by) or "-"),
            _cell(_key(v.learning_rate), _number(v.learning_rate), "number"),
            _bar(v.norm, top_norm),
            _cell(what),
            _cell(v.rule or "-", kind="rule"),
            _cell(v.source or "-", "<code>%s</code>" % _text(v.source) if v.source else "-", "source"),
        ]
        yield "<tr%s>%s</tr>" % (' class="frozen"' if v.frozen else "", "".join(cells))


def _cell(key, shown=None, kind="text"):
    return '<td class="%s" data-key="%s">%s</td>' % (kind, _text(key), _text(key) if shown is None else shown)


def _bar(value, top, why=""):
    title = ' title="%s"' % _text(why) if why else ""
    width = 100.0 * value / top if _is_number(value) and top else 0.0
    return '<td class="number bar" data-key="%s"%s><i style="width:%.1f%%"></i><b>%s</b></td>' % (
        *(_key(value), title, width, _number(value)),
    )


def _is_number(value):
    return isinstance(value, float) and math.isfinite(value)


def _key(value):
    """What a column of numbers sorts by; what is no number goes last."""
    return repr(value) if _is_number(value) else ""


def _number(value):
    return "-" if value is None else "%.6g" % value if isinstance(value, float) else _text(value)


def _top(values):
    return max((v for v in values if _is_number(v)), default=0.0)


_STYLE = """
:root { color-scheme: light dark; --back: #fcfcfb; --text: #1d1f21; --dim: #5d6268; --line: #d9dbdd; --panel: #f2f3f4;
  --bar: #9cc3e6; --warning: #a33b00; --note: #1f5f99; --mark: #fff1cc; }
@media (prefers-color-scheme: dark) { :root { --back: #17191c; --text: #e4e6e8; --dim: #9aa1a8; --line: #34383d;
  --panel: #202328; --bar: #2f5d8a; --warning: #ff9d66; --note: #7db8ec; --mark: #4a3d14; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 100rem; padding: 1.5rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 0; }
.headline, .none, .notes p { color: var(--dim); margin: .25rem 0; }
nav a { display: inline-block; margin: .5rem .5rem 0 0; padding: .1rem .6rem; border: 1px solid currentColor;
  border-radius: 1rem; text-decoration: none; }
nav .warning { color: var(--warning); } nav .note { color: var(--note); }
.finding { background: var(--panel); border-left: .3rem solid var(--note); padding: .7rem 1rem; margin: .7rem 0;
  max-width: 62rem; overflow-wrap: anywhere; } .finding.warning { border-color: var(--warning); }
.finding h3 span { color: var(--note); font-weight: 400; } .finding.warning h3 span { color: var(--warning); }
.finding p { margin: .3rem 0; } .remedy::before { content: "What to do: "; color: var(--dim); }
.finding:target, tr:target { outline: 2px solid var(--note); }
details ul { columns: 20rem; margin: .3rem 0; padding-left: 1.2rem; } summary { cursor: pointer; color: var(--dim); }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9em; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
input { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); padding: .3rem .6rem;
  width: 20rem; max-width: 100%; margin-bottom: .5rem; }
th { position: sticky; top: 0; background: var(--back); border-bottom: 2px solid var(--line); padding: 0; }
th button { all: unset; cursor: pointer; padding: .4rem .6rem; font-weight: 600; white-space: nowrap; display: block; }
th.number button { text-align: right; } th button:focus-visible { outline: 2px solid var(--note); }
th[aria-sort=ascending] button::after { content: " \\25b2"; }
th[aria-sort=descending] button::after { content: " \\25bc"; }
td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name, td.rule { white-space: nowrap; } td.source { min-width: 18rem; overflow-wrap: anywhere; font-size: .9em; }
td.bar { position: relative; min-width: 7rem; }
td.bar i { position: absolute; right: 0; top: .3rem; height: 1.4em; background: var(--bar); }
td.bar b { position: relative; font-weight: 400; } tr.frozen { color: var(--dim); }
.tag { font-size: .75rem; background: var(--mark); color: inherit; padding: 0 .4rem; border-radius: .6rem;
  text-decoration: none; }
"""

_SCRIPT = """
"use strict";
const table = document.querySelector("table"), body = table.tBodies[0];
const heads = Array.from(table.tHead.rows[0].cells);
function sort(column, descending) {
  const numeric = heads[column].classList.contains("number");
  const key = row => row.cells[column].dataset.key;
  const compare = (a, b) => {
    const x = key(a), y = key(b);
    if (numeric && (x === "" || y === "")) return (x === "") - (y === "");
    const order = numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", {numeric: true});
    return descending ? -order : order;
  };
  Array.from(body.rows).sort(compare).forEach(row => body.append(row));
  heads.forEach((head, i) => head.setAttribute("aria-sort",
    i !== column ? "none" : descending ? "descending" : "ascending"));
}
heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
  const before = head.getAttribute("aria-sort");
  sort(i, before === "none" ? head.classList.contains("number") : before === "ascending");
}));
document.querySelector("input").addEventListener("input", event => {
  const wanted = event.target.value.toLowerCase();
  for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%(title)s</title>
<style>%(style)s</style>
</head>
<body>
<h1>%(title)s</h1>
<p class="headline">%(headline)s</p>
<nav aria-label="findings">%(contents)s</nav>
<h2>Findings</h2>
%(findings)s
<section%(hidden)s><h2>L2 against the learning rate</h2><ul>%(strengths)s</ul></section>
<h2>Variables</h2>
<input type="search" placeholder="filter, such as conv or coupled" aria-label="filter the table">
<div class="scroll"><table>
<thead><tr>%(head)s</tr></thead>
<tbody>
%(rows)s
</tbody>
</table></div>
<div class="notes">%(notes)s</div>
<script>%(script)s</script>
</body>
</html>
"""
