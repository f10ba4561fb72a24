"""An audit as one self-contained page: findings with anchors, a table that sorts, rates and norms as bars."""

from __future__ import annotations

import html
import math
import os
import string

from tf1_wd.commands.audit.text import HEADER, cells, headline
from tf1_wd.plan import text_table

_TEMPLATE = os.path.join(os.path.dirname(__file__), "page.html")
_NUMERIC = ("shape", "rate", "lr", "norm")


def page(report):
    """The HTML text of a report; it loads nothing from anywhere.

    report: report.AuditReport. Example:
      >>> open("audit.html", "w").write(page(report))
    """
    with open(_TEMPLATE, encoding="utf-8") as file:
        template = string.Template(file.read())
    return template.substitute(
        title=_text("Weight decay of %s" % report.program),
        headline=_text(headline(report)),
        findings="".join(map(_finding, report.findings)) or '<p class="none">No findings.</p>',
        contents=" ".join(
            '<a class="%s" href="#%s">%s</a>' % (f.severity, _anchor(f), _text(f.code)) for f in report.findings
        ),
        head="".join(_header(i, name) for i, name in enumerate(HEADER)),
        rows="\n".join(_rows(report)),
        strengths="".join("<li>%s</li>" % _text(str(s)) for s in report.strengths),
        hidden="" if report.strengths else " hidden",
        notes="".join("<p>%s</p>" % _text(note) for note in report.notes),
    )


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
    codes: dict = {}
    for f in report.findings:
        for name in f.variables:
            codes.setdefault(name, []).append((f.code, _anchor(f)))
    columns = ([getattr(v, key) for v in report.variables] for key in ("rate", "norm"))
    top_rate, top_norm = (max(filter(_is_number, values), default=0.0) for values in columns)
    for v in report.variables:
        links = "".join(
            ' <a class="tag" href="#%s">%s</a>' % (anchor, _text(code)) for code, anchor in codes.get(v.name, ())
        )
        shown = {name: _cell(value) for name, value in zip(HEADER, cells(v))}
        shown.update(
            variable=_cell(v.name, "%s<div>%s</div>" % (_text(v.name), links), "name"),
            shape=_cell(v.size, _text(text_table.shape(v.shape)), "number"),
            rate=_bar(v.rate, top_rate, v.why),
            lr=_cell(_key(v.learning_rate), _number(v.learning_rate), "number"),
            norm=_bar(v.norm, top_norm),
            rule=_cell(v.rule or "-", kind="rule"),
            source=_cell(v.source or "-", "<code>%s</code>" % _text(v.source) if v.source else "-", "source"),
        )
        yield "<tr%s>%s</tr>" % (' class="frozen"' if v.frozen else "", "".join(shown.values()))


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
    return _text(text_table.cell(value))
